package pdf

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"runner-fleet/bench/service/internal/markdown"
)

const sample = `# Title

A *paragraph* with **bold**, ~~old~~ text, ` + "`code`" + ` and a [link](https://example.com/).

> A quotation with umlauts: äöü

1. one
2. two
   - nested

| a | b |
|---|--:|
| 1 | a very long text that does not fit into its cell at all, however small it is set |

---

` + "```go\nfunc main() {\n\tprintln(1)\n}\n```\n"

func set(t *testing.T, source string) []byte {
	t.Helper()
	renderer, err := markdown.New("github")
	if err != nil {
		t.Fatal(err)
	}
	input := []byte(source)
	file, err := Bytes(renderer.Parse(input), input, Meta{
		Title: "Title", Author: "A. Author", Updated: time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWrite(t *testing.T) {
	file := set(t, sample)
	if !bytes.HasPrefix(file, []byte("%PDF-")) || !bytes.Contains(file, []byte("%%EOF")) {
		t.Fatalf("found %d bytes that are no PDF", len(file))
	}
	if !bytes.Contains(file, []byte("https://example.com/")) {
		t.Error("the link is not in the file")
	}
}

func TestWriteBreaksPages(t *testing.T) {
	file := set(t, strings.Repeat("A paragraph.\n\n", 200))
	if pages := bytes.Count(file, []byte("/Type /Page\n")); pages < 3 {
		t.Errorf("found %d pages, expected several", pages)
	}
}

func TestWriteIsReproducible(t *testing.T) {
	if !bytes.Equal(set(t, sample), set(t, sample)) {
		t.Error("the same text gave two different files")
	}
}
