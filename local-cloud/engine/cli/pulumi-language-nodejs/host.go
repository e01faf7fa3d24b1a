package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/kballard/go-shellquote"
)

const (
	// version is that of the CLI this host belongs to.
	version = "3.259.0"
	// exitReported is the program's exit code for "failed, and the user was told why".
	exitReported = 32
	// stopGrace is the time between SIGTERM and SIGKILL when a run is cancelled.
	stopGrace = 5 * time.Second
)

type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	engine string
	// ctx ends when the engine cancels or goes away; every child process is bound to it.
	ctx  context.Context
	stop context.CancelFunc
}

func newHost(ctx context.Context, engine string) *host {
	ctx, stop := context.WithCancel(ctx)
	return &host{engine: engine, ctx: ctx, stop: stop}
}

// command prepares a child that ends with the call or with the host, whichever is first.
func (h *host) command(ctx context.Context, dir, name string, args ...string) (*exec.Cmd, func()) {
	ctx, release := context.WithCancel(ctx)
	unhook := context.AfterFunc(h.ctx, release)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	return cmd, func() { unhook(); release() }
}

func (h *host) Handshake(
	_ context.Context, req *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	h.engine = req.GetEngineAddress()
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (h *host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version}, nil
}

func (h *host) GetRequiredPackages(
	_ context.Context, req *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	packages, err := requiredPackages(req.GetInfo().GetProgramDirectory())
	if err != nil {
		return nil, err
	}
	return &pulumirpc.GetRequiredPackagesResponse{Packages: packages}, nil
}

func (h *host) GetRequiredPlugins(
	_ context.Context, req *pulumirpc.GetRequiredPluginsRequest,
) (*pulumirpc.GetRequiredPluginsResponse, error) {
	packages, err := requiredPackages(req.GetInfo().GetProgramDirectory())
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GetRequiredPluginsResponse{}
	for _, p := range packages {
		response.Plugins = append(response.Plugins, &pulumirpc.PluginDependency{
			Name: p.Name, Kind: p.Kind, Version: p.Version, Server: p.Server,
		})
	}
	return response, nil
}

func (h *host) GetProgramDependencies(
	_ context.Context, req *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	dependencies, err := programDependencies(req.GetInfo().GetProgramDirectory(), req.GetTransitiveDependencies())
	if err != nil {
		return nil, err
	}
	return &pulumirpc.GetProgramDependenciesResponse{Dependencies: dependencies}, nil
}

func (h *host) About(ctx context.Context, req *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errNoNode
	}
	cmd, release := h.command(ctx, req.GetInfo().GetProgramDirectory(), node, "--version")
	defer release()
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("node --version: %w", err)
	}
	return &pulumirpc.AboutResponse{Executable: node, Version: strings.TrimSpace(string(out))}, nil
}

func (h *host) RuntimeOptionsPrompts(
	context.Context, *pulumirpc.RuntimeOptionsRequest,
) (*pulumirpc.RuntimeOptionsResponse, error) {
	return &pulumirpc.RuntimeOptionsResponse{}, nil
}

func (h *host) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	h.stop()
	return &emptypb.Empty{}, nil
}

// InstallDependencies runs `npm install` and streams what it prints.
func (h *host) InstallDependencies(
	req *pulumirpc.InstallDependenciesRequest, server pulumirpc.LanguageRuntime_InstallDependenciesServer,
) error {
	if manager := option(req.GetInfo(), "packagemanager"); manager != "" && manager != "auto" && manager != "npm" {
		return status.Errorf(codes.Unimplemented,
			"runtime option packagemanager is %q, this language host knows npm only", manager)
	}
	cmd, release := h.command(server.Context(), req.GetInfo().GetProgramDirectory(), "npm", "install")
	defer release()
	cmd.Stdout = sendTo(func(b []byte) error {
		return server.Send(&pulumirpc.InstallDependenciesResponse{Stdout: b})
	})
	// Interleaved on one stream: a gRPC stream takes one sender at a time.
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("npm install: %w", err)
	}
	return nil
}

type sendTo func([]byte) error

func (send sendTo) Write(b []byte) (int, error) {
	if err := send(append([]byte(nil), b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

var errNoNode = errors.New("node is not on the PATH: install Node.js to run this program")

// Run runs the program once. The program's own output goes to this process's, where the engine reads it.
func (h *host) Run(ctx context.Context, req *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	if req.GetAttachDebugger() {
		return nil, status.Error(codes.Unimplemented, "this language host does not attach debuggers")
	}
	args, err := runArguments(req, h.engine)
	if err != nil {
		return nil, err
	}
	environment, err := runEnvironment(req)
	if err != nil {
		return nil, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errNoNode
	}
	cmd, release := h.command(ctx, req.GetInfo().GetProgramDirectory(), node, args...)
	defer release()
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdout, cmd.Stderr = io.Writer(os.Stdout), io.Writer(os.Stderr)
	return runResponse(cmd.Run())
}

// runResponse turns how the program ended into what the engine wants to know.
func runResponse(err error) (*pulumirpc.RunResponse, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case errors.As(err, &exit) && exit.ExitCode() == exitReported:
		return &pulumirpc.RunResponse{Bail: true}, nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return &pulumirpc.RunResponse{
			Error: fmt.Sprintf("Program exited with non-zero exit code: %d", exit.ExitCode()),
		}, nil
	case errors.As(err, &exit):
		return &pulumirpc.RunResponse{Error: "Program was ended by a signal: " + exit.String()}, nil
	default:
		return nil, fmt.Errorf("problem executing program: %w", err)
	}
}

// runArguments are node's: the user's nodeargs, the SDK's entry point, its flags, and the program.
func runArguments(req *pulumirpc.RunRequest, engine string) ([]string, error) {
	info := req.GetInfo()
	args, err := shellquote.Split(option(info, "nodeargs"))
	if err != nil {
		return nil, fmt.Errorf("runtime option nodeargs in Pulumi.yaml: %w", err)
	}
	entry, err := resolveRun(info.GetProgramDirectory())
	if err != nil {
		return nil, err
	}
	args = append(args, entry)
	flags := []struct{ name, value string }{
		{"monitor", req.GetMonitorAddress()},
		{"engine", engine},
		{"organization", req.GetOrganization()},
		{"project", req.GetProject()},
		{"root-directory", info.GetRootDirectory()},
		{"stack", req.GetStack()},
		{"pwd", req.GetPwd()},
	}
	for _, f := range flags {
		if f.value != "" {
			args = append(args, "--"+f.name, f.value)
		}
	}
	args = append(args, "--parallel", strconv.Itoa(int(req.GetParallel())))
	if req.GetDryRun() {
		args = append(args, "--dry-run")
	}
	program := info.GetEntryPoint()
	if program == "" {
		program = "."
	}
	args = append(args, program)
	return append(args, req.GetArgs()...), nil
}

// runEnvironment hands the configuration over; it may hold secrets and so never becomes an argument.
func runEnvironment(req *pulumirpc.RunRequest) ([]string, error) {
	config := req.GetConfig()
	if config == nil {
		config = map[string]string{}
	}
	values, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	keys := req.GetConfigSecretKeys()
	if keys == nil {
		keys = []string{}
	}
	secretKeys, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	environment := []string{
		"PULUMI_CONFIG=" + string(values),
		"PULUMI_CONFIG_SECRET_KEYS=" + string(secretKeys),
	}
	if option(req.GetInfo(), "typescript") != "false" {
		environment = append(environment, "PULUMI_NODEJS_TYPESCRIPT=true")
	}
	if tsconfig := option(req.GetInfo(), "tsconfig"); tsconfig != "" {
		environment = append(environment, "PULUMI_NODEJS_TSCONFIG_PATH="+tsconfig)
	}
	return environment, nil
}

// option reads one of `runtime.options` in Pulumi.yaml; "" when it is not set.
func option(info *pulumirpc.ProgramInfo, name string) string {
	value, ok := info.GetOptions().GetFields()[name]
	if !ok {
		return ""
	}
	switch v := value.AsInterface().(type) {
	case bool:
		return strconv.FormatBool(v)
	case string:
		return v
	default:
		return ""
	}
}
