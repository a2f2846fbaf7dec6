package poison

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/spai-project/certify/nn/data"
)

// openMNIST returns the two classes of a part of MNIST, or skips.
func openMNIST(t testing.TB, part string, classes [2]int) *Binary {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	s, err := data.Open("mnist:"+part, data.Options{MNIST: filepath.Join(root, "mnist")})
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBinary(s, classes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestMNIST17 finds the bounds of Steinhardt, Koh and Liang's Figure 2.
func TestMNIST17(t *testing.T) {
	train, test := openMNIST(t, "train", [2]int{1, 7}), openMNIST(t, "test", [2]int{1, 7})
	if train.Len() != 13007 || test.Len() != 2163 {
		t.Fatalf("%d and %d items", train.Len(), test.Len())
	}
	f := &Filter{SpherePercent: 70, SlabPercent: 70, Low: math.Inf(-1), High: math.Inf(1)}
	if err := f.Fit(train); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	t.Logf("radius %v width %v", f.Radius, f.Width)
	for _, c := range []struct{ eps, bound, test float64 }{{0, 0.0288, 0.0347}, {0.02, 0.0589, 0.0526}, {0.05, 0.0629, 0.0684}, {0.3, 0.0629, 0.0685}} {
		o := Options{Epsilon: c.eps, NormSquared: 0.8, Rate: 0.1}
		s, err := Bound(ctx, train, f, o)
		if err != nil {
			t.Fatal(err)
		}
		a, err := s.Attack(ctx, train, o)
		if err != nil {
			t.Fatal(err)
		}
		theta := s.Theta
		if a != nil {
			theta = a.Theta
			t.Logf("eps %v total %.5f clean %.5f least %.5f", c.eps, a.Total, a.Clean, a.Least)
		}
		loss, errs, err := Evaluate(ctx, test, theta)
		t.Logf("eps %v bound %.5f test %.5f errors %.5f %v", c.eps, s.Bound, loss, errs, err)
	}
}
