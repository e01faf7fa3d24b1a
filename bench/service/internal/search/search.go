// Package search finds documents by words. The index lives in memory and is ranked by BM25.
package search

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// Parameters of BM25 as they are commonly chosen.
const (
	saturation   = 1.2
	lengthWeight = 0.75
	// titleWeight is how often a word of the title counts.
	titleWeight = 4
)

// Result is a document that was found.
type Result struct {
	Slug  string  `json:"slug"`
	Title string  `json:"title"`
	Score float64 `json:"score"`
	// Snippet is the text around the first match.
	Snippet string `json:"snippet"`
}

type entry struct {
	title  string
	text   string
	terms  map[string]int
	length int
}

// Index is safe for use by several goroutines. Its zero value is no index: use New.
type Index struct {
	mutex    sync.RWMutex
	entries  map[string]entry
	postings map[string]map[string]int
	length   int
}

// New returns an empty index.
func New() *Index {
	return &Index{entries: map[string]entry{}, postings: map[string]map[string]int{}}
}

// Put adds a document, in the place of one with the same slug.
func (i *Index) Put(slug, title, text string) {
	added := entry{title: title, text: text, terms: map[string]int{}}
	for _, word := range Words(title) {
		added.terms[word] += titleWeight
		added.length += titleWeight
	}
	for _, word := range Words(text) {
		added.terms[word]++
		added.length++
	}
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.remove(slug)
	i.entries[slug] = added
	i.length += added.length
	for term, count := range added.terms {
		if i.postings[term] == nil {
			i.postings[term] = map[string]int{}
		}
		i.postings[term][slug] = count
	}
}

// Remove takes a document out; one that is not there is no error.
func (i *Index) Remove(slug string) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.remove(slug)
}

func (i *Index) remove(slug string) {
	removed, ok := i.entries[slug]
	if !ok {
		return
	}
	for term := range removed.terms {
		delete(i.postings[term], slug)
		if len(i.postings[term]) == 0 {
			delete(i.postings, term)
		}
	}
	i.length -= removed.length
	delete(i.entries, slug)
}

// Len returns the number of documents.
func (i *Index) Len() int {
	i.mutex.RLock()
	defer i.mutex.RUnlock()
	return len(i.entries)
}

// Find returns up to limit documents that have all words of the query, the best first. The last word may be unfinished.
func (i *Index) Find(query string, limit int) []Result {
	words := Words(query)
	if len(words) == 0 || limit < 1 {
		return []Result{}
	}
	i.mutex.RLock()
	defer i.mutex.RUnlock()
	var scores map[string]float64
	for position, word := range words {
		scores = intersect(scores, i.score(word, position == len(words)-1))
		if len(scores) == 0 {
			return []Result{}
		}
	}
	results := make([]Result, 0, len(scores))
	for slug, score := range scores {
		results = append(results, Result{Slug: slug, Title: i.entries[slug].title, Score: score})
	}
	slices.SortFunc(results, func(a, b Result) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		default:
			return strings.Compare(a.Slug, b.Slug)
		}
	})
	results = results[:min(limit, len(results))]
	for position := range results {
		results[position].Snippet = Snippet(i.entries[results[position].Slug].text, words, 160)
	}
	return results
}

// score returns the documents that have a word, or one that starts with it, and how well each fits.
func (i *Index) score(word string, prefix bool) map[string]float64 {
	scores := map[string]float64{}
	for term, documents := range i.matching(word, prefix) {
		weight := 1.0
		if term != word {
			weight = float64(len(word)) / float64(len(term))
		}
		total := float64(len(i.entries))
		found := float64(len(documents))
		rarity := math.Log(1 + (total-found+0.5)/(found+0.5))
		for slug, count := range documents {
			relative := float64(i.entries[slug].length) * total / float64(i.length)
			frequency := float64(count) * (saturation + 1) /
				(float64(count) + saturation*(1-lengthWeight+lengthWeight*relative))
			scores[slug] += weight * rarity * frequency
		}
	}
	return scores
}

func (i *Index) matching(word string, prefix bool) map[string]map[string]int {
	if !prefix {
		documents, ok := i.postings[word]
		if !ok {
			return nil
		}
		return map[string]map[string]int{word: documents}
	}
	found := map[string]map[string]int{}
	for term, documents := range i.postings {
		if strings.HasPrefix(term, word) {
			found[term] = documents
		}
	}
	return found
}

func intersect(all, more map[string]float64) map[string]float64 {
	if all == nil {
		return more
	}
	both := map[string]float64{}
	for slug, score := range all {
		if other, ok := more[slug]; ok {
			both[slug] = score + other
		}
	}
	return both
}

// Words returns the words of a text in lower case, without those that are in nearly every text.
func Words(text string) []string {
	fields := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return slices.DeleteFunc(fields, func(word string) bool { return common[word] })
}

var common = func() map[string]bool {
	words := map[string]bool{}
	for word := range strings.FieldsSeq("a an and are as at be by for from in is it of on or that the this to was with") {
		words[word] = true
	}
	return words
}()

// Snippet returns about width bytes of a text around the first of the words, cut between words.
func Snippet(text string, words []string, width int) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= width {
		return text
	}
	start := 0
	lower := strings.ToLower(text)
	for _, word := range words {
		if at := strings.Index(lower, word); at >= 0 && at < len(text) {
			start = max(0, at-width/3)
			break
		}
	}
	end := min(len(text), start+width)
	if start > 0 {
		if space := strings.IndexByte(text[start:end], ' '); space >= 0 {
			start += space + 1
		}
	}
	if end < len(text) {
		if space := strings.LastIndexByte(text[start:end], ' '); space > 0 {
			end = start + space
		}
	}
	snippet := strings.ToValidUTF8(text[start:end], "")
	if start > 0 {
		snippet = "… " + snippet
	}
	if end < len(text) {
		snippet += " …"
	}
	return snippet
}

// Vocabulary returns the terms of the index that start with prefix, the most frequent first.
func (i *Index) Vocabulary(prefix string, limit int) []string {
	i.mutex.RLock()
	defer i.mutex.RUnlock()
	found := i.matching(strings.ToLower(prefix), true)
	terms := slices.Collect(maps.Keys(found))
	slices.SortFunc(terms, func(a, b string) int {
		if order := len(found[b]) - len(found[a]); order != 0 {
			return order
		}
		return strings.Compare(a, b)
	})
	return terms[:min(limit, len(terms))]
}
