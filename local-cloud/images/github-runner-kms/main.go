// Command github-runner-kms is the local cloud's stand-in for the image knatnetwork/github-runner-kms: it hands out
// registration and remove tokens for runners, with the personal access token that PAT_<organization> holds.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const github = "https://api.github.com"

type service struct {
	github string
	client *http.Client
	pat    func(organization string) string
}

func main() {
	fmt.Println("This is the local cloud's stand-in for knatnetwork/github-runner-kms.")
	s := &service{
		github: github,
		client: &http.Client{Timeout: 30 * time.Second},
		pat:    func(organization string) string { return os.Getenv("PAT_" + organization) },
	}
	server := &http.Server{Addr: ":3000", Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	fmt.Println("Listening on port 3000")
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	for _, kind := range []string{"registration-token", "remove-token"} {
		mux.HandleFunc("GET /{org}/"+kind, func(w http.ResponseWriter, r *http.Request) {
			org := r.PathValue("org")
			s.answer(w, r, org, "/orgs/"+org+"/actions/runners/"+kind)
		})
		mux.HandleFunc("GET /repo/{owner}/{name}/"+kind, func(w http.ResponseWriter, r *http.Request) {
			owner := r.PathValue("owner")
			s.answer(w, r, owner, "/repos/"+owner+"/"+r.PathValue("name")+"/actions/runners/"+kind)
		})
	}
	return mux
}

// answer gives the bare token. As in the original, an error from GitHub is never answered: the request hangs.
func (s *service) answer(w http.ResponseWriter, r *http.Request, organization, path string) {
	token, err := s.token(r.Context(), organization, path)
	if err != nil {
		log.Printf("%s: %v", path, err)
		<-r.Context().Done()
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, token)
}

func (s *service) token(ctx context.Context, organization, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.github+path, strings.NewReader(""))
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "token "+s.pat(organization))
	request.Header.Set("Accept", "application/vnd.github+json")
	request.Header.Set("User-Agent", "github-runner-kms")
	response, err := s.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("GitHub answered %d", response.StatusCode)
	}
	var body struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		return "", err
	}
	return body.Token, nil
}
