package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"strings"
	"testing"

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
