package httpapi

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"runner-fleet/bench/service/internal/thumbnail"
)

const (
	defaultThumbnailSize = 320
	maxThumbnailSize     = 1600
)

func (s *Server) listAttachments(w http.ResponseWriter, r *http.Request) error {
	attachments, err := s.store.Attachments(chi.URLParam(r, "slug"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"attachments": attachments})
}

func (s *Server) putAttachment(w http.ResponseWriter, r *http.Request) error {
	name := chi.URLParam(r, "name")
	if len(name) > 200 || strings.ContainsAny(name, "/\\\x00") || strings.HasPrefix(name, ".") {
		return badRequest(fmt.Sprintf("name: found %q, expected the name of a file without folders", name))
	}
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.config.MaxAttachmentBytes))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		return badRequest("body: " + err.Error())
	}
	attachment, err := s.store.Attach(chi.URLParam(r, "slug"), name, contentType(name, content), content)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, attachment)
}

// contentType goes by the content where it can be told, as a browser does, and by the name otherwise.
func contentType(name string, content []byte) string {
	sniffed := http.DetectContentType(content)
	if strings.HasPrefix(sniffed, "text/plain") || sniffed == "application/octet-stream" {
		if byName := mime.TypeByExtension(filepath.Ext(name)); byName != "" {
			return byName
		}
	}
	return sniffed
}

func (s *Server) getAttachment(w http.ResponseWriter, r *http.Request) error {
	attachment, content, err := s.store.Attachment(chi.URLParam(r, "slug"), chi.URLParam(r, "name"))
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", attachment.ContentType)
	header.Set("Content-Length", strconv.Itoa(len(content)))
	header.Set("X-Content-Type-Options", "nosniff")
	// What others uploaded must not run as a page of this site.
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	if !strings.HasPrefix(attachment.ContentType, "image/") {
		header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": attachment.Name}))
	}
	// The answer has begun: nobody reads another one if the client is gone.
	_, _ = w.Write(content)
	return nil
}

func (s *Server) deleteAttachment(w http.ResponseWriter, r *http.Request) error {
	if err := s.store.Detach(chi.URLParam(r, "slug"), chi.URLParam(r, "name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) getThumbnail(w http.ResponseWriter, r *http.Request) error {
	size := defaultThumbnailSize
	if text := r.URL.Query().Get("size"); text != "" {
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 || number > maxThumbnailSize {
			return badRequest(fmt.Sprintf("size: found %q, expected 1 to %d", text, maxThumbnailSize))
		}
		size = number
	}
	attachment, content, err := s.store.Attachment(chi.URLParam(r, "slug"), chi.URLParam(r, "name"))
	if err != nil {
		return err
	}
	// An attachment that is replaced has another time.
	key := fmt.Sprintf("%s/%s/%d/%d", chi.URLParam(r, "slug"), attachment.Name, attachment.Added.UnixNano(), size)
	made, err := s.thumbnails.Get(key, func() (thumbnail.Image, error) { return thumbnail.Make(content, size) })
	if err != nil {
		return err
	}
	if average, err := thumbnail.Average(made.Content); err == nil {
		w.Header().Set("Folio-Average-Colour", fmt.Sprintf("#%02x%02x%02x", average.R, average.G, average.B))
	}
	w.Header().Set("Content-Type", made.ContentType)
	w.Header().Set("Cache-Control", "max-age=3600")
	// The answer has begun: nobody reads another one if the client is gone.
	_, _ = w.Write(made.Content)
	return nil
}
