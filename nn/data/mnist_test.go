package data

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestMNIST reads the real files: counts, first labels, and the sum of all bytes as NumPy has it.
func TestMNIST(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	opt := Options{MNIST: filepath.Join(root, "mnist"), Shape: []int{1, 784}}
	for part, c := range map[string]struct {
		items  int
		labels []int
		sum    float64
	}{"test": {10000, []int{7, 2, 1, 0, 4}, 264923200}, "train": {60000, []int{5, 0, 4, 1, 9}, 1567298545}} {
		if part == "train" && testing.Short() {
			continue
		}
		s, err := Open("mnist:"+part, opt)
		if err != nil {
			t.Fatal(err)
		}
		if s.Len() != c.items || !slices.Equal(s.Shape, []int{1, 28, 28}) || !slices.Equal(s.Labels[:5], c.labels) {
			t.Errorf("%s: %d items of shape %v, labels %v", part, s.Len(), s.Shape, s.Labels[:5])
		}
		sum := 0.0
		for _, v := range s.X {
			sum += math.Round(v * 255)
		}
		if sum != c.sum {
			t.Errorf("%s: the bytes sum to %v, want %v", part, sum, c.sum)
		}
		if err := s.CheckRange(0, 1); err != nil {
			t.Error(err)
		}
		if err := s.CheckLabels(10); err != nil {
			t.Error(err)
		}
		r, err := Open("mnist:"+part+"[100:103]", opt)
		want(t, r, err, []int{1, 28, 28}, s.X[100*784:103*784], s.Labels[100:103])
		if r.Names[0] != "100" || r.Hash != s.Hash {
			t.Errorf("%s: names %v, hash %s and %s", part, r.Names, r.Hash, s.Hash)
		}
	}
}
