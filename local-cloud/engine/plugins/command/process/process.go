// Package process is what local and remote commands have in common: their lifecycle inputs, and how
// output is captured, logged and quoted in errors.
package process

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// Names of the variables that carry the previous run's output into the next.
const (
	PreviousStdout = "PULUMI_COMMAND_STDOUT"
	PreviousStderr = "PULUMI_COMMAND_STDERR"
)

// Lifecycle is what runs when.
type Lifecycle struct {
	Triggers *[]any  `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Create   *string `pulumi:"create,optional"`
	Update   *string `pulumi:"update,optional"`
	Delete   *string `pulumi:"delete,optional"`
}

// OnUpdate is the command of an update: `update`, else `create` once more, else nothing.
func (l *Lifecycle) OnUpdate() *string {
	if l.Update != nil {
		return l.Update
	}
	return l.Create
}

// Logging says which of a command's streams the user sees while it runs. Both, if it is not set.
type Logging string

// The values of Logging.
const (
	LogStdout          Logging = "stdout"
	LogStderr          Logging = "stderr"
	LogStdoutAndStderr Logging = "stdoutAndStderr"
	LogNone            Logging = "none"
)

// Values lists the enum for the schema.
func (Logging) Values() []infer.EnumValue[Logging] {
	return []infer.EnumValue[Logging]{
		{Name: string(LogStdout), Value: LogStdout},
		{Name: string(LogStderr), Value: LogStderr},
		{Name: string(LogStdoutAndStderr), Value: LogStdoutAndStderr},
		{Name: string(LogNone), Value: LogNone},
	}
}

// Output collects what a command prints. Stdout and Stderr may be written to at the same time.
type Output struct {
	Stdout, Stderr io.Writer
	mu             sync.Mutex
	// both has the streams in the order of arrival, for the error text.
	stdout, stderr, both bytes.Buffer
	lines                []*lineLogger
}

// NewOutput captures both streams and logs those that logging asks for.
func NewOutput(ctx context.Context, logging *Logging) *Output {
	o := &Output{}
	show := func(only Logging) bool {
		return logging == nil || *logging == LogStdoutAndStderr || *logging == only
	}
	log := func(line string) { p.GetLogger(ctx).InfoStatus(line) }
	o.Stdout = o.stream(&o.stdout, show(LogStdout), log)
	o.Stderr = o.stream(&o.stderr, show(LogStderr), log)
	return o
}

func (o *Output) stream(captured io.Writer, show bool, log func(string)) io.Writer {
	writers := []io.Writer{captured, &o.both}
	if show {
		lines := &lineLogger{log: log}
		o.lines = append(o.lines, lines)
		writers = append(writers, lines)
	}
	return &lockedWriter{mu: &o.mu, to: io.MultiWriter(writers...)}
}

// Close logs what did not end in a newline and returns both streams, without their last newline. A
// command's own failure is reported with its text and output, which is why secrets belong in stdin.
func (o *Output) Close(command string, failure error) (stdout, stderr string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.lines {
		l.flush()
	}
	if failure != nil {
		return "", "", fmt.Errorf("%w: running %q:\n%s", failure, command, o.both.String())
	}
	return strings.TrimSuffix(o.stdout.String(), "\n"), strings.TrimSuffix(o.stderr.String(), "\n"), nil
}

type lockedWriter struct {
	mu *sync.Mutex
	to io.Writer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}

// lineLogger passes on whole lines.
type lineLogger struct {
	log     func(string)
	partial bytes.Buffer
}

func (l *lineLogger) Write(b []byte) (int, error) {
	l.partial.Write(b)
	for {
		line, rest, found := bytes.Cut(l.partial.Bytes(), []byte("\n"))
		if !found {
			return len(b), nil
		}
		l.log(string(bytes.TrimSuffix(line, []byte("\r"))))
		l.partial.Next(l.partial.Len() - len(rest))
	}
}

func (l *lineLogger) flush() {
	if l.partial.Len() > 0 {
		l.log(l.partial.String())
		l.partial.Reset()
	}
}
