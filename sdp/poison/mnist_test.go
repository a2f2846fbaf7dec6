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

// TestMNIST17 reproduces the bounds of Steinhardt, Koh and Liang's Figure 2, from certificates that were checked.
func TestMNIST17(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute")
	}
	train, test := openMNIST(t, "train", [2]int{1, 7}), openMNIST(t, "test", [2]int{1, 7})
	if train.Len() != 13007 || test.Len() != 2163 {
		t.Fatalf("%d and %d items", train.Len(), test.Len())
	}
	f := &Filter{SpherePercent: 70, SlabPercent: 70, Low: math.Inf(-1), High: math.Inf(1)}
	if err := f.Fit(train); err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{6.4815, 5.0049, 1.6408, 0.7495} {
		if got := []float64{f.Radius[1], f.Radius[0], f.Width[1], f.Width[0]}[i]; math.Abs(got-want) > 5e-5 {
			t.Errorf("radius or width %v, want %v", got, want)
		}
	}
	ctx := context.Background()
	for _, c := range []struct{ eps, bound, test float64 }{
		{0, 0.0288, 0.0347}, {0.02, 0.0589, 0.0526}, {0.05, 0.0629, 0.0684}, {0.3, 0.0629, 0.0685},
	} {
		o := Options{Epsilon: c.eps}
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
			if a.Total > s.Bound*1.001 || a.Least < s.Bound*0.995 || a.Least > s.Bound {
				t.Errorf("ε = %v: the attack costs %v, at least %v; the bound is %v", c.eps, a.Total, a.Least, s.Bound)
			}
		}
		loss, _, err := Evaluate(ctx, test, theta)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := s.Certificate("mnist:train", [2]int{1, 7}, train, f, o, a)
		if err != nil {
			t.Fatal(err)
		}
		h, err := copied(t, cert).Check(train)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(h.Bound-c.bound) > 0.0005 || math.Abs(loss-c.test) > 0.0007 {
			t.Errorf("ε = %v: bound %v, test loss %v; want %v and %v", c.eps, h.Bound, loss, c.bound, c.test)
		}
		t.Logf("ε = %v: bound %.5f, test loss %.5f", c.eps, h.Bound, loss)
	}
}
