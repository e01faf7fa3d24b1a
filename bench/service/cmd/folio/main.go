// Folio keeps Markdown documents and serves them as pages, PDF files, feeds and JSON.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"runner-fleet/bench/service/internal/config"
	"runner-fleet/bench/service/internal/httpapi"
	"runner-fleet/bench/service/internal/store"
)

const release = "1.0.0"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "folio:", err)
		stop()
		os.Exit(1)
	}
}

// run serves until the context ends.
func run(ctx context.Context, arguments []string, lookup func(string) (string, bool), out io.Writer) error {
	flags := flag.NewFlagSet("folio", flag.ContinueOnError)
	flags.SetOutput(out)
	path := flags.String("config", "", "path of the configuration file")
	version := flags.Bool("version", false, "print the version and end")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("found the argument %q, expected flags only", flags.Arg(0))
	}
	if *version {
		_, err := fmt.Fprintf(out, "folio %s %s/%s %s\n", release, runtime.GOOS, runtime.GOARCH, runtime.Version())
		return err
	}
	settings, err := config.Load(*path, lookup)
	if err != nil {
		return err
	}
	documents, err := store.Open(settings.Database, time.Now)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(out, nil))
	return errors.Join(serve(ctx, settings, documents, log), documents.Close())
}

func serve(ctx context.Context, settings config.Config, documents *store.Store, log *slog.Logger) error {
	api, err := httpapi.New(settings, documents, log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", settings.Listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           api.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	log.Info("serving", "address", listener.Addr().String(), "version", release)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// The given context has ended already.
	closing, cancel := context.WithTimeout(context.Background(), settings.ShutdownTimeout)
	defer cancel()
	return server.Shutdown(closing)
}
