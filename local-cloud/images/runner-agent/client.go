package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// client speaks to the GitHub side. The credential is empty before registration.
type client struct {
	base       string
	credential string
	http       *http.Client
}

// statusError is an answer that GitHub gave on purpose, as against a connection that failed.
type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("GitHub answered %d: %s", e.status, e.message)
}

func newClient(base, credential string) *client {
	// Longer than the 20 s for which the server may hold a poll.
	return &client{base: base, credential: credential, http: &http.Client{Timeout: 45 * time.Second}}
}

// baseOf reduces the URL of an organisation or a repository to the server it is on.
func baseOf(registerURL string) (string, error) {
	parsed, err := url.Parse(registerURL)
	if err != nil || parsed.Host == "" || (parsed.Scheme != "https" && parsed.Scheme != "http") {
		return "", fmt.Errorf("--url is %q, expected https://github.com/<organization> or https://github.com/<owner>/<repository>", registerURL)
	}
	parts := strings.Split(strings.Trim(parsed.Path, "/"), "/")
	if parts[0] == "" || len(parts) > 2 {
		return "", fmt.Errorf("--url is %q, expected https://github.com/<organization> or https://github.com/<owner>/<repository>", registerURL)
	}
	return parsed.Scheme + "://" + parsed.Host, nil
}

// send makes one request. A JSON answer is stored in out; the status is returned for those who need it.
func (c *client) send(ctx context.Context, method, path, contentType string, body []byte, out any) (int, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	request.Header.Set("User-Agent", "GitHubActionsRunner-linux-"+strings.ToLower(architecture)+"/"+version)
	if c.credential != "" {
		request.Header.Set("Authorization", "Bearer "+c.credential)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return 0, err
	}
	if response.StatusCode >= 300 {
		var failure struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(answer, &failure) != nil || failure.Message == "" {
			failure.Message = http.StatusText(response.StatusCode)
		}
		return response.StatusCode, &statusError{response.StatusCode, failure.Message}
	}
	if out != nil && response.StatusCode != http.StatusNoContent {
		if err := json.Unmarshal(answer, out); err != nil {
			return response.StatusCode, fmt.Errorf("GitHub's answer to %s is not the expected JSON: %w", path, err)
		}
	}
	return response.StatusCode, nil
}

func (c *client) sendJSON(ctx context.Context, method, path string, in, out any) (int, error) {
	var body []byte
	contentType := ""
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body, contentType = encoded, "application/json"
	}
	return c.send(ctx, method, path, contentType, body, out)
}

// retry repeats an attempt that failed for want of a connection or by a server error, until the time is up.
// What GitHub refuses (4xx) is final.
func retry(ctx context.Context, limit time.Duration, attempt func() error) error {
	deadline := time.Now().Add(limit)
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := attempt()
		var refused *statusError
		if err == nil || (errors.As(err, &refused) && refused.status < 500) {
			return err
		}
		if time.Now().Add(pause).After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
