package remote

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"golang.org/x/crypto/ssh"

	"runner-fleet/local-cloud/engine/plugins/command/process"
)

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func TestMain(m *testing.M) {
	// The tests must not reach for the agent of whoever runs them.
	_ = os.Unsetenv("SSH_AUTH_SOCK")
	os.Exit(m.Run())
}

func create(t *testing.T, args CommandArgs) (CommandState, error) {
	t.Helper()
	response, err := (&Command{}).Create(t.Context(), infer.CreateRequest[CommandArgs]{Name: "c", Inputs: args})
	return response.Output, err
}

func TestCommandRunsOverSSH(t *testing.T) {
	s := startSSHD(t)
	state, err := create(t, CommandArgs{
		Connection: s.connect(), Stdin: new("from stdin"),
		Lifecycle: process.Lifecycle{Create: new("cat; echo; echo problem >&2")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if state.Stdout != "from stdin" || state.Stderr != "problem" {
		t.Fatalf("stdout %q, stderr %q", state.Stdout, state.Stderr)
	}
}

func TestPreviewRunsNothing(t *testing.T) {
	s := startSSHD(t)
	args := CommandArgs{Connection: s.connect(), Lifecycle: process.Lifecycle{Create: new("true")}}
	if _, err := (&Command{}).Create(t.Context(),
		infer.CreateRequest[CommandArgs]{Name: "c", Inputs: args, DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Command{}).Update(t.Context(),
		infer.UpdateRequest[CommandArgs, CommandState]{Inputs: args, DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if n := s.logins.Load(); n != 0 {
		t.Fatalf("%d logins", n)
	}
}

func TestUpdateRule(t *testing.T) {
	s := startSSHD(t)
	for name, test := range map[string]struct {
		lifecycle process.Lifecycle
		stdout    string
	}{
		"update":                {process.Lifecycle{Create: new("echo c"), Update: new("echo u")}, "u"},
		"create without update": {process.Lifecycle{Create: new("echo c")}, "c"},
		"neither":               {process.Lifecycle{Delete: new("echo d")}, "before"},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := (&Command{}).Update(t.Context(), infer.UpdateRequest[CommandArgs, CommandState]{
				State:  CommandState{Stdout: "before"},
				Inputs: CommandArgs{Connection: s.connect(), Lifecycle: test.lifecycle},
			})
			if err != nil {
				t.Fatal(err)
			}
			if response.Output.Stdout != test.stdout {
				t.Fatalf("stdout %q, expected %q", response.Output.Stdout, test.stdout)
			}
		})
	}
}

func TestDeleteUsesTheConnectionInTheState(t *testing.T) {
	s := startSSHD(t)
	marker := filepath.Join(t.TempDir(), "deleted")
	_, err := (&Command{}).Delete(t.Context(), infer.DeleteRequest[CommandState]{State: CommandState{
		CommandArgs: CommandArgs{
			Connection: s.connect(), Lifecycle: process.Lifecycle{Delete: new("touch '" + marker + "'")},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(marker); err != nil {
		t.Fatal(err)
	}
}

func TestFailureShowsCommandAndOutputOnly(t *testing.T) {
	s := startSSHD(t, func(s *sshd) { s.acceptEnv = "TOKEN" })
	_, err := create(t, CommandArgs{
		Connection: s.connect(), Stdin: new("stdin-secret"), Environment: map[string]string{"TOKEN": "env-secret"},
		Lifecycle: process.Lifecycle{Create: new("echo on stdout; echo on stderr >&2; exit 3")},
	})
	if err == nil {
		t.Fatal("no error")
	}
	text := err.Error()
	for _, part := range []string{"status 3", "exit 3", "on stdout", "on stderr"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in %q", part, text)
		}
	}
	for _, secret := range []string{"stdin-secret", "env-secret", "PRIVATE KEY", s.password} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %q", secret, text)
		}
	}
}

func TestEnvironment(t *testing.T) {
	s := startSSHD(t, func(s *sshd) { s.acceptEnv = "ALLOWED" })
	state, err := create(t, CommandArgs{
		Connection: s.connect(), Environment: map[string]string{"ALLOWED": "value"},
		Lifecycle: process.Lifecycle{Create: new("echo $ALLOWED")},
	})
	if err != nil || state.Stdout != "value" {
		t.Fatalf("stdout %q, error %v", state.Stdout, err)
	}
	_, err = create(t, CommandArgs{
		Connection: s.connect(), Environment: map[string]string{"REFUSED": "value"},
		Lifecycle: process.Lifecycle{Create: new("true")},
	})
	if err == nil || !strings.Contains(err.Error(), `"REFUSED"`) || strings.Contains(err.Error(), "value:") {
		t.Fatalf("error %v", err)
	}
}

func TestPreviousOutput(t *testing.T) {
	s := startSSHD(t, func(s *sshd) { s.acceptEnv = process.PreviousStdout })
	update := func(add *bool) string {
		response, err := (&Command{}).Update(t.Context(), infer.UpdateRequest[CommandArgs, CommandState]{
			// Stderr is refused by the server, which must not fail the update.
			State: CommandState{Stdout: "before", Stderr: "refused"},
			Inputs: CommandArgs{
				Connection: s.connect(), AddPreviousOutputInEnv: add,
				Lifecycle: process.Lifecycle{Create: new("echo [$PULUMI_COMMAND_STDOUT]")},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return response.Output.Stdout
	}
	if got := update(nil); got != "[before]" {
		t.Errorf("by default %q", got)
	}
	if got := update(new(false)); got != "[]" {
		t.Errorf("switched off %q", got)
	}
}

func TestAuthentication(t *testing.T) {
	s := startSSHD(t)
	_, otherKey := newKey(t, "")
	_, lockedKey := newKey(t, "sesame")
	otherHost, _ := newKey(t, "")
	for name, test := range map[string]struct {
		adapt func(*Connection)
		fails string
	}{
		"key":              {func(*Connection) {}, ""},
		"password":         {func(c *Connection) { c.PrivateKey, c.Password = nil, &s.password }, ""},
		"wrong password":   {func(c *Connection) { c.PrivateKey, c.Password = nil, new("guess") }, "unable to authenticate"},
		"unknown key":      {func(c *Connection) { c.PrivateKey = &otherKey }, "unable to authenticate"},
		"no host key":      {func(c *Connection) { c.HostKey = nil }, ""},
		"broken host key":  {func(c *Connection) { c.HostKey = new("nonsense") }, "failed to parse host key"},
		"broken key":       {func(c *Connection) { c.PrivateKey = new("nonsense") }, "failed to parse private key"},
		"locked key":       {func(c *Connection) { c.PrivateKey = &lockedKey }, "failed to parse private key"},
		"unlocked, unlike": {func(c *Connection) { c.PrivateKey, c.PrivateKeyPassword = &lockedKey, new("sesame") }, "unable to authenticate"},
		"another host key": {func(c *Connection) {
			c.HostKey = new(string(ssh.MarshalAuthorizedKey(otherHost.PublicKey())))
		}, "host key mismatch"},
		"dead agent": {func(c *Connection) { c.AgentSocketPath = new("/nonexistent") }, "SSH agent"},
	} {
		t.Run(name, func(t *testing.T) {
			connection := s.connect()
			test.adapt(connection)
			_, err := create(t, CommandArgs{Connection: connection, Lifecycle: process.Lifecycle{Create: new("true")}})
			if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Fatalf("error %v, expected %q", err, test.fails)
			}
		})
	}
}

func TestProxy(t *testing.T) {
	bastion, inner := startSSHD(t), startSSHD(t)
	connection := inner.connect()
	connection.Proxy = &Proxy{bastion.connect().Endpoint}
	state, err := create(t, CommandArgs{Connection: connection, Lifecycle: process.Lifecycle{Create: new("echo inside")}})
	if err != nil || state.Stdout != "inside" {
		t.Fatalf("stdout %q, error %v", state.Stdout, err)
	}
	if bastion.tunnels.Load() != 1 || inner.logins.Load() != 1 {
		t.Fatalf("%d tunnels, %d logins", bastion.tunnels.Load(), inner.logins.Load())
	}
}

func TestDialErrorLimit(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().(*net.TCPAddr)
	_ = listener.Close()
	connection := &Connection{Endpoint: Endpoint{
		Host: new(closed.IP.String()), Port: new(float64(closed.Port)), DialErrorLimit: new(2),
	}}
	_, err = create(t, CommandArgs{Connection: connection, Lifecycle: process.Lifecycle{Create: new("true")}})
	if err == nil || !strings.Contains(err.Error(), "after 2 failed attempts") ||
		!strings.Contains(err.Error(), "refused") {
		t.Fatalf("error %v", err)
	}

	connection.DialErrorLimit = new(unlimitedDialErrors)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, _, err = connection.Dial(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) > 3*time.Second {
		t.Fatalf("error %v after %s", err, time.Since(started))
	}
}

func TestPerDialTimeoutCoversTheHandshake(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	at := silent.Addr().(*net.TCPAddr)
	connection := &Connection{Endpoint: Endpoint{
		Host: new(at.IP.String()), Port: new(float64(at.Port)), DialErrorLimit: new(0), PerDialTimeout: new(1),
	}}
	started := time.Now()
	if _, _, err := connection.Dial(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Fatalf("took %s", took)
	}
}

func TestCancelEndsTheCommand(t *testing.T) {
	s := startSSHD(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	started := time.Now()
	_, err := (&Command{}).Create(ctx, infer.CreateRequest[CommandArgs]{Name: "c", Inputs: CommandArgs{
		Connection: s.connect(), Lifecycle: process.Lifecycle{Create: new("exec sleep 3")},
	}})
	if !errors.Is(err, context.Canceled) || time.Since(started) > 2*time.Second {
		t.Fatalf("error %v after %s", err, time.Since(started))
	}
}

func copyArgs(t *testing.T, s *sshd, source any, destination string) CopyArgs {
	t.Helper()
	args := CopyArgs{Connection: s.connect(), RemotePath: destination}
	switch a := source.(type) {
	case *resource.Asset:
		args.Source = types.AssetOrArchive{Asset: a}
	case *resource.Archive:
		args.Source = types.AssetOrArchive{Archive: a}
	default:
		t.Fatalf("source is a %T", source)
	}
	return args
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestCopy(t *testing.T) {
	s := startSSHD(t)
	local := t.TempDir()
	file := filepath.Join(local, "tree", "a.txt")
	if err := errors.Join(os.MkdirAll(filepath.Join(local, "tree", "deep"), 0o755),
		os.WriteFile(file, []byte("a"), 0o600),
		os.WriteFile(filepath.Join(local, "tree", "deep", "b.txt"), []byte("b"), 0o600)); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(local, "tree")
	for name, test := range map[string]struct {
		source any
		to     string
		expect map[string]string
		fails  string
	}{
		"text":                   {must(resource.NewTextAsset("text")), "new/f", map[string]string{"new/f": "text"}, ""},
		"text over a folder":     {must(resource.NewTextAsset("text")), "exists", nil, "is a directory"},
		"text over a file":       {must(resource.NewTextAsset("text")), "file", map[string]string{"file": "text"}, ""},
		"file":                   {must(resource.NewPathAsset(file)), "new/f", map[string]string{"new/f": "a"}, ""},
		"file into a folder":     {must(resource.NewPathAsset(file)), "exists", map[string]string{"exists/a.txt": "a"}, ""},
		"folder":                 {must(resource.NewPathArchive(folder)), "new", map[string]string{"new/tree/a.txt": "a", "new/tree/deep/b.txt": "b"}, ""},
		"contents of the folder": {must(resource.NewPathArchive(folder + "/")), "new", map[string]string{"new/a.txt": "a", "new/deep/b.txt": "b"}, ""},
		"folder over a file":     {must(resource.NewPathArchive(folder + "/")), "file", nil, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			remote := t.TempDir()
			if err := errors.Join(os.Mkdir(filepath.Join(remote, "exists"), 0o755),
				os.WriteFile(filepath.Join(remote, "file"), []byte("longer than before"), 0o600)); err != nil {
				t.Fatal(err)
			}
			args := copyArgs(t, s, test.source, filepath.Join(remote, test.to))
			_, err := (&CopyToRemote{}).Create(t.Context(), infer.CreateRequest[CopyArgs]{Inputs: args})
			if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Fatalf("error %v, expected %q", err, test.fails)
			}
			for name, content := range test.expect {
				if got, err := os.ReadFile(filepath.Join(remote, name)); err != nil || string(got) != content {
					t.Errorf("%s is %q (%v), expected %q", name, got, err, content)
				}
			}
		})
	}
}

func TestCopyAgainOnlyIfContentOrDestinationChanged(t *testing.T) {
	before, after := startSSHD(t), startSSHD(t)
	dir := t.TempDir()
	state := CopyState{copyArgs(t, before, must(resource.NewTextAsset("text")), filepath.Join(dir, "f"))}
	for name, test := range map[string]struct {
		text, to string
		copies   int32
	}{
		"new connection":  {"text", "f", 0},
		"new content":     {"other", "f", 1},
		"new destination": {"text", "g", 1},
	} {
		t.Run(name, func(t *testing.T) {
			logins := after.logins.Load()
			_, err := (&CopyToRemote{}).Update(t.Context(), infer.UpdateRequest[CopyArgs, CopyState]{
				State:  state,
				Inputs: copyArgs(t, after, must(resource.NewTextAsset(test.text)), filepath.Join(dir, test.to)),
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := after.logins.Load() - logins; n != test.copies {
				t.Fatalf("%d copies, expected %d", n, test.copies)
			}
		})
	}
	if n := before.logins.Load(); n != 0 {
		t.Fatalf("%d logins at the old host", n)
	}
}
