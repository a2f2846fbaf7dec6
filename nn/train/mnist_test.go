package train

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/data"
)

// TestMNIST trains on the handwritten digits of LeCun et al. if CERTIFY_BENCH names a folder that has them.
func TestMNIST(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	train, test := mnist(t, root, "train"), mnist(t, root, "test")
	for _, c := range []struct {
		name   string
		input  []int
		layers []Layer
		epochs int
		want   float64
	}{
		{"MLP 784-100-100-10", []int{784}, []Layer{Dense{100}, ReLU{}, Dense{100}, ReLU{}, Dense{10}}, 4, 0.97},
		{"conv net", []int{1, 28, 28}, benchConv, 1, 0.97},
	} {
		net := mustNew[float32](t, 1, c.input, c.layers...)
		r := Recipe{Epochs: c.epochs, Batch: 128, LR: 3e-3, Schedule: OneCycle()}
		p, err := Fit(ctx, net, train, r, Hooks[float32]{})
		if err != nil {
			t.Fatal(err)
		}
		a := accuracy(t, net, test)
		t.Logf("%s: %d epochs in %v, %.0f images/s, accuracy %.4f", c.name, c.epochs, p.Elapsed.Round(time.Millisecond), p.Rate, a)
		if a < c.want {
			t.Errorf("%s: accuracy %.4f, want %.2f", c.name, a, c.want)
		}
	}
}

func mnist(t *testing.T, root, part string) *Samples[float32] {
	t.Helper()
	set, err := data.Open("mnist:"+part, data.Options{MNIST: filepath.Join(root, "mnist")})
	if err != nil {
		t.Fatal(err)
	}
	s := &Samples[float32]{X: make([]float32, len(set.X)), Labels: set.Labels}
	for i, v := range set.X {
		s.X[i] = float32(v)
	}
	return s
}
