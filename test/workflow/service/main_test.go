package main

import (
	"encoding/json"
	"testing"
)

func TestDescription(t *testing.T) {
	var told struct{ Greeting, Platform string }
	if err := json.Unmarshal([]byte(describe()), &told); err != nil {
		t.Fatal(err)
	}
	if told.Greeting != greeting || told.Platform == "" {
		t.Fatalf("got %+v", told)
	}
}
