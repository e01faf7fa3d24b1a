package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// job is one message of the long poll.
type job struct {
	ID             json.Number       `json:"job_id"`
	Name           string            `json:"name"`
	RunID          json.Number       `json:"run_id"`
	Repository     string            `json:"repository"`
	Workspace      string            `json:"workspace"`
	Script         string            `json:"script,omitempty"`
	Env            map[string]string `json:"env"`
	TimeoutSeconds float64           `json:"timeout_seconds"`
	Masks          []string          `json:"masks"`
	// Instead of a script: the steps of a workflow file and what their expressions mean, for the executor.
	Steps      json.RawMessage `json:"steps,omitempty"`
	Definition json.RawMessage `json:"job,omitempty"`
}

// assignment is what the listener hands its worker over stdin, so that neither environment nor command line shows it.
type assignment struct {
	Base       string `json:"base"`
	Credential string `json:"credential"`
	RunnerName string `json:"runner_name"`
	WorkFolder string `json:"work_folder"`
	Job        job    `json:"job"`
}

// How long a runner waits for an older session of its own to end, and how often it looks.
const (
	conflictLimit = 4 * time.Minute
	conflictPause = time.Second
)

// The worker's exit code tells the job's result: 100 plus GitHub's number for it.
var resultByExit = map[int]string{100: "Succeeded", 102: "Failed", 103: "Canceled"}

func run(root string, args []string) error {
	flags, err := parse(args, map[string]bool{"jitconfig": true, "startuptype": true})
	if err != nil {
		return err
	}
	var current settings
	var secret credentials
	if encoded := flags["jitconfig"]; encoded != "" {
		current, secret, err = decodeJIT(encoded)
	} else {
		current, secret, err = load(root)
	}
	if err != nil {
		return err
	}
	base, err := baseOf(current.URL)
	if err != nil {
		return err
	}
	banner()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	l := &listener{root: root, settings: current, client: newClient(base, secret.Credential)}
	return l.listen(ctx)
}

type listener struct {
	root     string
	settings settings
	client   *client
}

func (l *listener) listen(ctx context.Context) error {
	session, err := l.startSession(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return gone(err)
	}
	defer func() { l.endSession(session) }()
	fmt.Printf("√ Connected to GitHub\n\nCurrent runner version: '%s'\n", version)
	logLine("Listening for Jobs")

	path := messagesPath(session)
	pause := time.Second
	for ctx.Err() == nil {
		var next job
		status, err := l.client.sendJSON(ctx, "GET", path, nil, &next)
		var refused *statusError
		switch {
		case ctx.Err() != nil:
			// Told to stop while waiting.
		case errors.As(err, &refused) && refused.status == http.StatusGone:
			// Ended by GitHub after a silence, or with the registration: a new one tells.
			if session, err = l.startSession(ctx); err != nil {
				return gone(err)
			}
			path = messagesPath(session)
		case errors.As(err, &refused) && refused.status < 500:
			return gone(err)
		case err != nil:
			logLine("Runner connect error: %v. Retrying until reconnected.", err)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, 15*time.Second)
		case status == http.StatusOK:
			pause = time.Second
			ran, err := l.runJob(ctx, next)
			if err != nil {
				return err
			}
			if ran && l.settings.Ephemeral {
				return forget(l.root)
			}
		default:
			pause = time.Second
		}
	}
	fmt.Println("Exiting...")
	return nil
}

func messagesPath(session string) string {
	return "/_runner/messages?session=" + url.QueryEscape(session)
}

// startSession tells GitHub that the runner is there. The session of a runner that was killed lives on for a while:
// its successor waits, as GitHub's runner does.
func (l *listener) startSession(ctx context.Context) (string, error) {
	var session struct {
		ID string `json:"session_id"`
	}
	about := map[string]string{"version": version, "os": "Linux", "architecture": architecture}
	for deadline := time.Now().Add(conflictLimit); ; {
		err := retry(ctx, time.Minute, func() error {
			_, err := l.client.sendJSON(ctx, "POST", "/_runner/sessions", about, &session)
			return err
		})
		var refused *statusError
		if !errors.As(err, &refused) || refused.status != http.StatusConflict || time.Now().After(deadline) {
			return session.ID, err
		}
		logLine("%s Waiting for it to end.", refused.message)
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(conflictPause):
		}
	}
}

// gone words the answers that end a runner for good.
func gone(err error) error {
	var refused *statusError
	if errors.As(err, &refused) && (refused.status == http.StatusGone || refused.status == http.StatusUnauthorized || refused.status == http.StatusNotFound) {
		return fmt.Errorf("Runner registration has been deleted from the server, please re-configure (%w)", err)
	}
	return err
}

// acquire takes the job that a message offers; false when GitHub has given up on this runner since, as for one that was
// frozen with the message on its way.
func (l *listener) acquire(ctx context.Context, next job) (bool, error) {
	path := "/_runner/jobs/" + url.PathEscape(next.ID.String()) + "/heartbeat"
	err := retry(ctx, time.Minute, func() error {
		_, err := l.client.sendJSON(ctx, "POST", path, struct{}{}, nil)
		return err
	})
	var refused *statusError
	if errors.As(err, &refused) && refused.status < 500 {
		logLine("Job %s is no longer this runner's: %s", next.Name, refused.message)
		return false, nil
	}
	return err == nil, err
}

// runJob gives the job to a worker process of its own and waits for it; false when the job was not to be had. When the
// listener is told to stop, the worker is told too: it cancels the job, reports that, and ends.
func (l *listener) runJob(ctx context.Context, next job) (bool, error) {
	acquired, err := l.acquire(ctx, next)
	if ctx.Err() != nil && !acquired {
		return false, nil
	}
	if err != nil || !acquired {
		return false, err
	}
	input, err := json.Marshal(assignment{l.client.base, l.client.credential, l.settings.Name, l.settings.WorkFolder, next})
	if err != nil {
		return true, err
	}
	logLine("Running job: %s", next.Name)
	worker := exec.Command(filepath.Join(l.root, "bin", "Runner.Worker"), "spawnclient")
	worker.Dir = l.root
	worker.Stdin = bytes.NewReader(input)
	worker.Stdout, worker.Stderr = os.Stdout, os.Stderr
	// A group of its own: Ctrl-C reaches the listener alone, which decides.
	worker.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := worker.Start(); err != nil {
		return true, fmt.Errorf("the worker cannot be started: %w", err)
	}
	finished := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			_ = worker.Process.Signal(syscall.SIGTERM)
		case <-finished:
		}
	}()
	err = worker.Wait()
	close(finished)
	result, known := resultByExit[worker.ProcessState.ExitCode()]
	if !known {
		logLine("Worker finished for job %s. Unexpected end: %v", next.Name, err)
		result = "Failed"
	}
	logLine("Job %s completed with result: %s", next.Name, result)
	return true, nil
}

func (l *listener) endSession(id string) {
	// One that GitHub has ended, with no other in its place.
	if id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// An orderly end is a courtesy: GitHub finds out by itself, and an ephemeral runner is already gone.
	_, _ = l.client.sendJSON(ctx, "DELETE", "/_runner/sessions/"+url.PathEscape(id), nil, nil)
}

func logLine(format string, args ...any) {
	fmt.Printf("%s: %s\n", time.Now().UTC().Format("2006-01-02 15:04:05Z"), fmt.Sprintf(format, args...))
}
