// Stands in for docker/buildkit-syft-scanner: follows BuildKit's protocol for scanners of software bills of materials,
// and finds the packages that Debian's and Alpine's databases list and the Go modules that binaries were built from.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if err := scanAll(os.Getenv("BUILDKIT_SCAN_SOURCE"), os.Getenv("BUILDKIT_SCAN_SOURCE_EXTRAS"),
		os.Getenv("BUILDKIT_SCAN_DESTINATION")); err != nil {
		fmt.Fprintln(os.Stderr, "syft-scanner (stand-in of the local cloud):", err)
		os.Exit(1)
	}
}

// scanAll writes one statement for the main file system and one for each of the extra ones, if any.
func scanAll(source, extras, destination string) error {
	if source == "" || destination == "" {
		return fmt.Errorf("BUILDKIT_SCAN_SOURCE and BUILDKIT_SCAN_DESTINATION must be set")
	}
	sources := []string{source}
	if extras != "" {
		entries, err := os.ReadDir(extras)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		for _, entry := range entries {
			sources = append(sources, filepath.Join(extras, entry.Name()))
		}
	}
	for _, source := range sources {
		packages, err := scan(source)
		if err != nil {
			return fmt.Errorf("scan of %s: %w", filepath.Base(source), err)
		}
		name := filepath.Base(source)
		content, err := json.Marshal(statement(name, packages, time.Now()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(destination, name+".spdx.json"), content, 0o644); err != nil {
			return err
		}
		fmt.Printf("%s: %d packages\n", name, len(packages))
	}
	return nil
}
