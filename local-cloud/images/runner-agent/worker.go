package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// How long a cancelled step has to end by itself: after SIGINT, then after SIGTERM, as on GitHub's runner.
const (
	interruptGrace = 7500 * time.Millisecond
	terminateGrace = 2500 * time.Millisecond
)

const greeting = "Runner: '%s', version %s (the local cloud's stand-in), %s"

var (
	errCancelled = errors.New("The operation was canceled.")
	errShutdown  = errors.New("The runner has received a shutdown signal. This can happen when the runner service is stopped, or a manually started runner is canceled.")
)

// outcome is a job's end as GitHub hears of it.
type outcome struct {
	Result   string `json:"result"`
	ExitCode int    `json:"exit_code"`
	// Of a job with steps only.
	*StepsReport
}

var failed = outcome{Result: "failed", ExitCode: 1}

var exitByResult = map[string]int{"succeeded": 100, "failed": 102, "cancelled": 103}

// work runs the one job that stdin holds and reports its log and its end.
func work(root string, stdin io.Reader) error {
	var task assignment
	if err := json.NewDecoder(stdin).Decode(&task); err != nil {
		return fmt.Errorf("the listener's assignment cannot be read: %w", err)
	}
	c := newClient(task.Base, task.Credential)
	path := "/_runner/jobs/" + url.PathEscape(task.Job.ID.String())

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		cancel(errShutdown)
	}()
	// Until the end: a cancelled job still has steps to run.
	beating, stop := context.WithCancel(context.Background())
	defer stop()
	folder, err := os.MkdirTemp("", "runner-result-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	report := filepath.Join(folder, "report.json")
	go heartbeat(beating, c, path, report, cancel)

	log := newJobLog(c, path+"/log", task.Job.Masks)
	var end outcome
	if task.Job.Steps != nil {
		end = executeSteps(ctx, root, task, report, log)
	} else {
		end = execute(ctx, root, task, log)
	}
	log.close()
	err = retry(context.Background(), time.Minute, func() error {
		_, err := c.sendJSON(context.Background(), "POST", path+"/complete", end, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("the end of job %s (%s) cannot be reported: %w", task.Job.Name, end.Result, err)
	}
	return &exitError{code: exitByResult[end.Result]}
}

// heartbeat tells GitHub every 2 s that the job is alive, and which steps have ended if there is a report, and learns
// whether the job is to be cancelled.
func heartbeat(ctx context.Context, c *client, path, report string, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(2 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var answer struct {
			Cancelled bool `json:"cancelled"`
		}
		var known struct {
			Steps json.RawMessage `json:"steps,omitempty"`
		}
		_ = readJSON(report, &known)
		_, err := c.sendJSON(ctx, "POST", path+"/heartbeat", known, &answer)
		var refused *statusError
		final := errors.As(err, &refused) && refused.status < 500
		if answer.Cancelled || final {
			cancel(errCancelled)
		}
		if final {
			return
		}
	}
}

func execute(ctx context.Context, root string, task assignment, log *jobLog) outcome {
	log.printf(greeting, task.RunnerName, version, architecture)
	workspace, temp, err := prepareWorkspace(root, task)
	if err != nil {
		log.printf("##[error]%v", err)
		return failed
	}
	limit := ctx
	if task.Job.TimeoutSeconds > 0 {
		var release context.CancelFunc
		seconds := time.Duration(task.Job.TimeoutSeconds * float64(time.Second))
		limit, release = context.WithTimeoutCause(ctx, seconds,
			fmt.Errorf("The job has exceeded the maximum execution time of %s.", seconds))
		defer release()
	}

	script := filepath.Join(temp, "step.sh")
	if err := os.WriteFile(script, []byte(task.Job.Script), 0o600); err != nil {
		log.printf("##[error]%v", err)
		return failed
	}
	step := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", script)
	step.Dir = workspace
	step.Env = jobEnvironment(task, workspace, temp)
	step.Stdout, step.Stderr = log, log
	step.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// What a step leaves in the background may hold its output open: not for ever.
	step.WaitDelay = 2 * time.Second
	if err := step.Start(); err != nil {
		log.printf("##[error]%v", err)
		return failed
	}
	group := -step.Process.Pid
	finished := make(chan struct{})
	go stopWhenCancelled(limit, group, finished)
	err = step.Wait()
	close(finished)
	_ = syscall.Kill(group, syscall.SIGKILL)

	code := step.ProcessState.ExitCode()
	if cause := context.Cause(limit); cause != nil {
		log.printf("##[error]%v", cause)
		return outcome{Result: "cancelled", ExitCode: code}
	}
	if code != 0 {
		log.printf("##[error]Process completed with exit code %d.", code)
		return outcome{Result: "failed", ExitCode: code}
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		log.printf("##[error]%v", err)
		return failed
	}
	return outcome{Result: "succeeded"}
}

func stopWhenCancelled(ctx context.Context, group int, finished <-chan struct{}) {
	select {
	case <-finished:
		return
	case <-ctx.Done():
	}
	for _, stage := range []struct {
		signal syscall.Signal
		grace  time.Duration
	}{{syscall.SIGINT, interruptGrace}, {syscall.SIGTERM, terminateGrace}, {syscall.SIGKILL, 0}} {
		_ = syscall.Kill(group, stage.signal)
		select {
		case <-finished:
			return
		case <-time.After(stage.grace):
		}
	}
}

// prepareWorkspace makes an empty workspace, _work/<repository>/<repository>, and an empty temporary folder.
func prepareWorkspace(root string, task assignment) (workspace, temp string, err error) {
	_, repository, ok := strings.Cut(task.Job.Repository, "/")
	if !ok || repository == "" {
		return "", "", fmt.Errorf("the job's repository is %q, expected <owner>/<name>", task.Job.Repository)
	}
	relative := task.Job.Workspace
	if relative == "" {
		relative = filepath.Join(repository, repository)
	}
	if !filepath.IsLocal(relative) {
		return "", "", fmt.Errorf("the job's workspace is %q, expected a path inside the work folder", relative)
	}
	base := task.WorkFolder
	if !filepath.IsAbs(base) {
		base = filepath.Join(root, base)
	}
	workspace, temp = filepath.Join(base, relative), filepath.Join(base, "_temp")
	for _, folder := range []string{workspace, temp} {
		if err := os.RemoveAll(folder); err != nil {
			return "", "", err
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return "", "", err
		}
	}
	return workspace, temp, nil
}

func jobEnvironment(task assignment, workspace, temp string) []string {
	variables := map[string]string{}
	for _, entry := range os.Environ() {
		if name, value, ok := strings.Cut(entry, "="); ok {
			variables[name] = value
		}
	}
	maps.Copy(variables, map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": task.Job.Repository,
		"GITHUB_RUN_ID": task.Job.RunID.String(), "GITHUB_WORKSPACE": workspace,
		"RUNNER_NAME": task.RunnerName, "RUNNER_OS": "Linux", "RUNNER_ARCH": architecture,
		"RUNNER_TEMP": temp, "RUNNER_WORKSPACE": filepath.Dir(workspace), "RUNNER_ENVIRONMENT": "self-hosted",
	})
	maps.Copy(variables, task.Job.Env)
	list := make([]string, 0, len(variables))
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		list = append(list, name+"="+variables[name])
	}
	return list
}
