package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// settings is what a configured runner knows of itself, kept in .runner as GitHub's runner does.
type settings struct {
	URL        string `json:"gitHubUrl"`
	Name       string `json:"agentName"`
	ID         int64  `json:"agentId"`
	Pool       string `json:"poolName,omitempty"`
	WorkFolder string `json:"workFolder"`
	Ephemeral  bool   `json:"ephemeral"`
}

type credentials struct {
	Credential string `json:"credential"`
}

type registration struct {
	URL           string   `json:"url"`
	Token         string   `json:"token"`
	Name          string   `json:"name"`
	Labels        []string `json:"labels"`
	RunnerGroup   string   `json:"runner_group,omitempty"`
	Ephemeral     bool     `json:"ephemeral"`
	Replace       bool     `json:"replace"`
	DisableUpdate bool     `json:"disable_update"`
	Version       string   `json:"version"`
	OS            string   `json:"os"`
	Architecture  string   `json:"architecture"`
}

type registered struct {
	ID         int64  `json:"runner_id"`
	Credential string `json:"credential"`
	Name       string `json:"name"`
	Pool       string `json:"pool"`
}

// jitConfig is what `run.sh --jitconfig` carries, base64-encoded.
type jitConfig struct {
	URL        string `json:"url"`
	Credential string `json:"credential"`
	ID         int64  `json:"runner_id"`
	Name       string `json:"name"`
	WorkFolder string `json:"work_folder"`
}

const defaultWorkFolder = "_work"

// options are the flags of config.sh and run.sh: a flag either stands alone or takes the next argument.
type options map[string]string

// Any argument may come as an environment variable of this name and the argument's in capitals.
const inputPrefix = "ACTIONS_RUNNER_INPUT_"

// takeInputs reads the arguments that the environment gives and removes them from it, so that what this program starts
// does not see them. By argument, in lower case.
func takeInputs() options {
	inputs := options{}
	for _, entry := range os.Environ() {
		variable, value, _ := strings.Cut(entry, "=")
		if len(variable) <= len(inputPrefix) || !strings.EqualFold(variable[:len(inputPrefix)], inputPrefix) {
			continue
		}
		inputs[strings.ToLower(variable[len(inputPrefix):])] = value
		_ = os.Unsetenv(variable)
	}
	return inputs
}

// parse reads flags, and takes from the environment those that are not given. `known` maps a flag's name to whether it
// takes a value.
func parse(args []string, known map[string]bool) (options, error) {
	parsed := options{}
	for name, value := range takeInputs() {
		takesValue, isKnown := known[name]
		switch {
		case !isKnown || value == "":
			// The environment may serve several commands.
		case takesValue:
			parsed[name] = value
		case strings.EqualFold(value, "true"):
			parsed[name] = "true"
		case !strings.EqualFold(value, "false"):
			return nil, fmt.Errorf("%s%s is %q, expected true or false", inputPrefix, strings.ToUpper(name), value)
		}
	}
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "--")
		name = strings.ToLower(name)
		takesValue, isKnown := known[name]
		if !isFlag || !isKnown {
			return nil, fmt.Errorf("Unrecognized command-line input arguments: '%s'. For usage refer to: ./config.sh --help", args[i])
		}
		if !takesValue {
			parsed[name] = "true"
			continue
		}
		if i+1 >= len(args) || strings.HasPrefix(args[i+1], "--") {
			return nil, fmt.Errorf("--%s has no value", name)
		}
		i++
		parsed[name] = args[i]
	}
	return parsed, nil
}

func configure(root string, args []string) error {
	flags, err := parse(args, map[string]bool{
		"unattended": false, "url": true, "token": true, "name": true, "labels": true, "runnergroup": true,
		"work": true, "replace": false, "ephemeral": false, "disableupdate": false,
	})
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(root, ".runner")); err == nil {
		return errors.New("Cannot configure the runner because it is already configured. To reconfigure the runner, run './config.sh remove' first.")
	}
	if flags["unattended"] == "" {
		return errors.New("the stand-in runner asks no questions: --unattended is missing")
	}
	if flags["token"] == "" {
		return errors.New("--token is missing, expected a registration token")
	}
	base, err := baseOf(flags["url"])
	if err != nil {
		return err
	}
	name := flags["name"]
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return err
		}
	}
	work := flags["work"]
	if work == "" {
		work = defaultWorkFolder
	}
	request := registration{
		URL: flags["url"], Token: flags["token"], Name: name, Labels: []string{}, RunnerGroup: flags["runnergroup"],
		Ephemeral: flags["ephemeral"] != "", Replace: flags["replace"] != "", DisableUpdate: flags["disableupdate"] != "",
		Version: version, OS: "Linux", Architecture: architecture,
	}
	for _, label := range strings.Split(flags["labels"], ",") {
		if label = strings.TrimSpace(label); label != "" {
			request.Labels = append(request.Labels, label)
		}
	}
	banner()
	var answer registered
	ctx := context.Background()
	err = retry(ctx, 30*time.Second, func() error {
		_, err := newClient(base, "").sendJSON(ctx, "POST", "/_runner/register", request, &answer)
		return err
	})
	if err != nil {
		return fmt.Errorf("Failed to register the runner %s: %w", name, err)
	}
	fmt.Printf("√ Connected to GitHub\n√ Runner successfully added\n")
	if err := writeJSON(filepath.Join(root, ".credentials"), credentials{answer.Credential}); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(root, ".runner"), settings{
		URL: flags["url"], Name: answer.Name, ID: answer.ID, Pool: answer.Pool, WorkFolder: work, Ephemeral: request.Ephemeral,
	}); err != nil {
		return err
	}
	fmt.Println("√ Settings Saved.")
	return nil
}

func remove(root string, args []string) error {
	flags, err := parse(args, map[string]bool{"token": true, "unattended": false})
	if err != nil {
		return err
	}
	current, _, err := load(root)
	if err != nil {
		return err
	}
	if flags["token"] == "" {
		return errors.New("--token is missing, expected a remove token")
	}
	base, err := baseOf(current.URL)
	if err != nil {
		return err
	}
	ctx := context.Background()
	request := map[string]string{"url": current.URL, "token": flags["token"], "name": current.Name}
	err = retry(ctx, 10*time.Second, func() error {
		_, err := newClient(base, "").sendJSON(ctx, "POST", "/_runner/remove", request, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("Failed to remove the runner %s: %w", current.Name, err)
	}
	fmt.Println("√ Runner removed successfully")
	return forget(root)
}

// forget removes the settings, after which config.sh may be run again.
func forget(root string) error {
	for _, name := range []string{".credentials", ".runner"} {
		if err := os.Remove(filepath.Join(root, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func load(root string) (settings, credentials, error) {
	var current settings
	var secret credentials
	if err := readJSON(filepath.Join(root, ".runner"), &current); err != nil {
		return current, secret, errors.New("Not configured. Run config.sh to configure the runner.")
	}
	err := readJSON(filepath.Join(root, ".credentials"), &secret)
	return current, secret, err
}

func decodeJIT(encoded string) (settings, credentials, error) {
	var config jitConfig
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err == nil {
		err = json.Unmarshal(raw, &config)
	}
	if err != nil || config.URL == "" || config.Credential == "" {
		return settings{}, credentials{}, errors.New("--jitconfig is not an encoded_jit_config of GitHub")
	}
	if config.WorkFolder == "" {
		config.WorkFolder = defaultWorkFolder
	}
	return settings{
		URL: config.URL, Name: config.Name, ID: config.ID, WorkFolder: config.WorkFolder, Ephemeral: true,
	}, credentials{config.Credential}, nil
}

func writeJSON(path string, value any) error {
	encoded, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(encoded, '\n'), 0o600)
}

func readJSON(path string, value any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, value)
}
