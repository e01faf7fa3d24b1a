package feed

import (
	"encoding/xml"
	"net/url"
	"strings"
	"testing"
	"time"
)

func sample(t *testing.T) (Site, []Entry) {
	t.Helper()
	location, err := url.Parse("https://docs.example.com/team")
	if err != nil {
		t.Fatal(err)
	}
	day := func(day int) time.Time { return time.Date(2024, 3, day, 8, 0, 0, 0, time.UTC) }
	return Site{Title: "Docs & more", URL: location}, []Entry{
		{Path: "d/new", Title: "New <one>", Author: "Ann", Published: day(2), Updated: day(9)},
		{Path: "d/old", Title: "Old", Published: day(1), Updated: day(3), Summary: "short"},
	}
}

func TestWriteAtom(t *testing.T) {
	site, entries := sample(t)
	var out strings.Builder
	if err := WriteAtom(&out, site, entries); err != nil {
		t.Fatal(err)
	}
	var read atomFeed
	if err := xml.Unmarshal([]byte(out.String()), &read); err != nil {
		t.Fatal(err)
	}
	if read.Title != "Docs & more" || read.Updated != "2024-03-09T08:00:00Z" || len(read.Entries) != 2 {
		t.Errorf("found %+v", read)
	}
	first, second := read.Entries[0], read.Entries[1]
	if first.Title != "New <one>" || first.ID != "https://docs.example.com/team/d/new" || first.Author.Name != "Ann" {
		t.Errorf("found %+v", first)
	}
	if second.Author.Name != site.Title || second.Summary != "short" {
		t.Errorf("found %+v", second)
	}
}

func TestWriteSitemap(t *testing.T) {
	site, entries := sample(t)
	var out strings.Builder
	if err := WriteSitemap(&out, site, entries); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<loc>https://docs.example.com/team/d/old</loc>", "<lastmod>2024-03-03T08:00:00Z</lastmod>",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("found %s, expected %s in it", out.String(), want)
		}
	}
}
