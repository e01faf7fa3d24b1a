package local

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi-go-provider/infer"

	"runner-fleet/local-cloud/engine/plugins/command/process"
)

func create(t *testing.T, args CommandArgs) (CommandState, error) {
	t.Helper()
	response, err := (&Command{}).Create(t.Context(), infer.CreateRequest[CommandArgs]{Name: "c", Inputs: args})
	return response.Output, err
}

func TestInputs(t *testing.T) {
	dir := t.TempDir()
	state, err := create(t, CommandArgs{
		Lifecycle: process.Lifecycle{Create: new("pwd; cat; echo; echo $NAME; echo problem >&2")},
		Inputs: Inputs{
			Dir: &dir, Stdin: new("stdin"), Environment: &map[string]string{"NAME": "value"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if state.Stdout != dir+"\nstdin\nvalue" || state.Stderr != "problem" {
		t.Fatalf("stdout %q, stderr %q", state.Stdout, state.Stderr)
	}
}

func TestInterpreter(t *testing.T) {
	state, err := create(t, CommandArgs{
		Lifecycle: process.Lifecycle{Create: new("a b")},
		Inputs:    Inputs{Interpreter: &[]string{"/bin/sh", "-c", `printf %s "$0"`}},
	})
	if err != nil || state.Stdout != "a b" {
		t.Fatalf("stdout %q, error %v", state.Stdout, err)
	}
}

func TestFailureLeaksNeitherStdinNorEnvironment(t *testing.T) {
	_, err := create(t, CommandArgs{
		Lifecycle: process.Lifecycle{Create: new("echo visible; exit 4")},
		Inputs:    Inputs{Stdin: new("stdin-secret"), Environment: &map[string]string{"TOKEN": "env-secret"}},
	})
	if err == nil || !strings.Contains(err.Error(), "exit status 4") || !strings.Contains(err.Error(), "visible") {
		t.Fatalf("error %v", err)
	}
	if strings.Contains(err.Error(), "-secret") {
		t.Fatalf("error leaks: %v", err)
	}
}

func TestUpdateSeesThePreviousOutput(t *testing.T) {
	for want, add := range map[string]*bool{"[before]": nil, "[]": new(false)} {
		response, err := (&Command{}).Update(t.Context(), infer.UpdateRequest[CommandArgs, CommandState]{
			State: CommandState{Outputs: Outputs{Stdout: "before"}},
			Inputs: CommandArgs{
				Lifecycle: process.Lifecycle{Create: new("echo create"), Update: new("echo [$PULUMI_COMMAND_STDOUT]")},
				Inputs:    Inputs{AddPreviousOutputInEnv: add},
			},
		})
		if err != nil || response.Output.Stdout != want {
			t.Fatalf("stdout %q, expected %q, error %v", response.Output.Stdout, want, err)
		}
	}
}

func TestCancelEndsTheCommandAndItsOutput(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	started := time.Now()
	_, err := (&Command{}).Create(ctx, infer.CreateRequest[CommandArgs]{Name: "c", Inputs: CommandArgs{
		// The sleep outlives the shell and keeps its output open.
		Lifecycle: process.Lifecycle{Create: new("sleep 20; true")},
	}})
	if err == nil || time.Since(started) > 10*time.Second {
		t.Fatalf("error %v after %s", err, time.Since(started))
	}
}

func TestAssets(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"assets/logos/logo.svg", "src/index.js", "src/secret.js", "other.txt"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755),
			os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	patterns := []string{"assets/**", "src/**.js", "!**secret.*"}
	state, err := create(t, CommandArgs{
		Lifecycle: process.Lifecycle{Create: new("true")},
		Inputs:    Inputs{Dir: &dir, AssetPaths: &patterns, ArchivePaths: &patterns},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"assets/logos/logo.svg", "src/index.js"}
	if got := slices.Sorted(maps.Keys(*state.Assets)); !slices.Equal(got, want) {
		t.Errorf("assets %v, expected %v", got, want)
	}
	if got := slices.Sorted(maps.Keys(state.Archive.Assets)); !slices.Equal(got, want) {
		t.Errorf("archive %v, expected %v", got, want)
	}
}
