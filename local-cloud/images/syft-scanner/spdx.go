package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

const (
	statementType = "https://in-toto.io/Statement/v0.1"
	predicateType = "https://spdx.dev/Document"
)

type inTotoStatement struct {
	Type          string    `json:"_type"`
	PredicateType string    `json:"predicateType"`
	Subject       []subject `json:"subject"`
	Predicate     document  `json:"predicate"`
}

// BuildKit fills in the subjects.
type subject struct{}

type document struct {
	SPDXVersion       string         `json:"spdxVersion"`
	DataLicense       string         `json:"dataLicense"`
	SPDXID            string         `json:"SPDXID"`
	Name              string         `json:"name"`
	DocumentNamespace string         `json:"documentNamespace"`
	CreationInfo      creationInfo   `json:"creationInfo"`
	Packages          []spdxPackage  `json:"packages"`
	Relationships     []relationship `json:"relationships"`
}

type creationInfo struct {
	Creators []string `json:"creators"`
	Created  string   `json:"created"`
}

type spdxPackage struct {
	Name             string        `json:"name"`
	SPDXID           string        `json:"SPDXID"`
	VersionInfo      string        `json:"versionInfo,omitempty"`
	DownloadLocation string        `json:"downloadLocation"`
	FilesAnalyzed    bool          `json:"filesAnalyzed"`
	SourceInfo       string        `json:"sourceInfo"`
	ExternalRefs     []externalRef `json:"externalRefs"`
}

type externalRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Related string `json:"relatedSpdxElement"`
	Type    string `json:"relationshipType"`
}

// statement describes what was found in the file system of that name, as SPDX 2.3 in an in-toto statement.
func statement(name string, packages []found, created time.Time) inTotoStatement {
	const root = "SPDXRef-DOCUMENT"
	identity := sha256.New()
	doc := document{
		SPDXVersion: "SPDX-2.3",
		DataLicense: "CC0-1.0",
		SPDXID:      root,
		Name:        name,
		CreationInfo: creationInfo{
			Creators: []string{"Tool: local-cloud-syft-scanner"},
			Created:  created.UTC().Format(time.RFC3339),
		},
		Packages:      []spdxPackage{},
		Relationships: []relationship{},
	}
	for index, one := range packages {
		id := fmt.Sprintf("SPDXRef-Package-%d", index+1)
		fmt.Fprintln(identity, one.purl, one.location)
		doc.Packages = append(doc.Packages, spdxPackage{
			Name:             one.name,
			SPDXID:           id,
			VersionInfo:      one.version,
			DownloadLocation: "NOASSERTION",
			SourceInfo:       "found in " + one.location,
			ExternalRefs:     []externalRef{{"PACKAGE-MANAGER", "purl", one.purl}},
		})
		doc.Relationships = append(doc.Relationships, relationship{root, id, "DESCRIBES"})
	}
	doc.DocumentNamespace = "https://local-cloud.invalid/spdx/" + name + "-" + hex.EncodeToString(identity.Sum(nil)[:16])
	return inTotoStatement{statementType, predicateType, []subject{}, doc}
}
