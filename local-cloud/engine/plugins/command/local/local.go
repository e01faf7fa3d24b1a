// Package local runs commands on the machine of the engine.
package local

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gobwas/glob"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"runner-fleet/local-cloud/engine/plugins/command/process"
)

// outputGrace is how long a cancelled command's descendants may keep its output open.
const outputGrace = 2 * time.Second

// Inputs are those of every local command.
type Inputs struct {
	Stdin                  *string            `pulumi:"stdin,optional"`
	Logging                *process.Logging   `pulumi:"logging,optional"`
	Interpreter            *[]string          `pulumi:"interpreter,optional"`
	Dir                    *string            `pulumi:"dir,optional"`
	Environment            *map[string]string `pulumi:"environment,optional"`
	AssetPaths             *[]string          `pulumi:"assetPaths,optional"`
	ArchivePaths           *[]string          `pulumi:"archivePaths,optional"`
	AddPreviousOutputInEnv *bool              `pulumi:"addPreviousOutputInEnv,optional"`
}

// Outputs are those of every local command.
type Outputs struct {
	Stdout  string                            `pulumi:"stdout"`
	Stderr  string                            `pulumi:"stderr"`
	Assets  *map[string]*types.AssetOrArchive `pulumi:"assets,optional"`
	Archive *resource.Archive                 `pulumi:"archive,optional"`
}

// Command is command:local:Command.
type Command struct{}

// CommandArgs are the inputs of Command.
type CommandArgs struct {
	process.Lifecycle
	Inputs
}

// CommandState is the state of Command.
type CommandState struct {
	CommandArgs
	Outputs
}

// Create runs `create`.
func (*Command) Create(
	ctx context.Context, req infer.CreateRequest[CommandArgs],
) (infer.CreateResponse[CommandState], error) {
	state := CommandState{CommandArgs: req.Inputs}
	id, err := resource.NewUniqueHex(req.Name, 8, 0)
	if err == nil && !req.DryRun && req.Inputs.Create != nil {
		err = run(ctx, *req.Inputs.Create, state.Inputs, &state.Outputs)
	}
	return infer.CreateResponse[CommandState]{ID: id, Output: state}, err
}

// Update runs `update`, or `create` if there is none.
func (*Command) Update(
	ctx context.Context, req infer.UpdateRequest[CommandArgs, CommandState],
) (infer.UpdateResponse[CommandState], error) {
	state := CommandState{CommandArgs: req.Inputs, Outputs: req.State.Outputs}
	var err error
	if command := req.Inputs.OnUpdate(); command != nil && !req.DryRun {
		err = run(ctx, *command, state.Inputs, &state.Outputs)
	}
	return infer.UpdateResponse[CommandState]{Output: state}, err
}

// Delete runs `delete` as the state has it.
func (*Command) Delete(
	ctx context.Context, req infer.DeleteRequest[CommandState],
) (infer.DeleteResponse, error) {
	if req.State.Delete == nil {
		return infer.DeleteResponse{}, nil
	}
	return infer.DeleteResponse{}, run(ctx, *req.State.Delete, req.State.Inputs, &req.State.Outputs)
}

// Run is the function command:local:run, which runs at every preview and update.
type Run struct{}

// RunArgs are the inputs of Run.
type RunArgs struct {
	Inputs
	Command string `pulumi:"command"`
}

// RunResult is the result of Run.
type RunResult struct {
	RunArgs
	Outputs
}

// Invoke runs the command.
func (*Run) Invoke(
	ctx context.Context, req infer.FunctionRequest[RunArgs],
) (infer.FunctionResponse[RunResult], error) {
	result := RunResult{RunArgs: req.Input}
	err := run(ctx, req.Input.Command, result.Inputs, &result.Outputs)
	return infer.FunctionResponse[RunResult]{Output: result}, err
}

// run runs command and replaces out, which holds the previous run's output.
func run(ctx context.Context, command string, in Inputs, out *Outputs) error {
	argv := []string{"/bin/sh", "-c"}
	if in.Interpreter != nil && len(*in.Interpreter) > 0 {
		argv = append([]string(nil), *in.Interpreter...)
	}
	argv = append(argv, command)
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if in.Dir != nil {
		dir = *in.Dir
	}

	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = os.Environ()
	cmd.WaitDelay = outputGrace
	if in.Environment != nil {
		for name, value := range *in.Environment {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	if in.AddPreviousOutputInEnv == nil || *in.AddPreviousOutputInEnv {
		if out.Stdout != "" {
			cmd.Env = append(cmd.Env, process.PreviousStdout+"="+out.Stdout)
		}
		if out.Stderr != "" {
			cmd.Env = append(cmd.Env, process.PreviousStderr+"="+out.Stderr)
		}
	}
	if in.Stdin != nil {
		cmd.Stdin = strings.NewReader(*in.Stdin)
	}
	output := process.NewOutput(ctx, in.Logging)
	cmd.Stdout, cmd.Stderr = output.Stdout, output.Stderr
	stdout, stderr, err := output.Close(command, cmd.Run())
	if err != nil {
		return err
	}

	if in.AssetPaths != nil {
		assets, err := collect(dir, *in.AssetPaths)
		if err != nil {
			return err
		}
		out.Assets = &map[string]*types.AssetOrArchive{}
		for name, asset := range assets {
			(*out.Assets)[name] = &types.AssetOrArchive{Asset: asset}
		}
	}
	if in.ArchivePaths != nil {
		assets, err := collect(dir, *in.ArchivePaths)
		if err != nil {
			return err
		}
		members := map[string]any{}
		for name, asset := range assets {
			members[name] = asset
		}
		if out.Archive, err = resource.NewAssetArchive(members); err != nil {
			return err
		}
	}
	out.Stdout, out.Stderr = stdout, stderr
	return nil
}

// collect finds the files below dir that the patterns select. The last pattern that matches a file
// decides; one that starts with "!" leaves the file out.
func collect(dir string, patterns []string) (map[string]*resource.Asset, error) {
	type rule struct {
		glob.Glob
		exclude bool
	}
	rules := make([]rule, 0, len(patterns))
	for _, pattern := range patterns {
		positive, exclude := strings.CutPrefix(pattern, "!")
		compiled, err := glob.Compile(positive, '/')
		if err != nil {
			return nil, fmt.Errorf("path pattern %q: %w", pattern, err)
		}
		rules = append(rules, rule{compiled, exclude})
	}
	assets := map[string]*resource.Asset{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		selected := false
		for _, r := range rules {
			if r.Match(name) {
				selected = !r.exclude
			}
		}
		if selected {
			assets[name], err = resource.NewPathAsset(filepath.Join(dir, name))
		}
		return err
	})
	return assets, err
}
