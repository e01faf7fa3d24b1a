package main

import (
	"bufio"
	"debug/buildinfo"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// found is a package and the file that tells of it, as a path in the file system that was scanned.
type found struct {
	name, version, purl, location string
}

// scan finds all packages below a folder.
func scan(root string) ([]found, error) {
	var all []found
	statuses := []string{"var/lib/dpkg/status"}
	// Images without dpkg have one file for each package.
	single, _ := filepath.Glob(filepath.Join(root, "var/lib/dpkg/status.d/*"))
	for _, path := range single {
		if relative, err := filepath.Rel(root, path); err == nil && !strings.HasSuffix(relative, ".md5sums") {
			statuses = append(statuses, relative)
		}
	}
	for _, path := range statuses {
		packages, err := debian(root, path)
		if err != nil {
			return nil, err
		}
		all = append(all, packages...)
	}
	packages, err := alpine(root, "lib/apk/db/installed")
	if err != nil {
		return nil, err
	}
	all = append(all, packages...)
	modules, err := goBinaries(root)
	if err != nil {
		return nil, err
	}
	all = append(all, modules...)
	sort.SliceStable(all, func(i, j int) bool { return all[i].purl < all[j].purl })
	return all, nil
}

func debian(root, path string) ([]found, error) {
	var packages []found
	err := records(filepath.Join(root, path), ": ", func(fields map[string]string) {
		status := fields["Status"]
		if fields["Package"] == "" || (status != "" && !strings.HasSuffix(status, " installed")) {
			return
		}
		packages = append(packages, found{
			name:    fields["Package"],
			version: fields["Version"],
			purl: "pkg:deb/debian/" + fields["Package"] + "@" + escape(fields["Version"]) +
				"?arch=" + fields["Architecture"],
			location: "/" + path,
		})
	})
	return packages, err
}

func alpine(root, path string) ([]found, error) {
	var packages []found
	err := records(filepath.Join(root, path), ":", func(fields map[string]string) {
		if fields["P"] == "" {
			return
		}
		packages = append(packages, found{
			name:     fields["P"],
			version:  fields["V"],
			purl:     "pkg:apk/alpine/" + fields["P"] + "@" + escape(fields["V"]) + "?arch=" + fields["A"],
			location: "/" + path,
		})
	})
	return packages, err
}

// records reads blocks of "field<separator>value" with empty lines between them; a file that is not there has none.
func records(path, separator string, each func(fields map[string]string)) error {
	file, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	fields := map[string]string{}
	flush := func() {
		if len(fields) > 0 {
			each(fields)
			fields = map[string]string{}
		}
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			flush()
			continue
		}
		if name, value, ok := strings.Cut(line, separator); ok && !strings.HasPrefix(line, " ") {
			fields[name] = value
		}
	}
	flush()
	return lines.Err()
}

// goBinaries finds the modules of every program that Go built.
func goBinaries(root string) ([]found, error) {
	var packages []found
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		info, err := entry.Info()
		if err != nil || info.Mode()&0o111 == 0 {
			return err
		}
		built, err := buildinfo.ReadFile(path)
		if err != nil {
			// Not a program that Go built.
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		location := "/" + relative
		goVersion := strings.TrimPrefix(built.GoVersion, "go")
		packages = append(packages, found{"stdlib", goVersion, "pkg:golang/stdlib@" + escape(goVersion), location})
		if built.Main.Path != "" {
			packages = append(packages, module(built.Main.Path, built.Main.Version, location))
		}
		for _, dependency := range built.Deps {
			if dependency.Replace != nil {
				dependency = dependency.Replace
			}
			packages = append(packages, module(dependency.Path, dependency.Version, location))
		}
		return nil
	})
	return packages, err
}

func module(path, version, location string) found {
	purl := "pkg:golang/" + path
	if version != "" && version != "(devel)" {
		purl += "@" + escape(version)
	}
	return found{path, version, purl, location}
}

// escape writes a version as package URLs do.
func escape(version string) string {
	return strings.NewReplacer("%", "%25", "+", "%2B", ":", "%3A", " ", "%20").Replace(version)
}
