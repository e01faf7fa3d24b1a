package remote

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"golang.org/x/crypto/ssh"

	"runner-fleet/local-cloud/engine/plugins/command/process"
)

// Command is command:remote:Command.
type Command struct{}

// CommandArgs are the inputs of Command.
type CommandArgs struct {
	process.Lifecycle
	Stdin                  *string           `pulumi:"stdin,optional"`
	Logging                *process.Logging  `pulumi:"logging,optional"`
	Connection             *Connection       `pulumi:"connection" provider:"secret"`
	Environment            map[string]string `pulumi:"environment,optional"`
	AddPreviousOutputInEnv *bool             `pulumi:"addPreviousOutputInEnv,optional"`
}

// CommandState is the state of Command. As with the published plugin, stdout and stderr are secret only if
// the program asks for it by additionalSecretOutputs, even where the inputs are secret.
type CommandState struct {
	CommandArgs
	Stdout string `pulumi:"stdout"`
	Stderr string `pulumi:"stderr"`
}

// Create runs `create`.
func (*Command) Create(
	ctx context.Context, req infer.CreateRequest[CommandArgs],
) (infer.CreateResponse[CommandState], error) {
	state := CommandState{CommandArgs: req.Inputs}
	id, err := resource.NewUniqueHex(req.Name, 8, 0)
	if err == nil && !req.DryRun && req.Inputs.Create != nil {
		err = state.run(ctx, *req.Inputs.Create)
	}
	return infer.CreateResponse[CommandState]{ID: id, Output: state}, err
}

// Update runs `update`, or `create` if there is none, on the host of the new connection.
func (*Command) Update(
	ctx context.Context, req infer.UpdateRequest[CommandArgs, CommandState],
) (infer.UpdateResponse[CommandState], error) {
	state := CommandState{CommandArgs: req.Inputs, Stdout: req.State.Stdout, Stderr: req.State.Stderr}
	var err error
	if command := req.Inputs.OnUpdate(); command != nil && !req.DryRun {
		err = state.run(ctx, *command)
	}
	return infer.UpdateResponse[CommandState]{Output: state}, err
}

// Delete runs `delete` on the host of the connection in the state.
func (*Command) Delete(
	ctx context.Context, req infer.DeleteRequest[CommandState],
) (infer.DeleteResponse, error) {
	if req.State.Delete == nil {
		return infer.DeleteResponse{}, nil
	}
	return infer.DeleteResponse{}, req.State.run(ctx, *req.State.Delete)
}

// run runs command and replaces the outputs, which are the previous run's.
func (s *CommandState) run(ctx context.Context, command string) error {
	client, closeClient, err := s.Connection.Dial(ctx)
	if err != nil {
		return err
	}
	defer closeClient()
	session, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("failed to open an SSH session: %w", err)
	}
	defer func() { _ = session.Close() }()
	if err := s.setEnvironment(ctx, session); err != nil {
		return err
	}
	if s.Stdin != nil && *s.Stdin != "" {
		session.Stdin = strings.NewReader(*s.Stdin)
	}
	output := process.NewOutput(ctx, s.Logging)
	session.Stdout, session.Stderr = output.Stdout, output.Stderr

	stop := context.AfterFunc(ctx, func() {
		_ = session.Signal(ssh.SIGTERM)
		closeClient()
	})
	failure := session.Run(command)
	if !stop() {
		failure = ctx.Err()
	}
	stdout, stderr, err := output.Close(command, failure)
	if err != nil {
		return err
	}
	s.Stdout, s.Stderr = stdout, stderr
	return nil
}

// setEnvironment sends the variables ahead of the command. The server decides whether it takes them: the
// user's own are an error if not, the previous output is only worth a warning.
func (s *CommandState) setEnvironment(ctx context.Context, session *ssh.Session) error {
	const hint = "the SSH server must accept it by AcceptEnv, or the command may be prefixed with NAME=value"
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		if err := session.Setenv(name, s.Environment[name]); err != nil {
			return fmt.Errorf("could not set environment variable %q (%s): %w", name, hint, err)
		}
	}
	if s.AddPreviousOutputInEnv != nil && !*s.AddPreviousOutputInEnv {
		return nil
	}
	for _, v := range []struct{ name, value string }{
		{process.PreviousStdout, s.Stdout}, {process.PreviousStderr, s.Stderr},
	} {
		if v.value == "" {
			continue
		}
		if err := session.Setenv(v.name, v.value); err != nil {
			p.GetLogger(ctx).Warningf("could not set environment variable %q (%s)", v.name, hint)
		}
	}
	return nil
}
