package train

import (
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestMNIST trains on the handwritten digits of LeCun et al. if CERTIFY_BENCH names a folder that has them.
func TestMNIST(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	train, test := mnist(t, root, "train"), mnist(t, root, "t10k")
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
	s := &Samples[float32]{}
	for _, v := range readIDX(t, filepath.Join(root, "mnist", part+"-images-idx3-ubyte.gz")) {
		s.X = append(s.X, float32(v)/255)
	}
	for _, v := range readIDX(t, filepath.Join(root, "mnist", part+"-labels-idx1-ubyte.gz")) {
		s.Labels = append(s.Labels, int(v))
	}
	return s
}

// readIDX returns the bytes of a compressed IDX file of unsigned bytes: a magic number that ends in the number of
// dimensions, these, and the data.
func readIDX(t *testing.T, path string) []byte {
	t.Helper()
	data, err := func() ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, err
		}
		return io.ReadAll(z)
	}()
	if err != nil {
		t.Fatal(err)
	}
	dims, size := int(data[3]), 1
	for i := range dims {
		size *= int(binary.BigEndian.Uint32(data[4+4*i:]))
	}
	if len(data) != 4+4*dims+size {
		t.Fatal(fmt.Errorf("%s has %d bytes, its dimensions say %d", path, len(data), 4+4*dims+size))
	}
	return data[4+4*dims:]
}
