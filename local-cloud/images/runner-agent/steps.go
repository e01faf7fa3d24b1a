package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// How long a cancelled job may take to its end: as long as the executor allows its steps, and a little.
const executorGrace = 5*time.Minute + 30*time.Second

// Where programs find the certificates that this machine trusts; Node has a list of its own.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// StepsReport is what the executor tells of a job besides its result.
type StepsReport struct {
	Outputs json.RawMessage `json:"outputs"`
	Steps   json.RawMessage `json:"steps"`
}

type executorInput struct {
	Message job            `json:"message"`
	Runner  executorRunner `json:"runner"`
}

type executorRunner struct {
	Name        string `json:"name"`
	Arch        string `json:"arch"`
	Environment string `json:"environment"`
	Workspace   string `json:"workspace"`
	Temp        string `json:"temp"`
	ToolCache   string `json:"toolCache"`
}

// executeSteps gives the steps of a job to the executor, which also keeps the job's time. It writes its report to a file
// after each step.
func executeSteps(ctx context.Context, root string, task assignment, report string, log *jobLog) outcome {
	log.printf(greeting, task.RunnerName, version, architecture)
	end, err := runExecutor(ctx, root, task, report, log)
	if err != nil {
		log.printf("##[error]%v", err)
		return failed
	}
	return end
}

func runExecutor(ctx context.Context, root string, task assignment, report string, log *jobLog) (outcome, error) {
	workspace, temp, err := prepareWorkspace(root, task)
	if err != nil {
		return failed, err
	}
	message := task.Job
	if message.Env == nil {
		message.Env = map[string]string{}
	}
	if message.Masks == nil {
		message.Masks = []string{}
	}
	input, err := json.Marshal(executorInput{message, executorRunner{
		Name: task.RunnerName, Arch: architecture, Environment: "self-hosted",
		Workspace: workspace, Temp: temp, ToolCache: filepath.Join(filepath.Dir(temp), "_tool"),
	}})
	if err != nil {
		return failed, err
	}
	externals := filepath.Join(root, "externals")
	executor := exec.Command(filepath.Join(externals, "node20", "bin", "node"), filepath.Join(externals, "executor.cjs"))
	executor.Dir = root
	executor.Env = append(os.Environ(), "RUNNER_FLEET_RESULT="+report)
	if _, err := os.Stat(certificates); err == nil && os.Getenv("NODE_EXTRA_CA_CERTS") == "" {
		executor.Env = append(executor.Env, "NODE_EXTRA_CA_CERTS="+certificates)
	}
	executor.Stdin = bytes.NewReader(input)
	executor.Stdout, executor.Stderr = log, log
	// What a step leaves in the background may hold the output open: not for ever.
	executor.WaitDelay = 2 * time.Second
	if err := executor.Start(); err != nil {
		return failed, fmt.Errorf("the executor cannot be started: %w", err)
	}
	finished := make(chan struct{})
	go func() {
		select {
		case <-finished:
			return
		case <-ctx.Done():
		}
		log.printf("##[error]%v", context.Cause(ctx))
		_ = executor.Process.Signal(syscall.SIGINT)
		select {
		case <-finished:
		case <-time.After(executorGrace):
			_ = executor.Process.Kill()
		}
	}()
	waited := executor.Wait()
	close(finished)

	var end struct {
		Result string `json:"result"`
		StepsReport
	}
	if err := readJSON(report, &end); err != nil || exitByResult[end.Result] == 0 {
		return failed, fmt.Errorf("the executor ended without a result: %v", waited)
	}
	return outcome{Result: end.Result, ExitCode: executor.ProcessState.ExitCode(), StepsReport: &end.StepsReport}, nil
}
