package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func environment(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

func TestLoadPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folio.yaml")
	content := "title: Handbook\nlisten: 127.0.0.1:9000\nshutdownTimeout: 3s\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := Load(path, environment(map[string]string{
		"FOLIO_LISTEN":             ":7000",
		"FOLIO_MAX_DOCUMENT_BYTES": "100",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if config.Title != "Handbook" || config.Listen != ":7000" || config.MaxDocumentBytes != 100 {
		t.Errorf("found %+v", config)
	}
	if config.ShutdownTimeout != 3*time.Second {
		t.Errorf("shutdownTimeout: found %s", config.ShutdownTimeout)
	}
	if config.Style != Default().Style {
		t.Errorf("style: found %q, expected the default", config.Style)
	}
}

func TestLoadRefuses(t *testing.T) {
	directory := t.TempDir()
	for name, test := range map[string]struct {
		file        string
		environment map[string]string
		want        string
	}{
		"unknown key":    {file: "titel: x\n", want: "titel"},
		"no number":      {environment: map[string]string{"FOLIO_MAX_DOCUMENT_BYTES": "many"}, want: `found "many"`},
		"no duration":    {environment: map[string]string{"FOLIO_SHUTDOWN_TIMEOUT": "5"}, want: "expected a duration"},
		"no URL":         {environment: map[string]string{"FOLIO_PUBLIC_URL": "example"}, want: "publicUrl"},
		"negative bytes": {file: "maxAttachmentBytes: -1\n", want: "maxAttachmentBytes: found -1"},
	} {
		t.Run(name, func(t *testing.T) {
			path := ""
			if test.file != "" {
				path = filepath.Join(directory, strings.ReplaceAll(name, " ", "-"))
				if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Load(path, environment(test.environment))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("found %v, expected an error with %q", err, test.want)
			}
		})
	}
}

func TestLoadEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty.yaml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := Load(path, environment(nil))
	if err != nil || config != Default() {
		t.Errorf("found %+v, %v, expected the defaults", config, err)
	}
}
