package main

import (
	"path/filepath"
	"testing"

	"github.com/spai-project/certify/nn/tape"
)

// TestRecipes reads every recipe of examples/recipes, makes its network and records its loss.
func TestRecipes(t *testing.T) {
	files, err := filepath.Glob("../../examples/recipes/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recipes: %v", err)
	}
	for _, file := range files {
		r, _, err := readRecipe(file)
		if err != nil {
			t.Error(err)
			continue
		}
		net, err := r.net([]int{1, 28, 28})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if _, err := r.training(1); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		o, err := objective[float32](r)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if _, err := o.Record(tape.New[float32](net.Inputs(), len(net.Weights)), net); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
