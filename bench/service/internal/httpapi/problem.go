package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"

	"runner-fleet/bench/service/internal/store"
	"runner-fleet/bench/service/internal/thumbnail"
)

// requestError is what a client can mend.
type requestError struct {
	status int
	detail string
}

func (e *requestError) Error() string { return e.detail }

func badRequest(detail string) error { return &requestError{http.StatusBadRequest, detail} }

// problem answers with an error as RFC 9457 has it.
func (s *Server) problem(w http.ResponseWriter, r *http.Request, err error) {
	status, detail := classify(err)
	if status == http.StatusInternalServerError {
		s.log.Error("request failed", "path", r.URL.Path, "error", err)
	}
	body := map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status}
	if detail != "" {
		body["detail"] = detail
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// The client may be gone, which is no matter of ours.
	_ = json.NewEncoder(w).Encode(body)
}

// classify returns the status of an error and what the client may know of it.
func classify(err error) (int, string) {
	var request *requestError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &request):
		return request.status, request.detail
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, err.Error()
	case errors.Is(err, store.ErrNotFound):
		return http.StatusNotFound, err.Error()
	case errors.Is(err, store.ErrExists):
		return http.StatusConflict, err.Error()
	case errors.Is(err, store.ErrConflict):
		return http.StatusPreconditionFailed, err.Error()
	case errors.Is(err, thumbnail.ErrNotImage):
		return http.StatusUnsupportedMediaType, err.Error()
	default:
		return http.StatusInternalServerError, ""
	}
}
