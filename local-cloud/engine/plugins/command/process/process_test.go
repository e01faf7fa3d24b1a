package process

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestLoggingShowsTheChosenStreamsByLine(t *testing.T) {
	for _, test := range []struct {
		logging *Logging
		shown   []string
	}{
		{nil, []string{"out1", "out2", "err1"}},
		{new(LogStdoutAndStderr), []string{"out1", "out2", "err1"}},
		{new(LogStdout), []string{"out1", "out2"}},
		{new(LogStderr), []string{"err1"}},
		{new(LogNone), nil},
	} {
		var log bytes.Buffer
		previous := slog.Default()
		slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
		output := NewOutput(t.Context(), test.logging)
		for _, part := range []string{"ou", "t1\nout2"} {
			_, _ = output.Stdout.Write([]byte(part))
		}
		_, _ = output.Stderr.Write([]byte("err1\n"))
		stdout, stderr, err := output.Close("command", nil)
		slog.SetDefault(previous)

		if stdout != "out1\nout2" || stderr != "err1" || err != nil {
			t.Fatalf("captured %q and %q, error %v", stdout, stderr, err)
		}
		for _, line := range []string{"out1", "out2", "err1"} {
			shown := strings.Contains(log.String(), "msg="+line+" ") || strings.Contains(log.String(), "msg="+line+"\n")
			want := false
			for _, s := range test.shown {
				want = want || s == line
			}
			if shown != want {
				t.Errorf("logging %v: %s shown %v, expected %v in\n%s", test.logging, line, shown, want, log.String())
			}
		}
	}
}

func TestALineLongerThanAnyBufferIsLogged(t *testing.T) {
	var lines []string
	logger := &lineLogger{log: func(line string) { lines = append(lines, line) }}
	long := strings.Repeat("x", 1<<20)
	_, _ = logger.Write([]byte(long + "\nrest"))
	logger.flush()
	if len(lines) != 2 || lines[0] != long || lines[1] != "rest" {
		t.Fatalf("%d lines", len(lines))
	}
}
