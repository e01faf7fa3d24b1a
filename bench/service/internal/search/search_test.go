package search

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func sample() *Index {
	index := New()
	index.Put("build", "Building images", "How an image is built on a runner, step by step.")
	index.Put("cache", "The cache", "A build that was built before is in the cache. Images stay small.")
	index.Put("pets", "Cats", "Cats sleep. Runners do not.")
	return index
}

func slugs(results []Result) []string {
	found := []string{}
	for _, result := range results {
		found = append(found, result.Slug)
	}
	return found
}

func TestFind(t *testing.T) {
	index := sample()
	for name, test := range map[string]struct {
		query string
		want  []string
	}{
		"title first":       {"images", []string{"build", "cache"}},
		"all words":         {"images cache", []string{"cache"}},
		"unfinished word":   {"runn", []string{"pets", "build"}},
		"only the last one": {"runn cats", []string{}},
		"nothing":           {"elephant", []string{}},
		"common words":      {"the of", []string{}},
		"case":              {"CATS", []string{"pets"}},
	} {
		t.Run(name, func(t *testing.T) {
			found := slugs(index.Find(test.query, 10))
			if !reflect.DeepEqual(found, test.want) {
				t.Errorf("found %v, expected %v", found, test.want)
			}
		})
	}
	if found := index.Find("images", 1); len(found) != 1 {
		t.Errorf("found %d results, expected the limit 1", len(found))
	}
}

func TestPutReplacesAndRemoveForgets(t *testing.T) {
	index := sample()
	index.Put("pets", "Dogs", "Dogs bark.")
	if found := index.Find("cats", 10); len(found) != 0 {
		t.Errorf("found %v after it was replaced", found)
	}
	index.Remove("pets")
	index.Remove("pets")
	if found := index.Find("dogs", 10); len(found) != 0 || index.Len() != 2 {
		t.Errorf("found %v in %d documents after it was removed", found, index.Len())
	}
	index.Remove("build")
	index.Remove("cache")
	if index.length != 0 || len(index.postings) != 0 {
		t.Errorf("found length %d and %d postings in an empty index", index.length, len(index.postings))
	}
}

func TestSnippet(t *testing.T) {
	text := strings.Repeat("vor ", 50) + "Übung macht den Meister " + strings.Repeat("nach ", 50)
	snippet := Snippet(text, []string{"meister"}, 60)
	if !strings.Contains(snippet, "Meister") || !strings.HasPrefix(snippet, "… ") || !strings.HasSuffix(snippet, " …") {
		t.Errorf("found %q", snippet)
	}
	if !utf8.ValidString(snippet) {
		t.Errorf("found invalid UTF-8 in %q", snippet)
	}
	if found := Snippet("short\n text", nil, 60); found != "short text" {
		t.Errorf("found %q", found)
	}
}

func TestVocabulary(t *testing.T) {
	if found := sample().Vocabulary("bui", 2); !reflect.DeepEqual(found, []string{"built", "build"}) {
		t.Errorf("found %v", found)
	}
}
