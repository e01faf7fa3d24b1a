package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func write(t *testing.T, root, path, content string) {
	t.Helper()
	file := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func purls(packages []found) []string {
	var all []string
	for _, one := range packages {
		all = append(all, one.purl)
	}
	return all
}

func TestDatabases(t *testing.T) {
	root := t.TempDir()
	write(t, root, "var/lib/dpkg/status", "Package: libc6\nStatus: install ok installed\nArchitecture: arm64\n"+
		"Version: 2.41-12+b1\nDescription: text\n Version: of no field\n\nPackage: gone\nStatus: deinstall ok config-files\n"+
		"Version: 1\n")
	write(t, root, "var/lib/dpkg/status.d/base", "Package: base-files\nArchitecture: amd64\nVersion: 1:13\n")
	write(t, root, "lib/apk/db/installed", "C:Q1=\nP:musl\nV:1.2.5-r9\nA:aarch64\n\nP:busybox\nV:1.37-r1\nA:aarch64\n")
	packages, err := scan(root)
	if err != nil {
		t.Fatal(err)
	}
	want := "pkg:apk/alpine/busybox@1.37-r1?arch=aarch64 pkg:apk/alpine/musl@1.2.5-r9?arch=aarch64 " +
		"pkg:deb/debian/base-files@1%3A13?arch=amd64 pkg:deb/debian/libc6@2.41-12%2Bb1?arch=arm64"
	if got := strings.Join(purls(packages), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestGoBinary(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	write(t, root, "app", string(content))
	if packages, _ := scan(root); len(packages) != 0 {
		t.Errorf("a file that cannot be executed is scanned: %v", packages)
	}
	if err := os.Chmod(filepath.Join(root, "app"), 0o755); err != nil {
		t.Fatal(err)
	}
	packages, err := scan(root)
	if err != nil {
		t.Fatal(err)
	}
	version := strings.TrimPrefix(runtime.Version(), "go")
	got := strings.Join(purls(packages), " ")
	if !strings.Contains(got, "pkg:golang/stdlib@"+version) || !strings.Contains(got, "pkg:golang/syft-scanner") {
		t.Errorf("got %s", got)
	}
}

func TestStatements(t *testing.T) {
	sources, destination := t.TempDir(), t.TempDir()
	write(t, sources, "core/sbom/lib/apk/db/installed", "P:musl\nV:1\nA:x86_64\n")
	write(t, sources, "extras/sbom-build/etc/os-release", "ID=none\n")
	if err := scanAll(filepath.Join(sources, "core/sbom"), filepath.Join(sources, "extras"), destination); err != nil {
		t.Fatal(err)
	}
	for name, count := range map[string]int{"sbom": 1, "sbom-build": 0} {
		content, err := os.ReadFile(filepath.Join(destination, name+".spdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		var got inTotoStatement
		if err := json.Unmarshal(content, &got); err != nil {
			t.Fatal(err)
		}
		if got.PredicateType != predicateType || len(got.Predicate.Packages) != count || got.Predicate.Name != name {
			t.Errorf("%s: %s", name, content)
		}
	}
	if scanAll("", "", destination) == nil {
		t.Error("a scan of nothing succeeds")
	}
	if err := scanAll(filepath.Join(sources, "core/sbom"), "/nowhere", destination); err != nil {
		t.Errorf("extras that do not exist: %v", err)
	}
}
