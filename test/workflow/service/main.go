// Webppt is what the demo's repository builds: a small service that says which build it is.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"runtime"
)

// revision is set by the linker.
var revision = "unknown"

type build struct {
	Greeting string `json:"greeting"`
	Platform string `json:"platform"`
	Revision string `json:"revision"`
}

func describe() build {
	return build{Greeting: greeting, Platform: runtime.GOOS + "/" + runtime.GOARCH, Revision: revision}
}

func main() {
	address := flag.String("listen", "", "address to serve at; without it the build is printed")
	flag.Parse()
	if *address == "" {
		if err := json.NewEncoder(os.Stdout).Encode(describe()); err != nil {
			log.Fatal(err)
		}
		return
	}
	http.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(describe()); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	})
	log.Fatal(http.ListenAndServe(*address, nil))
}
