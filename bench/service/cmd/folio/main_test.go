package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-version"}, nil, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "folio "+release+" ") {
		t.Errorf("found %q", out.String())
	}
}

func TestRunRefuses(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for _, test := range []struct {
		arguments []string
		want      string
	}{
		{[]string{"serve"}, `found the argument "serve"`},
		{[]string{"-config", "/does/not/exist"}, "read configuration"},
	} {
		err := run(t.Context(), test.arguments, none, io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: found %v, expected %q", test.arguments, err, test.want)
		}
	}
}

func TestServeUntilStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	database := filepath.Join(t.TempDir(), "folio.db")
	settings := map[string]string{"FOLIO_LISTEN": "127.0.0.1:0", "FOLIO_DATABASE": database}
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, nil, func(name string) (string, bool) {
			value, ok := settings[name]
			return value, ok
		}, writer)
		writer.Close()
		ended <- err
	}()
	lines := bufio.NewScanner(reader)
	if !lines.Scan() {
		t.Fatalf("found no log line: %v", <-ended)
	}
	var started struct {
		Address string `json:"address"`
	}
	if err := json.Unmarshal(lines.Bytes(), &started); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines.Scan() {
		}
	}()
	response, err := http.Get("http://" + started.Address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Errorf("found status %d", response.StatusCode)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("found %v after the stop", err)
	}
}
