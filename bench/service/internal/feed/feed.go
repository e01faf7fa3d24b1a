// Package feed writes an Atom feed (RFC 4287) and a sitemap.
package feed

import (
	"encoding/xml"
	"io"
	"net/url"
	"time"
)

// Entry is one document.
type Entry struct {
	// Path is where the document is, below the address of the site.
	Path      string
	Title     string
	Author    string
	Summary   string
	Published time.Time
	Updated   time.Time
}

// Site is the source of the entries.
type Site struct {
	Title string
	URL   *url.URL
}

type atomFeed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Links   []atomLink  `xml:"link"`
	Entries []atomEntry `xml:"entry"`
}

type atomLink struct {
	Rel  string `xml:"rel,attr"`
	Href string `xml:"href,attr"`
}

type atomEntry struct {
	ID        string     `xml:"id"`
	Title     string     `xml:"title"`
	Link      atomLink   `xml:"link"`
	Published string     `xml:"published"`
	Updated   string     `xml:"updated"`
	Author    atomAuthor `xml:"author"`
	Summary   string     `xml:"summary,omitempty"`
}

type atomAuthor struct {
	Name string `xml:"name"`
}

// WriteAtom writes the entries in the order given; the feed is as old as the entry that was updated last.
func WriteAtom(out io.Writer, site Site, entries []Entry) error {
	feed := atomFeed{
		ID:    site.URL.String(),
		Title: site.Title,
		Links: []atomLink{
			{Rel: "alternate", Href: site.URL.String()},
			{Rel: "self", Href: site.URL.JoinPath("feed.atom").String()},
		},
	}
	var latest time.Time
	for _, entry := range entries {
		if entry.Updated.After(latest) {
			latest = entry.Updated
		}
		location := site.URL.JoinPath(entry.Path).String()
		author := entry.Author
		if author == "" {
			// Every entry needs an author.
			author = site.Title
		}
		feed.Entries = append(feed.Entries, atomEntry{
			ID:        location,
			Title:     entry.Title,
			Link:      atomLink{Rel: "alternate", Href: location},
			Published: entry.Published.UTC().Format(time.RFC3339),
			Updated:   entry.Updated.UTC().Format(time.RFC3339),
			Author:    atomAuthor{Name: author},
			Summary:   entry.Summary,
		})
	}
	feed.Updated = latest.UTC().Format(time.RFC3339)
	return encode(out, feed)
}

type sitemap struct {
	XMLName xml.Name     `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 urlset"`
	URLs    []sitemapURL `xml:"url"`
}

type sitemapURL struct {
	Location string `xml:"loc"`
	Modified string `xml:"lastmod"`
}

// WriteSitemap lists the entries for search engines.
func WriteSitemap(out io.Writer, site Site, entries []Entry) error {
	list := sitemap{}
	for _, entry := range entries {
		list.URLs = append(list.URLs, sitemapURL{
			Location: site.URL.JoinPath(entry.Path).String(),
			Modified: entry.Updated.UTC().Format(time.RFC3339),
		})
	}
	return encode(out, list)
}

func encode(out io.Writer, value any) error {
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(out)
	encoder.Indent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := io.WriteString(out, "\n")
	return err
}
