// Package store keeps documents, their revisions and their attachments in one database file.
package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	// ErrConflict says that a document has changed since the caller read it.
	ErrConflict = errors.New("changed in the meantime")
)

// Document is one Markdown text in its latest revision.
type Document struct {
	Slug     string    `json:"slug"`
	Title    string    `json:"title"`
	Author   string    `json:"author,omitempty"`
	Tags     []string  `json:"tags"`
	Body     string    `json:"body"`
	Revision uint64    `json:"revision"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
}

// Attachment is a file that belongs to a document.
type Attachment struct {
	Name        string    `json:"name"`
	ContentType string    `json:"contentType"`
	Size        int       `json:"size"`
	Added       time.Time `json:"added"`
}

var (
	documentsBucket   = []byte("documents")
	revisionsBucket   = []byte("revisions")
	attachmentsBucket = []byte("attachments")
	contentsBucket    = []byte("contents")
	tagsBucket        = []byte("tags")
)

// separator stands between the parts of a key; it is in neither slugs nor names.
const separator = "\x00"

// Store is safe for use by several goroutines.
type Store struct {
	db  *bolt.DB
	now func() time.Time
}

// Open opens the database file at path and makes it where it is missing.
func Open(path string, now func() time.Time) (*Store, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 2 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{documentsBucket, revisionsBucket, attachmentsBucket, contentsBucket, tagsBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", path, err), db.Close())
	}
	return &Store{db: db, now: now}, nil
}

// Close ends the use of the file once transactions under way are over.
func (s *Store) Close() error { return s.db.Close() }

// Create adds a document. Revision and times are set here.
func (s *Store) Create(document Document) (Document, error) {
	err := s.db.Update(func(tx *bolt.Tx) error {
		if tx.Bucket(documentsBucket).Get([]byte(document.Slug)) != nil {
			return ErrExists
		}
		document.Revision = 1
		document.Created = s.now().UTC()
		document.Updated = document.Created
		return write(tx, &document)
	})
	return document, wrap("create", document.Slug, err)
}

// Update replaces title, author, tags and body if the stored revision is the given one.
func (s *Store) Update(document Document, revision uint64) (Document, error) {
	err := s.db.Update(func(tx *bolt.Tx) error {
		stored, err := read(tx, document.Slug)
		if err != nil {
			return err
		}
		if stored.Revision != revision {
			return ErrConflict
		}
		if err := untag(tx, stored); err != nil {
			return err
		}
		document.Revision = stored.Revision + 1
		document.Created = stored.Created
		document.Updated = s.now().UTC()
		return write(tx, &document)
	})
	return document, wrap("update", document.Slug, err)
}

// Get returns the latest revision of a document.
func (s *Store) Get(slug string) (Document, error) {
	var document Document
	err := s.db.View(func(tx *bolt.Tx) (err error) {
		document, err = read(tx, slug)
		return err
	})
	return document, wrap("get", slug, err)
}

// Delete removes a document with its revisions and attachments.
func (s *Store) Delete(slug string) error {
	err := s.db.Update(func(tx *bolt.Tx) error {
		stored, err := read(tx, slug)
		if err != nil {
			return err
		}
		if err := untag(tx, stored); err != nil {
			return err
		}
		for _, name := range [][]byte{revisionsBucket, attachmentsBucket, contentsBucket} {
			if err := deletePrefix(tx.Bucket(name), slug+separator); err != nil {
				return err
			}
		}
		return tx.Bucket(documentsBucket).Delete([]byte(slug))
	})
	return wrap("delete", slug, err)
}

// List returns up to limit documents in the order of their slugs, the first one after the slug given by after.
func (s *Store) List(after string, limit int) ([]Document, error) {
	documents := []Document{}
	err := s.db.View(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(documentsBucket).Cursor()
		key, value := cursor.Seek([]byte(after))
		if after != "" && key != nil && string(key) == after {
			key, value = cursor.Next()
		}
		for ; key != nil && len(documents) < limit; key, value = cursor.Next() {
			var document Document
			if err := json.Unmarshal(value, &document); err != nil {
				return fmt.Errorf("document %s: %w", key, err)
			}
			documents = append(documents, document)
		}
		return nil
	})
	return documents, err
}

// Latest returns up to limit documents, the one that was changed last first.
func (s *Store) Latest(limit int) ([]Document, error) {
	var documents []Document
	err := s.ForEach(func(document Document) error {
		documents = append(documents, document)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(documents, func(a, b Document) int {
		if order := b.Updated.Compare(a.Updated); order != 0 {
			return order
		}
		return strings.Compare(a.Slug, b.Slug)
	})
	return documents[:min(limit, len(documents))], nil
}

// ForEach calls visit for every document.
func (s *Store) ForEach(visit func(Document) error) error {
	return s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(documentsBucket).ForEach(func(key, value []byte) error {
			var document Document
			if err := json.Unmarshal(value, &document); err != nil {
				return fmt.Errorf("document %s: %w", key, err)
			}
			return visit(document)
		})
	})
}

// Revision returns a document as it was in one revision.
func (s *Store) Revision(slug string, revision uint64) (Document, error) {
	var document Document
	err := s.db.View(func(tx *bolt.Tx) error {
		value := tx.Bucket(revisionsBucket).Get(revisionKey(slug, revision))
		if value == nil {
			return ErrNotFound
		}
		return json.Unmarshal(value, &document)
	})
	return document, wrap("get revision of", slug, err)
}

// Revisions returns the numbers of all revisions of a document, ascending.
func (s *Store) Revisions(slug string) ([]uint64, error) {
	var numbers []uint64
	err := s.db.View(func(tx *bolt.Tx) error {
		prefix := []byte(slug + separator)
		cursor := tx.Bucket(revisionsBucket).Cursor()
		for key, _ := cursor.Seek(prefix); bytes.HasPrefix(key, prefix); key, _ = cursor.Next() {
			numbers = append(numbers, binary.BigEndian.Uint64(key[len(prefix):]))
		}
		if len(numbers) == 0 {
			return ErrNotFound
		}
		return nil
	})
	return numbers, wrap("list revisions of", slug, err)
}

// Tags returns every tag with the number of documents that have it.
func (s *Store) Tags() (map[string]int, error) {
	counts := map[string]int{}
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(tagsBucket).ForEach(func(key, _ []byte) error {
			tag, _, _ := strings.Cut(string(key), separator)
			counts[tag]++
			return nil
		})
	})
	return counts, err
}

// Tagged returns the slugs of the documents that have a tag.
func (s *Store) Tagged(tag string) ([]string, error) {
	slugs := []string{}
	err := s.db.View(func(tx *bolt.Tx) error {
		prefix := []byte(tag + separator)
		cursor := tx.Bucket(tagsBucket).Cursor()
		for key, _ := cursor.Seek(prefix); bytes.HasPrefix(key, prefix); key, _ = cursor.Next() {
			slugs = append(slugs, string(key[len(prefix):]))
		}
		return nil
	})
	return slugs, err
}

// Attach adds a file to a document, in the place of one of the same name.
func (s *Store) Attach(slug, name, contentType string, content []byte) (Attachment, error) {
	attachment := Attachment{Name: name, ContentType: contentType, Size: len(content), Added: s.now().UTC()}
	err := s.db.Update(func(tx *bolt.Tx) error {
		if tx.Bucket(documentsBucket).Get([]byte(slug)) == nil {
			return ErrNotFound
		}
		value, err := json.Marshal(attachment)
		if err != nil {
			return err
		}
		key := []byte(slug + separator + name)
		if err := tx.Bucket(attachmentsBucket).Put(key, value); err != nil {
			return err
		}
		return tx.Bucket(contentsBucket).Put(key, content)
	})
	return attachment, wrap("attach to", slug, err)
}

// Attachments returns what is attached to a document, by name.
func (s *Store) Attachments(slug string) ([]Attachment, error) {
	attachments := []Attachment{}
	err := s.db.View(func(tx *bolt.Tx) error {
		if tx.Bucket(documentsBucket).Get([]byte(slug)) == nil {
			return ErrNotFound
		}
		prefix := []byte(slug + separator)
		cursor := tx.Bucket(attachmentsBucket).Cursor()
		for key, value := cursor.Seek(prefix); bytes.HasPrefix(key, prefix); key, value = cursor.Next() {
			var attachment Attachment
			if err := json.Unmarshal(value, &attachment); err != nil {
				return err
			}
			attachments = append(attachments, attachment)
		}
		return nil
	})
	return attachments, wrap("list attachments of", slug, err)
}

// Attachment returns one attached file.
func (s *Store) Attachment(slug, name string) (Attachment, []byte, error) {
	var attachment Attachment
	var content []byte
	err := s.db.View(func(tx *bolt.Tx) error {
		key := []byte(slug + separator + name)
		value := tx.Bucket(attachmentsBucket).Get(key)
		if value == nil {
			return ErrNotFound
		}
		// What Get returns is only valid within the transaction.
		content = bytes.Clone(tx.Bucket(contentsBucket).Get(key))
		return json.Unmarshal(value, &attachment)
	})
	return attachment, content, wrap("get attachment of", slug, err)
}

// Detach removes one attached file.
func (s *Store) Detach(slug, name string) error {
	err := s.db.Update(func(tx *bolt.Tx) error {
		key := []byte(slug + separator + name)
		if tx.Bucket(attachmentsBucket).Get(key) == nil {
			return ErrNotFound
		}
		if err := tx.Bucket(contentsBucket).Delete(key); err != nil {
			return err
		}
		return tx.Bucket(attachmentsBucket).Delete(key)
	})
	return wrap("detach from", slug, err)
}

func read(tx *bolt.Tx, slug string) (Document, error) {
	var document Document
	value := tx.Bucket(documentsBucket).Get([]byte(slug))
	if value == nil {
		return document, ErrNotFound
	}
	return document, json.Unmarshal(value, &document)
}

func write(tx *bolt.Tx, document *Document) error {
	if document.Tags == nil {
		document.Tags = []string{}
	}
	value, err := json.Marshal(document)
	if err != nil {
		return err
	}
	if err := tx.Bucket(documentsBucket).Put([]byte(document.Slug), value); err != nil {
		return err
	}
	for _, tag := range document.Tags {
		if err := tx.Bucket(tagsBucket).Put([]byte(tag+separator+document.Slug), []byte{}); err != nil {
			return err
		}
	}
	return tx.Bucket(revisionsBucket).Put(revisionKey(document.Slug, document.Revision), value)
}

func untag(tx *bolt.Tx, document Document) error {
	for _, tag := range document.Tags {
		if err := tx.Bucket(tagsBucket).Delete([]byte(tag + separator + document.Slug)); err != nil {
			return err
		}
	}
	return nil
}

func deletePrefix(bucket *bolt.Bucket, prefix string) error {
	// Deleting under a cursor makes it skip entries: keys first, then their removal.
	var keys [][]byte
	cursor := bucket.Cursor()
	for key, _ := cursor.Seek([]byte(prefix)); bytes.HasPrefix(key, []byte(prefix)); key, _ = cursor.Next() {
		keys = append(keys, bytes.Clone(key))
	}
	for _, key := range keys {
		if err := bucket.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

func revisionKey(slug string, revision uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(slug+separator), revision)
}

func wrap(verb, slug string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s document %q: %w", verb, slug, err)
}
