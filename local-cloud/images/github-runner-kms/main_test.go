package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestTokensAreHandedOutBare(t *testing.T) {
	github := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.Header.Get("Authorization") != "token pat-of-my-org" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"token":"`+r.URL.Path+`","expires_at":"soon"}`)
	}))
	defer github.Close()
	s := &service{github: github.URL, client: github.Client(), pat: func(organization string) string { return "pat-of-" + organization }}
	kms := httptest.NewServer(s.routes())
	defer kms.Close()

	for path, want := range map[string]string{
		"/my-org/registration-token":          "/orgs/my-org/actions/runners/registration-token",
		"/my-org/remove-token":                "/orgs/my-org/actions/runners/remove-token",
		"/repo/my-org/app/registration-token": "/repos/my-org/app/actions/runners/registration-token",
		"/repo/my-org/app/remove-token":       "/repos/my-org/app/actions/runners/remove-token",
	} {
		response, err := http.Get(kms.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != 200 || string(body) != want {
			t.Errorf("%s gives %d %q, expected %q", path, response.StatusCode, body, want)
		}
	}

	response, err := http.Get(kms.URL + "/my-org/other")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 404 {
		t.Errorf("an unknown path gives %d", response.StatusCode)
	}

	// GitHub refuses the organisation's token: the caller waits until it gives up.
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	request, _ := http.NewRequestWithContext(ctx, "GET", kms.URL+"/other/registration-token", nil)
	if response, err := http.DefaultClient.Do(request); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a refusal is answered: %v %v", response, err)
	}
}
