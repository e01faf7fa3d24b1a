package httpapi

import (
	"bytes"
	"io"
	"net/http"

	"github.com/go-chi/chi/v5"

	"runner-fleet/bench/service/internal/feed"
	"runner-fleet/bench/service/internal/markdown"
	"runner-fleet/bench/service/internal/pdf"
	"runner-fleet/bench/service/internal/search"
	"runner-fleet/bench/service/internal/store"
)

const (
	pageEntries = 30
	feedEntries = 20
	snippetSize = 200
)

func (s *Server) indexPage(w http.ResponseWriter, r *http.Request) error {
	data := struct {
		Site    string
		Query   string
		Results []search.Result
		Latest  []store.Document
	}{Site: s.config.Title, Query: r.URL.Query().Get("q")}
	if data.Query != "" {
		data.Results = s.index.Find(data.Query, pageEntries)
	}
	var err error
	if data.Latest, err = s.store.Latest(pageEntries); err != nil {
		return err
	}
	return s.page(w, "index.gohtml", data)
}

func (s *Server) documentPage(w http.ResponseWriter, r *http.Request) error {
	document, err := s.store.Get(chi.URLParam(r, "slug"))
	if err != nil {
		return err
	}
	rendered, err := s.renderer.Render(document.Body)
	if err != nil {
		return err
	}
	attachments, err := s.store.Attachments(document.Slug)
	if err != nil {
		return err
	}
	return s.page(w, "document.gohtml", struct {
		Site        string
		Document    store.Document
		Page        markdown.Page
		Minutes     int
		Attachments []store.Attachment
	}{s.config.Title, document, rendered, readingMinutes(rendered.Words), attachments})
}

// readingMinutes takes 220 words a minute, rounded up.
func readingMinutes(words int) int { return max(1, (words+219)/220) }

func (s *Server) documentPDF(w http.ResponseWriter, r *http.Request) error {
	document, err := s.store.Get(chi.URLParam(r, "slug"))
	if err != nil {
		return err
	}
	source := []byte(document.Body)
	file, err := pdf.Bytes(s.renderer.Parse(source), source, pdf.Meta{
		Title: document.Title, Author: document.Author, Updated: document.Updated,
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/pdf")
	// The answer has begun: nobody reads another one if the client is gone.
	_, _ = w.Write(file)
	return nil
}

func (s *Server) atomFeed(w http.ResponseWriter, _ *http.Request) error {
	documents, err := s.store.Latest(feedEntries)
	if err != nil {
		return err
	}
	return s.writeXML(w, "application/atom+xml", documents, feed.WriteAtom)
}

func (s *Server) sitemap(w http.ResponseWriter, _ *http.Request) error {
	var documents []store.Document
	err := s.store.ForEach(func(document store.Document) error {
		documents = append(documents, document)
		return nil
	})
	if err != nil {
		return err
	}
	return s.writeXML(w, "application/xml", documents, feed.WriteSitemap)
}

func (s *Server) writeXML(w http.ResponseWriter, contentType string, documents []store.Document,
	write func(io.Writer, feed.Site, []feed.Entry) error) error {
	entries := make([]feed.Entry, len(documents))
	for i, document := range documents {
		entries[i] = feed.Entry{
			Path:      "d/" + document.Slug,
			Title:     document.Title,
			Author:    document.Author,
			Summary:   search.Snippet(s.renderer.Text(document.Body), nil, snippetSize),
			Published: document.Created,
			Updated:   document.Updated,
		}
	}
	var out bytes.Buffer
	if err := write(&out, feed.Site{Title: s.config.Title, URL: s.public}, entries); err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType+"; charset=utf-8")
	// The answer has begun: nobody reads another one if the client is gone.
	_, _ = out.WriteTo(w)
	return nil
}

func (s *Server) codeStyle(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=86400")
	// The answer has begun: nobody reads another one if the client is gone.
	_, _ = io.WriteString(w, s.styleSheet)
	return nil
}
