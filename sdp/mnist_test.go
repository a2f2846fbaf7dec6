package sdp

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/onnx"
)

// fixture reads the network that Raghunathan, Steinhardt and Liang trained, if CERTIFY_BENCH names a folder that has it, and test
// digits.
func fixture(t testing.TB, digits string) (*nn.Graph, *data.Set) {
	t.Helper()
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	g, err := onnx.ReadFile(filepath.Join(root, "fixtures", "rsl18a_mnist_eps0.1.onnx"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no fixtures there")
	} else if err != nil {
		t.Fatal(err)
	}
	set, err := data.Open(digits, data.Options{MNIST: filepath.Join(root, "mnist")})
	if err != nil {
		t.Fatal(err)
	}
	return g, set
}

// TestMNIST: the published numbers at ε = 0.1: 4.18 % of the test digits are misclassified, 34.77 % not certified.
func TestMNIST(t *testing.T) {
	g, set := fixture(t, "mnist:test")
	c, err := TwoLayer(t.Context(), g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckCertificate(c, g); err != nil {
		t.Fatal(err)
	}
	wrong, open := 0, 0
	for i := range set.Len() {
		for eps, count := range map[float64]*int{0: &wrong, 0.1: &open} {
			m, err := c.Margins(set.Item(i), set.Labels[i], eps)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range m {
				if v <= 0 {
					*count++
					break
				}
			}
		}
	}
	if wrong != 418 || open < 3474 || open > 3480 {
		t.Errorf("%d misclassified, %d not certified", wrong, open)
	}
	t.Logf("%d misclassified, %d not certified", wrong, open)
}

// TestDeepMNIST: of the first ten digits at ε = 0.1, clipped, the relaxation certifies those that can be; the two-layer bound, which
// does not look at the input, fewer.
func TestDeepMNIST(t *testing.T) {
	g, set := fixture(t, "mnist:test[0:10]")
	c, err := TwoLayer(t.Context(), g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	net := netOf(t, g)
	two, deep := 0, 0
	zero := 0.0
	for i := range set.Len() {
		x, label := set.Item(i), set.Labels[i]
		lo, hi := make([]float64, len(x)), make([]float64, len(x))
		for k, v := range x {
			lo[k], hi[k] = max(v-0.1, 0), min(v+0.1, 1)
		}
		a, err := c.MarginsBox(x, lo, hi, label)
		if err != nil {
			t.Fatal(err)
		}
		b, err := DeepMargins(t.Context(), net, lo, hi, label, DeepOptions{Enough: &zero})
		if err != nil {
			t.Fatal(err)
		}
		if slices.Min(a) > 0 {
			two++
		}
		if slices.Min(b) > 0 {
			deep++
		}
	}
	if two >= deep {
		t.Errorf("two-layer %d, deep %d", two, deep)
	}
	t.Logf("two-layer %d, deep %d of %d", two, deep, set.Len())
}
