package poison

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/spai-project/certify/nn/data"
)

// TestEnsembleMNIST is deep partition aggregation on all of MNIST with 1200 models. Levine and Feizi (2021) have 95.85 % and a
// median of 448 with networks.
func TestEnsembleMNIST(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" || testing.Short() {
		t.Skip("CERTIFY_BENCH is not set, or -short")
	}
	opt := data.Options{MNIST: filepath.Join(root, "mnist")}
	train, err := data.Open("mnist:train", opt)
	if err != nil {
		t.Fatal(err)
	}
	test, err := data.Open("mnist:test", opt)
	if err != nil {
		t.Fatal(err)
	}
	e, err := TrainEnsemble(context.Background(), train, 10, EnsembleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	votes := cast(t, e, test)
	right, m := 0, e.Spread.Buckets
	var radii []int
	for i, l := range test.Labels {
		p, r := e.Spread.Radius(votes[i*m:(i+1)*m], 10)
		if p == l {
			right++
		} else {
			r = -1
		}
		radii = append(radii, r)
	}
	slices.Sort(radii)
	median := radii[len(radii)/2]
	if right < 9600 || median < 525 {
		t.Errorf("%d right, median %d; want 9632 and 536, nearly", right, median)
	}
	t.Logf("%d right, median %d", right, median)
}
