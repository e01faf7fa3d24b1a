package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"runner-fleet/bench/service/internal/diff"
	"runner-fleet/bench/service/internal/search"
	"runner-fleet/bench/service/internal/store"
)

const (
	defaultLimit = 50
	maxLimit     = 500
	maxTags      = 20
)

var (
	slugPattern = regexp.MustCompile(`^[a-z0-9]+(?:-[a-z0-9]+)*$`)
	tagPattern  = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,39}$`)
)

// draft is a document as clients send it.
type draft struct {
	Slug   string   `json:"slug"`
	Title  string   `json:"title"`
	Author string   `json:"author"`
	Tags   []string `json:"tags"`
	Body   string   `json:"body"`
}

func (s *Server) readDraft(w http.ResponseWriter, r *http.Request) (store.Document, error) {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, s.config.MaxDocumentBytes))
	decoder.DisallowUnknownFields()
	var sent draft
	if err := decoder.Decode(&sent); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return store.Document{}, err
		}
		return store.Document{}, badRequest("body: " + err.Error())
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return store.Document{}, badRequest("body: found more than one JSON value")
	}
	if sent.Slug == "" {
		sent.Slug = Slug(sent.Title)
	}
	document := store.Document{
		Slug:   sent.Slug,
		Title:  strings.TrimSpace(sent.Title),
		Author: strings.TrimSpace(sent.Author),
		Tags:   normalizeTags(sent.Tags),
		Body:   strings.ReplaceAll(sent.Body, "\r\n", "\n"),
	}
	return document, validate(document)
}

func validate(document store.Document) error {
	switch {
	case document.Title == "":
		return badRequest("title: found nothing, expected a text")
	case len(document.Slug) > 100 || !slugPattern.MatchString(document.Slug):
		return badRequest(fmt.Sprintf("slug: found %q, expected up to 100 of a-z, 0-9 and single hyphens", document.Slug))
	case len(document.Tags) > maxTags:
		return badRequest(fmt.Sprintf("tags: found %d, expected up to %d", len(document.Tags), maxTags))
	}
	for _, tag := range document.Tags {
		if !tagPattern.MatchString(tag) {
			return badRequest(fmt.Sprintf("tags: found %q, expected up to 40 letters, digits and . _ -", tag))
		}
	}
	return nil
}

func normalizeTags(tags []string) []string {
	normalized := make([]string, 0, len(tags))
	for _, tag := range tags {
		normalized = append(normalized, strings.ToLower(strings.TrimSpace(tag)))
	}
	slices.Sort(normalized)
	return slices.Compact(normalized)
}

// Slug makes the part of an address from a title; it is empty where the title has no letter or digit of ASCII.
func Slug(title string) string {
	var out strings.Builder
	pending := false
	for _, r := range strings.ToLower(title) {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			pending = out.Len() > 0
			continue
		}
		if pending {
			out.WriteByte('-')
			pending = false
		}
		out.WriteRune(r)
	}
	return strings.TrimRight(out.String()[:min(out.Len(), 100)], "-")
}

func etag(revision uint64) string { return fmt.Sprintf(`"%d"`, revision) }

// parseETag returns the revision of an If-Match header.
func parseETag(header string) (uint64, error) {
	if header == "" {
		return 0, &requestError{http.StatusPreconditionRequired, "If-Match: found nothing, expected the ETag of the revision that was changed"}
	}
	revision, err := strconv.ParseUint(strings.Trim(header, `"`), 10, 64)
	if err != nil {
		return 0, badRequest(fmt.Sprintf("If-Match: found %s, expected an ETag such as \"3\"", header))
	}
	return revision, nil
}

func (s *Server) listDocuments(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	documents, err := s.store.List(r.URL.Query().Get("after"), limit)
	if err != nil {
		return err
	}
	answer := map[string]any{"documents": summaries(documents)}
	if len(documents) == limit {
		answer["next"] = documents[limit-1].Slug
	}
	return writeJSON(w, http.StatusOK, answer)
}

// summary is a document without its text.
type summary struct {
	Slug     string   `json:"slug"`
	Title    string   `json:"title"`
	Tags     []string `json:"tags"`
	Revision uint64   `json:"revision"`
}

func summaries(documents []store.Document) []summary {
	list := make([]summary, len(documents))
	for i, document := range documents {
		list[i] = summary{document.Slug, document.Title, document.Tags, document.Revision}
	}
	return list
}

func (s *Server) createDocument(w http.ResponseWriter, r *http.Request) error {
	document, err := s.readDraft(w, r)
	if err != nil {
		return err
	}
	document, err = s.store.Create(document)
	if err != nil {
		return err
	}
	s.indexDocument(document)
	w.Header().Set("Location", "/api/documents/"+document.Slug)
	w.Header().Set("ETag", etag(document.Revision))
	return writeJSON(w, http.StatusCreated, document)
}

func (s *Server) getDocument(w http.ResponseWriter, r *http.Request) error {
	document, err := s.store.Get(chi.URLParam(r, "slug"))
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(document.Revision))
	if r.Header.Get("If-None-Match") == etag(document.Revision) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return writeJSON(w, http.StatusOK, document)
}

func (s *Server) updateDocument(w http.ResponseWriter, r *http.Request) error {
	revision, err := parseETag(r.Header.Get("If-Match"))
	if err != nil {
		return err
	}
	document, err := s.readDraft(w, r)
	if err != nil {
		return err
	}
	// The address tells which document, whatever its title has become.
	document.Slug = chi.URLParam(r, "slug")
	document, err = s.store.Update(document, revision)
	if err != nil {
		return err
	}
	s.indexDocument(document)
	w.Header().Set("ETag", etag(document.Revision))
	return writeJSON(w, http.StatusOK, document)
}

func (s *Server) deleteDocument(w http.ResponseWriter, r *http.Request) error {
	slug := chi.URLParam(r, "slug")
	if err := s.store.Delete(slug); err != nil {
		return err
	}
	s.index.Remove(slug)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) indexDocument(document store.Document) {
	s.index.Put(document.Slug, document.Title, s.renderer.Text(document.Body))
}

func (s *Server) listRevisions(w http.ResponseWriter, r *http.Request) error {
	numbers, err := s.store.Revisions(chi.URLParam(r, "slug"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"revisions": numbers})
}

func (s *Server) getRevision(w http.ResponseWriter, r *http.Request) error {
	number, err := parseRevision("revision", chi.URLParam(r, "revision"))
	if err != nil {
		return err
	}
	document, err := s.store.Revision(chi.URLParam(r, "slug"), number)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, document)
}

func (s *Server) diffRevisions(w http.ResponseWriter, r *http.Request) error {
	slug := chi.URLParam(r, "slug")
	var bodies [2]string
	var names [2]string
	for i, parameter := range []string{"from", "to"} {
		number, err := parseRevision(parameter, r.URL.Query().Get(parameter))
		if err != nil {
			return err
		}
		document, err := s.store.Revision(slug, number)
		if err != nil {
			return err
		}
		bodies[i], names[i] = document.Body, fmt.Sprintf("%s@%d", slug, number)
	}
	lines := diff.Lines(bodies[0], bodies[1])
	inserted, deleted := diff.Stat(lines)
	return writeJSON(w, http.StatusOK, map[string]any{
		"inserted": inserted,
		"deleted":  deleted,
		"patch":    diff.Unified(names[0], names[1], lines, 3),
	})
}

func parseRevision(name, text string) (uint64, error) {
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil || number == 0 {
		return 0, badRequest(fmt.Sprintf("%s: found %q, expected the number of a revision", name, text))
	}
	return number, nil
}

func (s *Server) searchDocuments(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query().Get("q")
	if len(search.Words(query)) == 0 {
		return badRequest("q: found no word to search for")
	}
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"results": s.index.Find(query, limit)})
}

func (s *Server) suggest(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"words": s.index.Vocabulary(r.URL.Query().Get("q"), limit)})
}

func (s *Server) listTags(w http.ResponseWriter, _ *http.Request) error {
	tags, err := s.store.Tags()
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"tags": tags})
}

func (s *Server) listTagged(w http.ResponseWriter, r *http.Request) error {
	slugs, err := s.store.Tagged(strings.ToLower(chi.URLParam(r, "tag")))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"documents": slugs})
}

func limitOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, badRequest(fmt.Sprintf("limit: found %q, expected 1 to %d", text, maxLimit))
	}
	return limit, nil
}

func writeJSON(w http.ResponseWriter, status int, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The answer has begun: nobody reads another one if the client is gone.
	_, _ = w.Write(append(content, '\n'))
	return nil
}
