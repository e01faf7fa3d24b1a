// Command plugins is every Pulumi resource plugin of this project in one program. It acts as the plugin
// whose file name it is started under (pulumi-resource-hcloud, -github, -random, -command).
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"runner-fleet/local-cloud/engine/plugins/command"
)

// The versions are those of the npm SDKs: the SDK asks the engine for exactly its own version.
const (
	hcloudVersion  = "1.41.0"
	githubVersion  = "6.12.2"
	randomVersion  = "4.21.2"
	commandVersion = "1.2.1"
)

func main() {
	name, ok := strings.CutPrefix(filepath.Base(os.Args[0]), "pulumi-resource-")
	if !ok {
		fail("start this program under the name of a plugin, for example pulumi-resource-hcloud")
	}
	if len(os.Args) == 2 && os.Args[1] == "-mapping" {
		if err := printMapping(os.Stdout, name); err != nil {
			fail(err.Error())
		}
		return
	}
	var err error
	switch name {
	case "hcloud":
		err = serveHcloud()
	case "github":
		serveGithub()
	case "random":
		serveRandom()
	case "command":
		err = command.Serve(commandVersion)
	default:
		err = fmt.Errorf("unknown plugin %q: this program is hcloud, github, random and command", name)
	}
	if err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
