// Command runner-agent is the local cloud's stand-in for GitHub's runner program. Installed twice, as
// bin/Runner.Listener and bin/Runner.Worker, it shows the same processes as the real one: the listener
// holds the session with GitHub, and each job is run by a worker process that exists for that job alone.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// version is the runner release that this program stands in for: the one that its image is named after.
var version = fromEnvironment("RUNNER_FLEET_LOCAL_VERSION", "2.336.0")

// architecture is what the runner reports, whatever this machine is: local servers stand in for Arm ones.
var architecture = fromEnvironment("RUNNER_FLEET_LOCAL_ARCH", "ARM64")

const usage = "expected Runner.Listener configure|remove|run, or Runner.Worker spawnclient"

// exitError carries an exit code that the caller's shell scripts act on.
type exitError struct {
	code    int
	message string
}

func (e *exitError) Error() string { return e.message }

func main() {
	err := dispatch(filepath.Base(os.Args[0]), os.Args[1:])
	if err == nil {
		return
	}
	code := 1
	var exit *exitError
	if errors.As(err, &exit) {
		code = exit.code
	}
	if message := err.Error(); message != "" {
		fmt.Fprintln(os.Stderr, message)
	}
	os.Exit(code)
}

func dispatch(program string, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	root, err := runnerRoot()
	if err != nil {
		return err
	}
	switch program + " " + args[0] {
	case "Runner.Listener configure":
		return configure(root, args[1:])
	case "Runner.Listener remove":
		return remove(root, args[1:])
	case "Runner.Listener run":
		return run(root, args[1:])
	case "Runner.Worker spawnclient":
		return work(root, os.Stdin)
	}
	return fmt.Errorf("unknown command %q: %s", program+" "+args[0], usage)
}

// runnerRoot is the folder above bin/, where config.sh, run.sh and the settings are.
func runnerRoot() (string, error) {
	executable, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.Dir(filepath.Dir(executable)), nil
}

func banner() {
	fmt.Printf("This is the local cloud's stand-in for the GitHub Actions runner %s.\n", version)
}

func fromEnvironment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
