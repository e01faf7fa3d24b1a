package store

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func open(t *testing.T) *Store {
	t.Helper()
	clock := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	store, err := Open(filepath.Join(t.TempDir(), "test.db"), func() time.Time {
		clock = clock.Add(time.Minute)
		return clock
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func create(t *testing.T, store *Store, slug string, tags ...string) Document {
	t.Helper()
	document, err := store.Create(Document{Slug: slug, Title: "T " + slug, Tags: tags, Body: "text"})
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func TestCreateAndGet(t *testing.T) {
	store := open(t)
	created := create(t, store, "a", "go")
	if created.Revision != 1 || !created.Created.Equal(created.Updated) {
		t.Errorf("found %+v", created)
	}
	read, err := store.Get("a")
	if err != nil || !reflect.DeepEqual(read, created) {
		t.Errorf("found %+v, %v", read, err)
	}
	if _, err := store.Create(Document{Slug: "a"}); !errors.Is(err, ErrExists) {
		t.Errorf("found %v, expected ErrExists", err)
	}
	if _, err := store.Get("b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("found %v, expected ErrNotFound", err)
	}
}

func TestUpdateKeepsRevisions(t *testing.T) {
	store := open(t)
	first := create(t, store, "a", "go", "old")
	changed := first
	changed.Body = "new text"
	changed.Tags = []string{"go", "new"}
	second, err := store.Update(changed, 1)
	if err != nil {
		t.Fatal(err)
	}
	if second.Revision != 2 || !second.Created.Equal(first.Created) || !second.Updated.After(first.Updated) {
		t.Errorf("found %+v", second)
	}
	if _, err := store.Update(changed, 1); !errors.Is(err, ErrConflict) {
		t.Errorf("found %v, expected ErrConflict", err)
	}
	old, err := store.Revision("a", 1)
	if err != nil || old.Body != "text" {
		t.Errorf("found %+v, %v", old, err)
	}
	numbers, err := store.Revisions("a")
	if err != nil || !reflect.DeepEqual(numbers, []uint64{1, 2}) {
		t.Errorf("found %v, %v", numbers, err)
	}
	tags, err := store.Tags()
	if err != nil || !reflect.DeepEqual(tags, map[string]int{"go": 1, "new": 1}) {
		t.Errorf("found %v, %v", tags, err)
	}
}

func TestListPages(t *testing.T) {
	store := open(t)
	for _, slug := range []string{"c", "a", "d", "b"} {
		create(t, store, slug)
	}
	slugs := func(after string, limit int) (found []string) {
		documents, err := store.List(after, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range documents {
			found = append(found, document.Slug)
		}
		return found
	}
	if found := slugs("", 3); !reflect.DeepEqual(found, []string{"a", "b", "c"}) {
		t.Errorf("first page: found %v", found)
	}
	if found := slugs("c", 3); !reflect.DeepEqual(found, []string{"d"}) {
		t.Errorf("second page: found %v", found)
	}
	if found := slugs("bb", 1); !reflect.DeepEqual(found, []string{"c"}) {
		t.Errorf("after a slug that is not there: found %v", found)
	}
	latest, err := store.Latest(2)
	if err != nil || len(latest) != 2 || latest[0].Slug != "b" || latest[1].Slug != "d" {
		t.Errorf("latest: found %v, %v", latest, err)
	}
}

func TestAttachments(t *testing.T) {
	store := open(t)
	create(t, store, "a")
	create(t, store, "ab")
	if _, err := store.Attach("a", "x.txt", "text/plain", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Attach("ab", "y.txt", "text/plain", []byte("two")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Attach("none", "x", "text/plain", nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("found %v, expected ErrNotFound", err)
	}
	list, err := store.Attachments("a")
	if err != nil || len(list) != 1 || list[0].Name != "x.txt" || list[0].Size != 3 {
		t.Errorf("found %v, %v", list, err)
	}
	_, content, err := store.Attachment("a", "x.txt")
	if err != nil || string(content) != "one" {
		t.Errorf("found %q, %v", content, err)
	}
	if err := store.Detach("a", "x.txt"); err != nil {
		t.Fatal(err)
	}
	if err := store.Detach("a", "x.txt"); !errors.Is(err, ErrNotFound) {
		t.Errorf("found %v, expected ErrNotFound", err)
	}
}

func TestDeleteTakesAllOfOneDocument(t *testing.T) {
	store := open(t)
	create(t, store, "a", "tag")
	create(t, store, "ab", "tag")
	for _, slug := range []string{"a", "ab"} {
		if _, err := store.Attach(slug, "f", "text/plain", []byte(slug)); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Delete("a"); err != nil {
		t.Fatal(err)
	}
	if err := store.Delete("a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("found %v, expected ErrNotFound", err)
	}
	if _, err := store.Revisions("a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("revisions: found %v", err)
	}
	if slugs, err := store.Tagged("tag"); err != nil || !reflect.DeepEqual(slugs, []string{"ab"}) {
		t.Errorf("tagged: found %v, %v", slugs, err)
	}
	if _, content, err := store.Attachment("ab", "f"); err != nil || string(content) != "ab" {
		t.Errorf("attachment of the other document: found %q, %v", content, err)
	}
}
