package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

const nodeModules = "node_modules"

// packageJSON is the part of a package.json that matters here.
type packageJSON struct {
	Name            string            `json:"name"`
	Version         string            `json:"version"`
	Dependencies    map[string]string `json:"dependencies"`
	DevDependencies map[string]string `json:"devDependencies"`
	Pulumi          struct {
		Resource bool   `json:"resource"`
		Name     string `json:"name"`
		Version  string `json:"version"`
		Server   string `json:"server"`
	} `json:"pulumi"`
}

func readPackage(dir string) (packageJSON, error) {
	var p packageJSON
	path := filepath.Join(dir, "package.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// moduleFolders lists the node_modules folders that node searches from dir, nearest first.
func moduleFolders(dir string) []string {
	var folders []string
	for {
		folders = append(folders, filepath.Join(dir, nodeModules))
		parent := filepath.Dir(dir)
		if parent == dir {
			return folders
		}
		dir = parent
	}
}

// resolveRun finds the SDK's program runner as node would from dir.
func resolveRun(dir string) (string, error) {
	for _, folder := range moduleFolders(dir) {
		run := filepath.Join(folder, "@pulumi", "pulumi", "cmd", "run")
		if _, err := os.Stat(filepath.Join(run, "index.js")); err == nil {
			return run, nil
		}
	}
	return "", fmt.Errorf("the package @pulumi/pulumi is not installed for %s: run npm install there", dir)
}

// requiredPackages are the providers whose SDKs are installed for the program in dir. The nearest copy of a package wins,
// as it does for node.
func requiredPackages(dir string) ([]*pulumirpc.PackageDependency, error) {
	found := map[string]*pulumirpc.PackageDependency{}
	for _, folder := range moduleFolders(dir) {
		var installed []string
		for _, pattern := range []string{"*", "@*/*"} {
			matches, err := filepath.Glob(filepath.Join(folder, pattern, "package.json"))
			if err != nil {
				return nil, err
			}
			installed = append(installed, matches...)
		}
		for _, path := range installed {
			p, err := readPackage(filepath.Dir(path))
			if err != nil {
				return nil, err
			}
			if !p.Pulumi.Resource {
				continue
			}
			dependency := &pulumirpc.PackageDependency{
				Kind: "resource", Name: p.Pulumi.Name, Version: p.Pulumi.Version, Server: p.Pulumi.Server,
			}
			if dependency.Name == "" {
				dependency.Name = filepath.Base(p.Name)
			}
			if dependency.Version == "" {
				dependency.Version = p.Version
			}
			dependency.Version = "v" + strings.TrimPrefix(dependency.Version, "v")
			if _, seen := found[dependency.Name]; !seen {
				found[dependency.Name] = dependency
			}
		}
	}
	packages := make([]*pulumirpc.PackageDependency, 0, len(found))
	for _, p := range found {
		packages = append(packages, p)
	}
	sort.Slice(packages, func(i, j int) bool { return packages[i].Name < packages[j].Name })
	return packages, nil
}

// programDependencies are the direct dependencies of the program in dir, or everything in its lockfile.
func programDependencies(dir string, transitive bool) ([]*pulumirpc.DependencyInfo, error) {
	versions := map[string]string{}
	if transitive {
		var lock struct {
			Packages map[string]struct {
				Version string `json:"version"`
			} `json:"packages"`
		}
		data, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, &lock); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "package-lock.json"), err)
		}
		for path, p := range lock.Packages {
			if _, name, ok := strings.Cut(path, nodeModules+"/"); ok && p.Version != "" {
				versions[name] = p.Version
			}
		}
	} else {
		program, err := readPackage(dir)
		if err != nil {
			return nil, err
		}
		for _, names := range []map[string]string{program.Dependencies, program.DevDependencies} {
			for name, wanted := range names {
				versions[name] = wanted
				installed, err := readPackage(filepath.Join(dir, nodeModules, filepath.FromSlash(name)))
				if err == nil {
					versions[name] = installed.Version
				} else if !errors.Is(err, fs.ErrNotExist) {
					return nil, err
				}
			}
		}
	}
	dependencies := make([]*pulumirpc.DependencyInfo, 0, len(versions))
	for name, version := range versions {
		dependencies = append(dependencies, &pulumirpc.DependencyInfo{Name: name, Version: version})
	}
	sort.Slice(dependencies, func(i, j int) bool { return dependencies[i].Name < dependencies[j].Name })
	return dependencies, nil
}
