// Package httpapi serves documents: a JSON interface for programs and pages for readers.
package httpapi

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"runner-fleet/bench/service/internal/config"
	"runner-fleet/bench/service/internal/markdown"
	"runner-fleet/bench/service/internal/search"
	"runner-fleet/bench/service/internal/store"
	"runner-fleet/bench/service/internal/thumbnail"
)

//go:embed templates/*.gohtml
var templateFiles embed.FS

// Server answers requests. It is made by New.
type Server struct {
	config     config.Config
	public     *url.URL
	store      *store.Store
	index      *search.Index
	renderer   *markdown.Renderer
	styleSheet string
	templates  *template.Template
	thumbnails *thumbnail.Cache
	metrics    *metrics
	log        *slog.Logger
}

// New returns a server for a store, whose documents are indexed first.
func New(settings config.Config, documents *store.Store, log *slog.Logger) (*Server, error) {
	public, err := url.Parse(settings.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("publicUrl: %w", err)
	}
	renderer, err := markdown.New(settings.Style)
	if err != nil {
		return nil, err
	}
	styleSheet, err := renderer.StyleSheet()
	if err != nil {
		return nil, err
	}
	templates, err := template.New("").Funcs(template.FuncMap{
		"day": func(moment time.Time) string { return moment.Format(time.DateOnly) },
	}).ParseFS(templateFiles, "templates/*.gohtml")
	if err != nil {
		return nil, err
	}
	server := &Server{
		config:     settings,
		public:     public,
		store:      documents,
		index:      search.New(),
		renderer:   renderer,
		styleSheet: styleSheet,
		templates:  templates,
		thumbnails: thumbnail.NewCache(settings.ThumbnailCache),
		log:        log,
	}
	server.metrics = newMetrics(func() float64 { return float64(server.index.Len()) })
	return server, documents.ForEach(func(document store.Document) error {
		server.index.Put(document.Slug, document.Title, renderer.Text(document.Body))
		return nil
	})
}

// Handler returns all routes.
func (s *Server) Handler() http.Handler {
	router := chi.NewRouter()
	router.Use(middleware.RequestID, s.observe, s.recover)
	router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, fmt.Errorf("%s: %w", r.URL.Path, store.ErrNotFound))
	})
	router.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	router.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))

	router.Route("/api", func(api chi.Router) {
		api.Get("/documents", s.handle(s.listDocuments))
		api.Post("/documents", s.handle(s.createDocument))
		api.Get("/search", s.handle(s.searchDocuments))
		api.Get("/suggest", s.handle(s.suggest))
		api.Get("/tags", s.handle(s.listTags))
		api.Get("/tags/{tag}", s.handle(s.listTagged))
		api.Route("/documents/{slug}", func(document chi.Router) {
			document.Get("/", s.handle(s.getDocument))
			document.Put("/", s.handle(s.updateDocument))
			document.Delete("/", s.handle(s.deleteDocument))
			document.Get("/revisions", s.handle(s.listRevisions))
			document.Get("/revisions/{revision}", s.handle(s.getRevision))
			document.Get("/diff", s.handle(s.diffRevisions))
			document.Get("/attachments", s.handle(s.listAttachments))
			document.Put("/attachments/{name}", s.handle(s.putAttachment))
			document.Get("/attachments/{name}", s.handle(s.getAttachment))
			document.Delete("/attachments/{name}", s.handle(s.deleteAttachment))
			document.Get("/attachments/{name}/thumbnail", s.handle(s.getThumbnail))
		})
	})

	router.Get("/", s.handle(s.indexPage))
	router.Get("/d/{slug}", s.handle(s.documentPage))
	router.Get("/d/{slug}/print.pdf", s.handle(s.documentPDF))
	router.Get("/feed.atom", s.handle(s.atomFeed))
	router.Get("/sitemap.xml", s.handle(s.sitemap))
	router.Get("/code.css", s.handle(s.codeStyle))
	return router
}

// handle makes a handler of a function that returns its error.
func (s *Server) handle(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			s.problem(w, r, err)
		}
	}
}

func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		start := time.Now()
		next.ServeHTTP(wrapped, r)
		duration := time.Since(start)
		status := wrapped.Status()
		if status == 0 {
			status = http.StatusOK
		}
		// The pattern, not the path: a series for every document would be too many.
		route := chi.RouteContext(r.Context()).RoutePattern()
		s.metrics.observe(r.Method, route, status, duration)
		s.log.Info("request", "id", middleware.GetReqID(r.Context()), "method", r.Method, "path", r.URL.Path,
			"status", status, "bytes", wrapped.BytesWritten(), "duration", duration)
	})
}

func (s *Server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if cause := recover(); cause != nil {
				if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(cause)
				}
				s.problem(w, r, fmt.Errorf("panic: %v", cause))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// page writes a template only when it could be executed as a whole.
func (s *Server) page(w http.ResponseWriter, name string, data any) error {
	var out bytes.Buffer
	if err := s.templates.ExecuteTemplate(&out, name, data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// The answer has begun: nobody reads another one if the client is gone.
	_, _ = out.WriteTo(w)
	return nil
}

type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(documents func() float64) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "folio_requests_total", Help: "Requests that were answered.",
		}, []string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "folio_request_duration_seconds", Help: "Time to answer a request.", Buckets: prometheus.DefBuckets,
		}, []string{"method", "route"}),
	}
	m.registry.MustRegister(m.requests, m.duration, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "folio_documents", Help: "Documents in the index.",
	}, documents))
	return m
}

func (m *metrics) observe(method, route string, status int, duration time.Duration) {
	m.requests.WithLabelValues(method, route, fmt.Sprint(status)).Inc()
	m.duration.WithLabelValues(method, route).Observe(duration.Seconds())
}
