// Package config reads the configuration of the service: defaults, then a YAML file, then the environment.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// Config is everything that can be set.
type Config struct {
	// Listen is the address of the HTTP server, host:port.
	Listen string `yaml:"listen"`
	// Database is the path of the database file.
	Database string `yaml:"database"`
	// PublicURL is where readers reach the service; links in feeds start with it.
	PublicURL string `yaml:"publicUrl"`
	// Title heads the pages and the feed.
	Title string `yaml:"title"`
	// Style is the name of the colour scheme for source code.
	Style string `yaml:"style"`
	// MaxDocumentBytes bounds the Markdown text of one document.
	MaxDocumentBytes int64 `yaml:"maxDocumentBytes"`
	// MaxAttachmentBytes bounds one attached file.
	MaxAttachmentBytes int64 `yaml:"maxAttachmentBytes"`
	// ThumbnailCache is the number of thumbnails that are kept in memory.
	ThumbnailCache int `yaml:"thumbnailCache"`
	// ShutdownTimeout is how long requests under way may take once the service is told to stop.
	ShutdownTimeout time.Duration `yaml:"shutdownTimeout"`
}

// Default returns the configuration that holds where nothing is set.
func Default() Config {
	return Config{
		Listen:             ":8080",
		Database:           "folio.db",
		PublicURL:          "http://localhost:8080",
		Title:              "Folio",
		Style:              "github",
		MaxDocumentBytes:   1 << 20,
		MaxAttachmentBytes: 16 << 20,
		ThumbnailCache:     128,
		ShutdownTimeout:    10 * time.Second,
	}
}

// Load reads the file at path, if path is not empty, and then the environment by lookup.
func Load(path string, lookup func(string) (string, bool)) (Config, error) {
	config := Default()
	if path != "" {
		content, err := os.ReadFile(path)
		if err != nil {
			return Config{}, fmt.Errorf("read configuration: %w", err)
		}
		decoder := yaml.NewDecoder(bytes.NewReader(content))
		decoder.KnownFields(true)
		if err := decoder.Decode(&config); err != nil && !errors.Is(err, io.EOF) {
			return Config{}, fmt.Errorf("parse %s: %w", path, err)
		}
	}
	if err := applyEnvironment(&config, lookup); err != nil {
		return Config{}, err
	}
	return config, config.Validate()
}

func applyEnvironment(config *Config, lookup func(string) (string, bool)) error {
	texts := map[string]*string{
		"FOLIO_LISTEN":     &config.Listen,
		"FOLIO_DATABASE":   &config.Database,
		"FOLIO_PUBLIC_URL": &config.PublicURL,
		"FOLIO_TITLE":      &config.Title,
		"FOLIO_STYLE":      &config.Style,
	}
	for name, target := range texts {
		if value, ok := lookup(name); ok {
			*target = value
		}
	}
	sizes := map[string]*int64{
		"FOLIO_MAX_DOCUMENT_BYTES":   &config.MaxDocumentBytes,
		"FOLIO_MAX_ATTACHMENT_BYTES": &config.MaxAttachmentBytes,
	}
	for name, target := range sizes {
		value, ok := lookup(name)
		if !ok {
			continue
		}
		number, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("%s: found %q, expected a number of bytes", name, value)
		}
		*target = number
	}
	if value, ok := lookup("FOLIO_SHUTDOWN_TIMEOUT"); ok {
		duration, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("FOLIO_SHUTDOWN_TIMEOUT: found %q, expected a duration such as 10s", value)
		}
		config.ShutdownTimeout = duration
	}
	return nil
}

// Validate says what is wrong, all of it at once.
func (c Config) Validate() error {
	var wrong []error
	if c.Listen == "" {
		wrong = append(wrong, errors.New("listen: found nothing, expected host:port"))
	}
	if c.Database == "" {
		wrong = append(wrong, errors.New("database: found nothing, expected a path"))
	}
	if location, err := url.Parse(c.PublicURL); err != nil || location.Host == "" ||
		(location.Scheme != "http" && location.Scheme != "https") {
		wrong = append(wrong, fmt.Errorf("publicUrl: found %q, expected an http or https URL", c.PublicURL))
	}
	if c.MaxDocumentBytes < 1 {
		wrong = append(wrong, fmt.Errorf("maxDocumentBytes: found %d, expected at least 1", c.MaxDocumentBytes))
	}
	if c.MaxAttachmentBytes < 1 {
		wrong = append(wrong, fmt.Errorf("maxAttachmentBytes: found %d, expected at least 1", c.MaxAttachmentBytes))
	}
	if c.ThumbnailCache < 0 {
		wrong = append(wrong, fmt.Errorf("thumbnailCache: found %d, expected 0 or more", c.ThumbnailCache))
	}
	if c.ShutdownTimeout < 0 {
		wrong = append(wrong, fmt.Errorf("shutdownTimeout: found %s, expected 0 or more", c.ShutdownTimeout))
	}
	return errors.Join(wrong...)
}
