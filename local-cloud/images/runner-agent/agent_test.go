package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// server records what the agent sends and answers each path from a table.
type server struct {
	*httptest.Server
	mutex  sync.Mutex
	bodies map[string][]string
}

func newServer(t *testing.T, answers map[string]func() (int, string)) *server {
	t.Helper()
	s := &server{bodies: map[string][]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		route := r.Method + " " + r.URL.Path
		s.mutex.Lock()
		s.bodies[route] = append(s.bodies[route], string(body))
		s.mutex.Unlock()
		answer, known := answers[route]
		if !known {
			http.Error(w, `{"message":"unexpected request"}`, http.StatusBadRequest)
			return
		}
		status, text := answer()
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) sent(route string) string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return strings.Join(s.bodies[route], "")
}

func always(status int, text string) func() (int, string) {
	return func() (int, string) { return status, text }
}

type answer struct {
	status int
	text   string
}

// inTurn gives each answer once, and the last one from then on.
func inTurn(answers ...answer) func() (int, string) {
	next := 0
	return func() (int, string) {
		now := answers[min(next, len(answers)-1)]
		next++
		return now.status, now.text
	}
}

func TestConfigureRegistersAndRemembers(t *testing.T) {
	root := t.TempDir()
	s := newServer(t, map[string]func() (int, string){
		"POST /_runner/register": always(201, `{"runner_id":5,"credential":"c","name":"builder","pool":"arm64"}`),
		"POST /_runner/remove":   always(204, ""),
	})
	args := []string{"--unattended", "--url", s.URL + "/acme", "--token", "T", "--labels", "docker, webpcloud",
		"--name", "builder", "--runnergroup", "arm64", "--ephemeral", "--replace", "--disableupdate"}
	if err := configure(root, args); err != nil {
		t.Fatal(err)
	}
	var sent registration
	if err := json.Unmarshal([]byte(s.sent("POST /_runner/register")), &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Token != "T" || sent.Name != "builder" || sent.RunnerGroup != "arm64" || !sent.Ephemeral || !sent.Replace ||
		!sent.DisableUpdate || !slices.Equal(sent.Labels, []string{"docker", "webpcloud"}) || sent.Architecture != "ARM64" {
		t.Errorf("registered as %+v", sent)
	}
	current, secret, err := load(root)
	if err != nil || current.ID != 5 || !current.Ephemeral || secret.Credential != "c" {
		t.Errorf("remembers %+v, %v, %v", current, secret, err)
	}
	if err := configure(root, args); err == nil || !strings.Contains(err.Error(), "already configured") {
		t.Errorf("a second configuration gives %v", err)
	}
	if err := remove(root, []string{"--token", "R"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := load(root); err == nil {
		t.Error("still configured after removal")
	}
}

func TestConfigureReportsRefusals(t *testing.T) {
	s := newServer(t, map[string]func() (int, string){
		"POST /_runner/register": always(404, `{"message":"Not Found"}`),
	})
	for _, test := range []struct{ args, want string }{
		{"--unattended --url " + s.URL + "/acme --token bad", "GitHub answered 404: Not Found"},
		{"--unattended --url github.com --token T", "--url is"},
		{"--unattended --url " + s.URL + "/a/b/c --token T", "--url is"},
		{"--unattended --url " + s.URL + "/acme", "--token is missing"},
		{"--unattended --nonsense", "Unrecognized command-line input arguments: '--nonsense'"},
		{"--unattended --token --url x", "--token has no value"},
	} {
		err := configure(t.TempDir(), strings.Fields(test.args))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s gives %v, expected %q", test.args, err, test.want)
		}
	}
}

func TestListenerEndsWhenItsRegistrationIsGone(t *testing.T) {
	s := newServer(t, map[string]func() (int, string){
		"POST /_runner/sessions":     inTurn(answer{201, `{"session_id":"s"}`}, answer{401, `{"message":"deleted"}`}),
		"GET /_runner/messages":      always(410, `{"message":"gone"}`),
		"DELETE /_runner/sessions/s": always(204, ""),
	})
	config, _ := json.Marshal(jitConfig{URL: s.URL + "/acme", Credential: "c", ID: 1, Name: "jit"})
	err := run(t.TempDir(), []string{"--jitconfig", base64.StdEncoding.EncodeToString(config)})
	if err == nil || !strings.Contains(err.Error(), "Runner registration has been deleted") {
		t.Errorf("ends with %v", err)
	}
	if err := run(t.TempDir(), []string{"--jitconfig", "e30="}); err == nil || !strings.Contains(err.Error(), "--jitconfig") {
		t.Errorf("an empty configuration gives %v", err)
	}
}

func TestListenerWaitsForAnOlderSessionToEnd(t *testing.T) {
	attempts := 0
	s := newServer(t, map[string]func() (int, string){
		"POST /_runner/sessions": func() (int, string) {
			attempts++
			if attempts == 1 {
				return 409, `{"message":"A session for this runner already exists."}`
			}
			return 201, `{"session_id":"s"}`
		},
	})
	l := &listener{root: t.TempDir(), client: newClient(s.URL, "c")}
	session, err := l.startSession(context.Background())
	if err != nil || session != "s" || attempts != 2 {
		t.Errorf("session %q after %d attempts, %v", session, attempts, err)
	}
	if sent := s.sent("POST /_runner/sessions"); !strings.Contains(sent, `"version":"2.336.0"`) {
		t.Errorf("tells %s", sent)
	}
}

func jobServer(t *testing.T, cancelled bool) *server {
	heartbeat := `{"cancelled":false}`
	if cancelled {
		heartbeat = `{"cancelled":true}`
	}
	return newServer(t, map[string]func() (int, string){
		"POST /_runner/jobs/1/log":       always(200, ""),
		"POST /_runner/jobs/1/complete":  always(200, "{}"),
		"POST /_runner/jobs/1/heartbeat": always(200, heartbeat),
	})
}

// runScript runs one job and returns what GitHub hears of its end.
func runScript(t *testing.T, s *server, root string, task job) outcome {
	t.Helper()
	task.ID, task.RunID = "1", "7"
	if task.Repository == "" {
		task.Repository = "acme/webppt"
	}
	input, err := json.Marshal(assignment{s.URL, "c", "builder", "_work", task})
	if err != nil {
		t.Fatal(err)
	}
	err = work(root, strings.NewReader(string(input)))
	var end outcome
	if decode := json.Unmarshal([]byte(s.sent("POST /_runner/jobs/1/complete")), &end); decode != nil {
		t.Fatal(decode)
	}
	exit, ok := err.(*exitError)
	if !ok || exit.code != exitByResult[end.Result] {
		t.Errorf("worker ends with %v after %+v", err, end)
	}
	return end
}

func TestWorkerRunsInAFreshWorkspace(t *testing.T) {
	root, s := t.TempDir(), jobServer(t, false)
	stale := filepath.Join(root, "_work/webppt/webppt/stale")
	if err := os.MkdirAll(stale, 0o755); err != nil {
		t.Fatal(err)
	}
	end := runScript(t, s, root, job{
		Script: "pwd; ls; echo $GREETING $GITHUB_REPOSITORY $GITHUB_RUN_ID; echo token=$TOKEN; false | true; echo not reached",
		Env:    map[string]string{"GREETING": "hello", "TOKEN": "s3cret"},
		Masks:  []string{"s3cret"},
	})
	log := s.sent("POST /_runner/jobs/1/log")
	if end != failed {
		t.Errorf("ends %+v", end)
	}
	for _, want := range []string{"stand-in", filepath.Join(root, "_work/webppt/webppt"), "hello acme/webppt 7", "token=***", "exit code 1"} {
		if !strings.Contains(log, want) {
			t.Errorf("log lacks %q:\n%s", want, log)
		}
	}
	for _, unwanted := range []string{"s3cret", "stale", "not reached"} {
		if strings.Contains(log, unwanted) {
			t.Errorf("log has %q:\n%s", unwanted, log)
		}
	}
}

func TestWorkerCancelsWhenGitHubSaysSo(t *testing.T) {
	s := jobServer(t, true)
	start := time.Now()
	if end := runScript(t, s, t.TempDir(), job{Script: "sleep 30"}); end.Result != "cancelled" {
		t.Errorf("ends %+v", end)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestWorkerEndsAJobThatTakesTooLong(t *testing.T) {
	s := jobServer(t, false)
	if end := runScript(t, s, t.TempDir(), job{Script: "sleep 30", TimeoutSeconds: 0.3}); end.Result != "cancelled" {
		t.Errorf("ends %+v", end)
	}
	if log := s.sent("POST /_runner/jobs/1/log"); !strings.Contains(log, "exceeded the maximum execution time") {
		t.Errorf("log: %s", log)
	}
}

func TestWorkerIsNotHeldByWhatAJobLeaves(t *testing.T) {
	s := jobServer(t, false)
	start := time.Now()
	if end := runScript(t, s, t.TempDir(), job{Script: "sleep 30 & echo done"}); end.Result != "succeeded" || end.ExitCode != 0 {
		t.Errorf("ends %+v", end)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestWorkerRefusesAWorkspaceOutside(t *testing.T) {
	s := jobServer(t, false)
	end := runScript(t, s, t.TempDir(), job{Script: "true", Workspace: "../../etc"})
	if end.Result != "failed" || !strings.Contains(s.sent("POST /_runner/jobs/1/log"), "inside the work folder") {
		t.Errorf("ends %+v", end)
	}
}

// withExecutor puts a shell script in the place of the node that runs the executor.
func withExecutor(t *testing.T, script string) string {
	t.Helper()
	root := t.TempDir()
	node := filepath.Join(root, "externals/node20/bin/node")
	if err := os.MkdirAll(filepath.Dir(node), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(node, []byte("#!/bin/bash\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestWorkerGivesStepsToTheExecutor(t *testing.T) {
	s := jobServer(t, false)
	root := withExecutor(t, `
cat >"$(dirname "$0")/input.json"
echo "executor $1, secret s3cret"
echo '{"result":"failed","outputs":{"digest":"sha256:1"},"steps":[{"number":1,"name":"Set up job"}]}' >"$RUNNER_FLEET_RESULT"
exit 1`)
	steps, definition := `[{"run":"echo ${{ github.ref }}"}]`, `{"id":"build"}`
	end := runScript(t, s, root, job{
		Name: "Build", Steps: json.RawMessage(steps), Definition: json.RawMessage(definition), Masks: []string{"s3cret"},
	})
	if end.Result != "failed" || end.ExitCode != 1 || end.StepsReport == nil ||
		string(end.Outputs) != `{"digest":"sha256:1"}` || !strings.Contains(string(end.StepsReport.Steps), "Set up job") {
		t.Errorf("ends %+v", end)
	}
	var input struct {
		Message job
		Runner  executorRunner
	}
	if err := readJSON(filepath.Join(root, "externals/node20/bin/input.json"), &input); err != nil {
		t.Fatal(err)
	}
	workspace := filepath.Join(root, "_work/webppt/webppt")
	if string(input.Message.Steps) != steps || string(input.Message.Definition) != definition || input.Message.Env == nil {
		t.Errorf("the executor got the job %+v", input.Message)
	}
	if input.Runner.Workspace != workspace || input.Runner.Arch != "ARM64" || input.Runner.Environment != "self-hosted" ||
		input.Runner.Temp != filepath.Join(root, "_work/_temp") || input.Runner.ToolCache != filepath.Join(root, "_work/_tool") {
		t.Errorf("the executor got the runner %+v", input.Runner)
	}
	if log := s.sent("POST /_runner/jobs/1/log"); !strings.Contains(log, "executor "+filepath.Join(root, "externals/executor.cjs")+", secret ***") {
		t.Errorf("log: %s", log)
	}
}

func TestWorkerHasTheExecutorEndACancelledJob(t *testing.T) {
	s := jobServer(t, true)
	root := withExecutor(t, `
echo '{"outputs":{},"steps":[{"number":1,"name":"Set up job"}]}' >"$RUNNER_FLEET_RESULT"
trap 'sleep 2.5; echo "always"; echo "{\"result\":\"cancelled\",\"outputs\":{},\"steps\":[]}" >"$RUNNER_FLEET_RESULT"; exit 1' INT
while true; do sleep 0.1; done`)
	if end := runScript(t, s, root, job{Steps: json.RawMessage("[]")}); end.Result != "cancelled" || end.ExitCode != 1 {
		t.Errorf("ends %+v", end)
	}
	if log := s.sent("POST /_runner/jobs/1/log"); !strings.Contains(log, "canceled") || !strings.Contains(log, "always") {
		t.Errorf("log: %s", log)
	}
	s.mutex.Lock()
	beats := s.bodies["POST /_runner/jobs/1/heartbeat"]
	s.mutex.Unlock()
	if len(beats) < 2 || !strings.Contains(beats[0], "Set up job") {
		t.Errorf("heartbeats %q, expected them to tell of steps and to go on while the job ends", beats)
	}
}

func TestWorkerReportsAnExecutorThatFails(t *testing.T) {
	for _, root := range []string{t.TempDir(), withExecutor(t, "exit 2"), withExecutor(t, `echo '{"outputs":{},"steps":[]}' >"$RUNNER_FLEET_RESULT"`)} {
		s := jobServer(t, false)
		if end := runScript(t, s, root, job{Steps: json.RawMessage("[]")}); end != failed {
			t.Errorf("ends %+v", end)
		}
		if log := s.sent("POST /_runner/jobs/1/log"); !strings.Contains(log, "##[error]the executor") {
			t.Errorf("log: %s", log)
		}
	}
}

func TestLogMasksAcrossChunksAndLines(t *testing.T) {
	s := jobServer(t, false)
	log := newJobLog(newClient(s.URL, "c"), "/_runner/jobs/1/log", []string{"abc", "abcdef", "first\nsecond\n", " "})
	for _, chunk := range []string{"x abc", "def y\nfir", "st\n", "second a b", "\nrest abc"} {
		if _, err := io.WriteString(log, chunk); err != nil {
			t.Fatal(err)
		}
	}
	log.close()
	if got, want := s.sent("POST /_runner/jobs/1/log"), "x *** y\n***\n*** a b\nrest ***"; got != want {
		t.Errorf("log is %q, expected %q", got, want)
	}
}

func TestRetryGivesUpAtOnceOnARefusal(t *testing.T) {
	attempts := 0
	s := newServer(t, map[string]func() (int, string){"POST /x": func() (int, string) {
		attempts++
		if attempts < 3 {
			return 502, ""
		}
		return 422, `{"message":"no"}`
	}})
	err := retry(context.Background(), time.Minute, func() error {
		_, err := newClient(s.URL, "").sendJSON(context.Background(), "POST", "/x", nil, nil)
		return err
	})
	if err == nil || err.Error() != "GitHub answered 422: no" || attempts != 3 {
		t.Errorf("%d attempts, %v", attempts, err)
	}
}

func TestArgumentsComeFromTheEnvironmentAndLeaveIt(t *testing.T) {
	root := t.TempDir()
	s := newServer(t, map[string]func() (int, string){
		"POST /_runner/register": always(201, `{"runner_id":5,"credential":"c","name":"builder","pool":"arm64"}`),
	})
	for name, value := range map[string]string{
		"URL": s.URL + "/acme", "TOKEN": "T", "NAME": "builder", "LABELS": "docker,webpcloud", "RUNNERGROUP": "arm64",
		"WORK": "_elsewhere", "UNATTENDED": "true", "EPHEMERAL": "True", "DISABLEUPDATE": "false", "JITCONFIG": "other",
	} {
		t.Setenv("ACTIONS_RUNNER_INPUT_"+name, value)
	}
	if err := configure(root, []string{"--name", "given"}); err != nil {
		t.Fatal(err)
	}
	var sent registration
	if err := json.Unmarshal([]byte(s.sent("POST /_runner/register")), &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Token != "T" || sent.Name != "given" || sent.RunnerGroup != "arm64" || !sent.Ephemeral || sent.DisableUpdate ||
		!slices.Equal(sent.Labels, []string{"docker", "webpcloud"}) {
		t.Errorf("registered as %+v", sent)
	}
	if current, _, err := load(root); err != nil || current.WorkFolder != "_elsewhere" {
		t.Errorf("remembers %+v, %v", current, err)
	}
	for _, entry := range os.Environ() {
		if strings.HasPrefix(entry, "ACTIONS_RUNNER_INPUT_") {
			t.Errorf("the environment still has %s", entry)
		}
	}
	t.Setenv("ACTIONS_RUNNER_INPUT_REPLACE", "perhaps")
	if err := configure(t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), `ACTIONS_RUNNER_INPUT_REPLACE is "perhaps", expected true or false`) {
		t.Errorf("a flag that is neither gives %v", err)
	}
}

// listenOnce runs a listener with a worker that keeps its environment in a file and succeeds; gives that file.
func listenOnce(t *testing.T, s *server) (string, error) {
	t.Helper()
	root := t.TempDir()
	seen := filepath.Join(root, "seen")
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	worker := "#!/bin/sh\nenv >" + seen + "\nexit 100\n"
	if err := os.WriteFile(filepath.Join(root, "bin/Runner.Worker"), []byte(worker), 0o755); err != nil {
		t.Fatal(err)
	}
	config, _ := json.Marshal(jitConfig{URL: s.URL + "/acme", Credential: "c", ID: 1, Name: "jit"})
	t.Setenv("ACTIONS_RUNNER_INPUT_JITCONFIG", base64.StdEncoding.EncodeToString(config))
	return seen, run(root, nil)
}

const offer = `{"job_id":"1","name":"build","run_id":"7","repository":"acme/webppt","env":{}}`

func TestTheListenerTakesItsConfigurationFromTheEnvironmentAndItsWorkerDoesNotSeeIt(t *testing.T) {
	s := newServer(t, map[string]func() (int, string){
		"POST /_runner/sessions":         always(201, `{"session_id":"s"}`),
		"GET /_runner/messages":          always(200, offer),
		"POST /_runner/jobs/1/heartbeat": always(200, `{"cancelled":false}`),
		"DELETE /_runner/sessions/s":     always(204, ""),
	})
	seen, err := listenOnce(t, s)
	if err != nil {
		t.Fatal(err)
	}
	environment, err := os.ReadFile(seen)
	if err != nil || !strings.Contains(string(environment), "PATH=") || strings.Contains(string(environment), "ACTIONS_RUNNER_INPUT") {
		t.Errorf("the worker's environment is %s, %v", environment, err)
	}
}

func TestTheListenerLeavesAJobThatIsNoLongerItsOwnAndListensOn(t *testing.T) {
	s := newServer(t, map[string]func() (int, string){
		"POST /_runner/sessions":         inTurn(answer{201, `{"session_id":"s"}`}, answer{201, `{"session_id":"t"}`}),
		"GET /_runner/messages":          inTurn(answer{200, offer}, answer{410, `{"message":"The session is gone."}`}, answer{200, offer}),
		"POST /_runner/jobs/1/heartbeat": inTurn(answer{410, `{"message":"The job is not running."}`}, answer{200, "{}"}),
		"DELETE /_runner/sessions/t":     always(204, ""),
	})
	seen, err := listenOnce(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(seen); err != nil {
		t.Errorf("the second job was not run: %v", err)
	}
	if _, ended := s.bodies["DELETE /_runner/sessions/t"]; !ended {
		t.Error("the session that took the place of the first is not ended")
	}
}
