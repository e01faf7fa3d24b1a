package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	logInterval = 250 * time.Millisecond
	// A line longer than this is sent in pieces; a secret that straddles two of them would show.
	longestLine = 1 << 20
)

// jobLog masks a job's output and sends it in chunks of whole lines.
type jobLog struct {
	client *client
	path   string
	masks  *strings.Replacer

	mutex   sync.Mutex
	partial []byte
	ready   bytes.Buffer

	closing chan struct{}
	closed  chan struct{}
}

func newJobLog(c *client, path string, secrets []string) *jobLog {
	l := &jobLog{client: c, path: path, masks: masker(secrets), closing: make(chan struct{}), closed: make(chan struct{})}
	go l.pump()
	return l
}

// masker replaces each secret by ***. Each line of a secret of several lines counts as a secret of its own,
// since the log is masked line by line. Longer secrets go first, so that one inside another leaves no rest.
func masker(secrets []string) *strings.Replacer {
	var found []string
	for _, secret := range secrets {
		for line := range strings.SplitSeq(secret, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				found = append(found, line)
			}
		}
	}
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, secret := range found {
		pairs = append(pairs, secret, "***")
	}
	return strings.NewReplacer(pairs...)
}

func (l *jobLog) printf(format string, args ...any) {
	fmt.Fprintf(l, format+"\n", args...)
}

// Write takes output as it comes. It never fails: a log that cannot be sent must not end the job.
func (l *jobLog) Write(chunk []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.partial = append(l.partial, chunk...)
	if end := bytes.LastIndexByte(l.partial, '\n'); end >= 0 {
		l.ready.WriteString(l.masks.Replace(string(l.partial[:end+1])))
		l.partial = append([]byte(nil), l.partial[end+1:]...)
	} else if len(l.partial) > longestLine {
		l.flushPartial()
	}
	return len(chunk), nil
}

func (l *jobLog) flushPartial() {
	if len(l.partial) > 0 {
		l.ready.WriteString(l.masks.Replace(string(l.partial)))
		l.partial = nil
	}
}

// close sends what is left.
func (l *jobLog) close() {
	l.mutex.Lock()
	l.flushPartial()
	l.mutex.Unlock()
	close(l.closing)
	<-l.closed
}

func (l *jobLog) pump() {
	defer close(l.closed)
	for {
		select {
		case <-time.After(logInterval):
			l.send()
		case <-l.closing:
			l.send()
			return
		}
	}
}

func (l *jobLog) send() {
	l.mutex.Lock()
	chunk := bytes.Clone(l.ready.Bytes())
	l.ready.Reset()
	l.mutex.Unlock()
	if len(chunk) == 0 {
		return
	}
	ctx := context.Background()
	err := retry(ctx, 30*time.Second, func() error {
		_, err := l.client.send(ctx, "POST", l.path, "text/plain; charset=utf-8", chunk, nil)
		return err
	})
	if err != nil {
		logLine("%d bytes of the job's log cannot be sent: %v", len(chunk), err)
	}
}
