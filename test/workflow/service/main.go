// Webppt is what the demo's repository builds: it tells which build it is, as one line of JSON. It imports little, since
// a cold build compiles all that it imports.
package main

import (
	"os"
	"runtime"
	"strconv"
)

func describe() string {
	return `{"greeting":` + strconv.Quote(greeting) + `,"platform":"` + runtime.GOOS + "/" + runtime.GOARCH + `"}`
}

func main() {
	if _, err := os.Stdout.WriteString(describe() + "\n"); err != nil {
		os.Exit(1)
	}
}
