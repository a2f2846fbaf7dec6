package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/spai-project/certify/benchmarks"
	"github.com/spai-project/certify/benchmarks/masked"
	"github.com/spai-project/certify/benchmarks/reluplex"
	"github.com/spai-project/certify/nn/op"
)

var update = flag.Bool("update", false, "write the generated pages anew")

// TestOperatorsPage: docs/operators.md is what the registry prints.
func TestOperatorsPage(t *testing.T) {
	const path = "../../docs/operators.md"
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"list", "operators", "--markdown"}, nil, &out, &errs); code != 0 {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("%s is not up to date: run this test with -update", path)
	}
	if got := strings.Count(out.String(), "\n| ") - 2; got != len(op.All()) {
		t.Errorf("the page has %d rows, the registry %d operators", got, len(op.All()))
	}
}

// TestPerformancePage: docs/performance.md has one block for every form of table, and its commands are commands with flags
// that exist.
func TestPerformancePage(t *testing.T) {
	text, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tableForms {
		if _, err := benchmarks.SetBlock(text, f.block, "x"); err != nil {
			t.Error(err)
		}
	}
	if got := strings.Count(string(text), "measured:begin"); got != len(tableForms) {
		t.Errorf("the page has %d blocks, there are %d forms", got, len(tableForms))
	}
	if n := commands(t, text); n < 8 {
		t.Errorf("%d commands found, want all of the page's", n)
	}
}

// TestReluplexPage: docs/reluplex.md has the blocks that the command on it writes.
func TestReluplexPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/reluplex.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range reluplex.Blocks {
		if _, err := benchmarks.SetBlock(text, b, "x"); err != nil {
			t.Error(err)
		}
	}
	if got := strings.Count(string(text), "measured:begin"); got != len(reluplex.Blocks) {
		t.Errorf("the page has %d blocks, want %d", got, len(reluplex.Blocks))
	}
	if n := commands(t, text); n != 1 {
		t.Errorf("%d commands found, want 1", n)
	}
}

// TestMaskedPage: docs/masked.md has the block that the command on it writes.
func TestMaskedPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/masked.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := benchmarks.SetBlock(text, masked.Block, "x"); err != nil {
		t.Error(err)
	}
	if n := commands(t, text); n != 1 {
		t.Errorf("%d commands found, want 1", n)
	}
}

// commands counts the commands in a page's code, which must exist with their flags.
func commands(t *testing.T, text []byte) (n int) {
	t.Helper()
	for _, line := range strings.Split(string(text), "\n") {
		code, ok := strings.CutPrefix(line, "    ")
		if !ok {
			continue
		}
		for _, c := range strings.Split(code, "&&") {
			words := strings.Fields(strings.TrimSuffix(c, "\\"))
			if len(words) < 2 || words[0] != "certify" {
				continue
			}
			n++
			cmd, rest, err := (&app{}).root().Find(words[1:])
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err != nil || !cmd.Runnable() {
				t.Errorf("%q: %v", c, err)
			}
		}
	}
	return n
}
