package evasion

import (
	"compress/gzip"
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/nn/onnx"
)

// TestBlackBoxDigits measures the attacks without gradients on handwritten digits, if CERTIFY_BENCH names a folder that has them and
// the networks of VNN-COMP.
func TestBlackBoxDigits(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	net := os.Getenv("NET")
	if net == "" {
		net = filepath.Join(root, "vnncomp/mnist_fc/onnx/mnist-net_256x2.onnx.gz")
	}
	g, err := onnx.ReadFile(net)
	if err != nil {
		t.Fatal(err)
	}
	p, err := g.Lower()
	if err != nil {
		t.Fatal(err)
	}
	model := access.Program(p)
	images, labels := readIDX(t, root, "t10k-images-idx3-ubyte.gz"), readIDX(t, root, "t10k-labels-idx1-ubyte.gz")
	const n, first = 784, 100
	var tasks []Task
	for k := first; len(tasks) < 100; k++ {
		x := make([]float64, n)
		for i, v := range images[16+k*n : 16+(k+1)*n] {
			x[i] = float64(float32(v) / 255)
		}
		y := make([]float64, 10)
		if err := model.Scores(context.Background(), access.Batch{N: 1, X: x, Draws: []uint64{0}}, y); err != nil {
			t.Fatal(err)
		}
		if label := int(labels[8+k]); access.Argmax(y) == label {
			tasks = append(tasks, Task{X: x, Lower: make([]float64, n), Upper: slices.Repeat([]float64{1}, n), Goal: Untargeted(label, 10)})
		}
	}
	list := "linf,0.05 pgd:steps=100;linf,0.05,5000 square nes spsa bandits;linf,0.1 pgd;linf,0.1,5000 square nes spsa bandits;" +
		"l2,1,5000 pgd square nes spsa bandits;l2,inf,10000 boundary hopskipjump zoo;linf,inf,10000 hopskipjump;l0,inf,10000 pointwise"
	if s := os.Getenv("LIST"); s != "" {
		list = s
	}
	for _, line := range strings.Split(list, ";") {
		f := strings.Fields(line)
		c := strings.Split(f[0]+",0", ",")
		norm, _ := ParseNorm(c[0])
		opt := Options{Norm: norm, Eps: number(t, c[1]), Queries: int(number(t, c[2])), Shape: []int{1, 28, 28}, Seed: 1}
		for _, name := range f[1:] {
			m, params, err := Parse(name)
			if err != nil {
				t.Fatal(err)
			}
			opt.Params = params
			start := time.Now()
			r, err := m.Run(context.Background(), model, tasks, opt)
			if err != nil {
				t.Fatal(err)
			}
			hits, queries := 0, []int(nil)
			var distances []float64
			for _, r := range r {
				if r.Status == Found {
					hits++
					queries = append(queries, r.Queries)
				}
				distances = append(distances, r.Distance)
			}
			slices.Sort(queries)
			slices.Sort(distances)
			mean := 0.0
			for _, q := range queries {
				mean += float64(q) / float64(len(queries))
			}
			t.Logf("%-18s %-50s found %3d of %d, queries median %5d mean %7.1f, distance median %.4f, %v", f[0], name, hits, len(tasks),
				append(queries, 0)[len(queries)/2], mean, distances[len(distances)/2], time.Since(start).Round(time.Millisecond))
		}
	}
}

func number(t *testing.T, s string) float64 {
	if s == "inf" {
		return math.Inf(1)
	}
	v, err := (&Param{}).parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// readIDX returns the bytes of a compressed file of the digits.
func readIDX(t *testing.T, root, name string) []byte {
	f, err := os.Open(filepath.Join(root, "mnist", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
