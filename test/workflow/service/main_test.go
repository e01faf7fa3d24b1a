package main

import "testing"

func TestGreeting(t *testing.T) {
	if describe().Greeting != greeting {
		t.Fatalf("got %q", describe().Greeting)
	}
}
