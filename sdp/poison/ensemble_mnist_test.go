package poison

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/data"
)

func TestEnsembleMNIST(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
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
	for _, ridge := range []float64{0.0005, 0.001, 0.002} {
		start := time.Now()
		e, err := TrainEnsemble(context.Background(), train, 10, EnsembleOptions{Ridge: ridge})
		if err != nil {
			t.Fatal(err)
		}
		mid := time.Now()
		votes, err := e.Votes(context.Background(), test)
		if err != nil {
			t.Fatal(err)
		}
		end := time.Now()
		right, base := 0, 0
		var radii []int
		m := e.Spread.Buckets
		for i, l := range test.Labels {
			for _, v := range votes[i*m : (i+1)*m] {
				if int(v) == l {
					base++
				}
			}
			p, r := e.Spread.Radius(votes[i*m:(i+1)*m], 10)
			if p == l {
				right++
			} else {
				r = -1
			}
			radii = append(radii, r)
		}
		slices.Sort(radii)
		t.Logf("ridge %v: %d right, base %.4f, median %d; %v %v", ridge, right, float64(base)/float64(m*test.Len()), radii[len(radii)/2], mid.Sub(start), end.Sub(mid))
	}
}
