package httpapi

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runner-fleet/bench/service/internal/config"
	"runner-fleet/bench/service/internal/store"
)

type client struct {
	t   *testing.T
	url string
}

func start(t *testing.T, change func(*config.Config)) client {
	t.Helper()
	settings := config.Default()
	settings.PublicURL = "https://docs.example.com"
	if change != nil {
		change(&settings)
	}
	documents, err := store.Open(filepath.Join(t.TempDir(), "test.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	server, err := New(settings, documents, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server.Handler())
	t.Cleanup(func() {
		listener.Close()
		if err := documents.Close(); err != nil {
			t.Error(err)
		}
	})
	return client{t, listener.URL}
}

// do sends a request, checks the status and returns header and body.
func (c client) do(method, path, body string, status int, headers ...string) (http.Header, string) {
	c.t.Helper()
	request, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if response.StatusCode != status {
		c.t.Fatalf("%s %s: found status %d, expected %d: %s", method, path, response.StatusCode, status, content)
	}
	return response.Header, string(content)
}

func (c client) create(title, body string) {
	c.t.Helper()
	content, err := json.Marshal(draft{Title: title, Body: body, Author: "Ann", Tags: []string{"Go", "go ", "build"}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.do("POST", "/api/documents", string(content), http.StatusCreated)
}

func TestLifeOfADocument(t *testing.T) {
	c := start(t, nil)
	c.create("Hello, World!", "# Hello\n\nfirst text\n")
	header, body := c.do("GET", "/api/documents/hello-world", "", http.StatusOK)
	if header.Get("ETag") != `"1"` || !strings.Contains(body, `"tags":["build","go"]`) {
		t.Errorf("found %s, ETag %s", body, header.Get("ETag"))
	}
	c.do("GET", "/api/documents/hello-world", "", http.StatusNotModified, "If-None-Match", `"1"`)

	changed := `{"title": "Hello again", "body": "# Hello\n\nsecond text\n"}`
	c.do("PUT", "/api/documents/hello-world", changed, http.StatusPreconditionRequired)
	header, _ = c.do("PUT", "/api/documents/hello-world", changed, http.StatusOK, "If-Match", `"1"`)
	if header.Get("ETag") != `"2"` {
		t.Errorf("found ETag %s", header.Get("ETag"))
	}
	c.do("PUT", "/api/documents/hello-world", changed, http.StatusPreconditionFailed, "If-Match", `"1"`)

	_, body = c.do("GET", "/api/documents/hello-world/diff?from=1&to=2", "", http.StatusOK)
	if !strings.Contains(body, `-first text\n+second text`) {
		t.Errorf("diff: found %s", body)
	}
	_, body = c.do("GET", "/api/documents/hello-world/revisions/1", "", http.StatusOK)
	if !strings.Contains(body, "first text") {
		t.Errorf("revision 1: found %s", body)
	}
	_, body = c.do("GET", "/api/search?q=second", "", http.StatusOK)
	if !strings.Contains(body, `"slug":"hello-world"`) {
		t.Errorf("search: found %s", body)
	}
	c.do("DELETE", "/api/documents/hello-world", "", http.StatusNoContent)
	c.do("GET", "/api/documents/hello-world", "", http.StatusNotFound)
	_, body = c.do("GET", "/api/search?q=second", "", http.StatusOK)
	if strings.Contains(body, "hello-world") {
		t.Errorf("search after delete: found %s", body)
	}
}

func TestProblems(t *testing.T) {
	c := start(t, func(settings *config.Config) {
		settings.MaxDocumentBytes = 200
		settings.MaxAttachmentBytes = 10
	})
	c.create("One", "text")
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"no title":           {"POST", "/api/documents", `{}`, 400, "title: found nothing"},
		"unknown field":      {"POST", "/api/documents", `{"titel": "x"}`, 400, "titel"},
		"two values":         {"POST", "/api/documents", `{"title": "x"} {}`, 400, "more than one JSON value"},
		"bad slug":           {"POST", "/api/documents", `{"title": "x", "slug": "../x"}`, 400, "slug: found"},
		"bad tag":            {"POST", "/api/documents", `{"title": "x", "tags": ["<b>"]}`, 400, "tags: found"},
		"same slug":          {"POST", "/api/documents", `{"title": "one"}`, 409, "exists already"},
		"too long":           {"POST", "/api/documents", `{"title": "` + strings.Repeat("x", 300) + `"}`, 413, "too large"},
		"bad limit":          {"GET", "/api/documents?limit=0", "", 400, "limit: found"},
		"no word":            {"GET", "/api/search?q=the", "", 400, "found no word"},
		"bad revision":       {"GET", "/api/documents/one/revisions/x", "", 400, "revision: found"},
		"no revision":        {"GET", "/api/documents/one/revisions/9", "", 404, "not found"},
		"no route":           {"GET", "/nothing", "", 404, "/nothing"},
		"large attachment":   {"PUT", "/api/documents/one/attachments/a", "01234567890", 413, "too large"},
		"hidden attachment":  {"PUT", "/api/documents/one/attachments/.a", "0", 400, "name: found"},
		"missing document":   {"PUT", "/api/documents/two/attachments/a", "0", 404, "not found"},
		"missing attachment": {"GET", "/api/documents/one/attachments/a", "", 404, "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			c := client{t, c.url}
			header, body := c.do(test.method, test.path, test.body, test.status)
			if header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, test.want) {
				t.Errorf("found %s, expected %q in it", body, test.want)
			}
		})
	}
}

func TestListPages(t *testing.T) {
	c := start(t, nil)
	for _, title := range []string{"b", "a", "c"} {
		c.create(title, "")
	}
	_, body := c.do("GET", "/api/documents?limit=2", "", http.StatusOK)
	var page struct {
		Documents []summary `json:"documents"`
		Next      string    `json:"next"`
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil || len(page.Documents) != 2 || page.Next != "b" {
		t.Errorf("found %s, %v", body, err)
	}
	_, body = c.do("GET", "/api/documents?limit=2&after=b", "", http.StatusOK)
	if !strings.Contains(body, `"slug":"c"`) || strings.Contains(body, "next") {
		t.Errorf("found %s", body)
	}
	_, body = c.do("GET", "/api/tags", "", http.StatusOK)
	if !strings.Contains(body, `"go":3`) {
		t.Errorf("tags: found %s", body)
	}
	_, body = c.do("GET", "/api/tags/GO", "", http.StatusOK)
	if !strings.Contains(body, `["a","b","c"]`) {
		t.Errorf("tagged: found %s", body)
	}
}

func TestAttachmentsAndThumbnails(t *testing.T) {
	c := start(t, nil)
	c.create("Doc", "")
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 200, 100))); err != nil {
		t.Fatal(err)
	}
	c.do("PUT", "/api/documents/doc/attachments/x.png", picture.String(), http.StatusCreated)
	c.do("PUT", "/api/documents/doc/attachments/x.html", "<p>page</p>", http.StatusCreated)

	header, body := c.do("GET", "/api/documents/doc/attachments/x.png", "", http.StatusOK)
	if header.Get("Content-Type") != "image/png" || body != picture.String() {
		t.Errorf("found %d bytes of %s", len(body), header.Get("Content-Type"))
	}
	header, _ = c.do("GET", "/api/documents/doc/attachments/x.html", "", http.StatusOK)
	if !strings.HasPrefix(header.Get("Content-Disposition"), "attachment") {
		t.Errorf("a page is not offered as a download: %v", header)
	}
	for range 2 {
		header, body = c.do("GET", "/api/documents/doc/attachments/x.png/thumbnail?size=50", "", http.StatusOK)
		small, _, err := image.Decode(strings.NewReader(body))
		if err != nil || small.Bounds().Dx() != 50 || header.Get("Folio-Average-Colour") != "#000000" {
			t.Errorf("found %v, %v, %v", small, header, err)
		}
	}
	c.do("GET", "/api/documents/doc/attachments/x.html/thumbnail", "", http.StatusUnsupportedMediaType)
	c.do("DELETE", "/api/documents/doc/attachments/x.png", "", http.StatusNoContent)
	_, body = c.do("GET", "/api/documents/doc/attachments", "", http.StatusOK)
	if strings.Contains(body, "x.png") || !strings.Contains(body, "x.html") {
		t.Errorf("found %s", body)
	}
}

func TestPages(t *testing.T) {
	c := start(t, nil)
	c.create("A & B", "# One\n\n## Two\n\n## Three\n\n```go\nfunc main() {}\n```\n")
	for path, wants := range map[string][]string{
		"/":                  {"A &amp; B", "/d/a-b"},
		"/?q=three":          {"Results"},
		"/?q=nothingness":    {"Nothing was found."},
		"/d/a-b":             {`href="#two"`, `class="kd">func`, "Ann"},
		"/d/a-b/print.pdf":   {"%PDF-"},
		"/feed.atom":         {"<title>A &amp; B</title>", "https://docs.example.com/d/a-b"},
		"/sitemap.xml":       {"<loc>https://docs.example.com/d/a-b</loc>"},
		"/code.css":          {".chroma"},
		"/metrics":           {"folio_documents 1"},
		"/api/suggest?q=thr": {`"words":["three"]`},
	} {
		_, body := c.do("GET", path, "", http.StatusOK)
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s: expected %q in %s", path, want, body)
			}
		}
	}
	c.do("GET", "/healthz", "", http.StatusNoContent)
	c.do("GET", "/d/none", "", http.StatusNotFound)
}

func TestSlug(t *testing.T) {
	for title, want := range map[string]string{
		"Hello, World!":           "hello-world",
		"  --x--  ":               "x",
		"Größe":                   "gr-e",
		"…":                       "",
		strings.Repeat("ab ", 50): strings.TrimRight(strings.Repeat("ab-", 50)[:100], "-"),
	} {
		if found := Slug(title); found != want {
			t.Errorf("%q: found %q, expected %q", title, found, want)
		}
	}
}
