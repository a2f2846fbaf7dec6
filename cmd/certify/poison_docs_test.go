package main

import (
	"os"
	"testing"
)

// TestPoisoningPage: the commands of docs/poisoning.md are commands with flags that exist.
func TestPoisoningPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/poisoning.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := commands(t, text); n != 8 {
		t.Errorf("%d commands found, want 8", n)
	}
}
