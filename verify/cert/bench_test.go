package cert

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify/kernel"
)

// fromSuite reads an instance of a VNN-COMP suite.
func fromSuite(t testing.TB, model, query string) *instance {
	t.Helper()
	dir := os.Getenv("CERTIFY_BENCH")
	if dir == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	in := &instance{}
	var err error
	if in.model, err = kernel.ReadFile(filepath.Join(dir, "vnncomp", model)); err != nil {
		t.Fatal(err)
	}
	if in.query, err = kernel.ReadFile(filepath.Join(dir, "vnncomp", query)); err != nil {
		t.Fatal(err)
	}
	g, err := onnx.Read(in.model)
	if err != nil {
		t.Fatal(err)
	}
	if in.prog, err = g.Lower(); err != nil {
		t.Fatal(err)
	}
	if in.problem, err = spec.Read("q", bytes.NewReader(in.query), nil); err != nil {
		t.Fatal(err)
	}
	if in.p, err = kernel.Open(in.model, in.query); err != nil {
		t.Fatal(err)
	}
	return in
}

// The networks that speeds are reported for.
const (
	acasNet    = "acasxu_2023/onnx/ACASXU_run2a_1_1_batch_2000.onnx.gz"
	acasQuery  = "acasxu_2023/vnnlib/prop_1.vnnlib.gz"
	mnistNet   = "mnist_fc/onnx/mnist-net_256x2.onnx.gz"
	mnistQuery = "mnist_fc/vnnlib/prop_0_0.03.vnnlib.gz"
	malNet     = "malbeware/onnx/malware_malimg_family_scaled_4-25.onnx.gz"
	malQuery   = "malbeware/vnnlib/malbeware_family-Adialer.C_label-0_eps-1_idx-4.vnnlib.gz"
	coraNet    = "cora/onnx/mnist-set.onnx.gz"
	coraQuery  = "cora/vnnlib/mnist-img0.vnnlib.gz"
)

// BenchmarkKernel times what a proof is made of: interval bounds, one leaf, one layer of lemmas.
func BenchmarkKernel(b *testing.B) {
	for _, c := range []struct{ name, net, query string }{
		{"acasxu", acasNet, acasQuery}, {"mnist256x2", mnistNet, mnistQuery}, {"malbeware", malNet, malQuery}, {"cora", coraNet, coraQuery},
	} {
		in := fromSuite(b, c.net, c.query)
		root, err := in.p.Root(0)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name+"/open", func(b *testing.B) {
			for b.Loop() {
				if _, err := kernel.Open(in.model, in.query); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/root", func(b *testing.B) {
			for b.Loop() {
				if _, err := in.p.Root(0); err != nil {
					b.Fatal(err)
				}
			}
		})
		s, err := in.p.NewSession()
		if err != nil {
			b.Fatal(err)
		}
		sizes := s.Sizes()
		last := len(sizes) - 1
		row := []Weight{{0, 1}}
		for _, leaf := range []*Node{
			{Kind: kernel.Leaf, Rows: row},
			{Kind: kernel.Leaf, Rows: row, Nu: explicit(crown(in, root, 0, []float64{1}), 10)},
		} {
			data := appendNode(nil, leaf)
			b.Run(c.name+[]string{"/leaf-recompute", "", "/leaf-explicit10"}[leaf.Nu.Mode], func(b *testing.B) {
				for b.Loop() {
					_, _ = s.Tree(root, kernel.Target{Relu: -1}, data) // refused or not, it is evaluated
				}
				b.ReportMetric(float64(len(data)), "bytes")
			})
		}
		lemma := appendLemmas(nil, []Lemma{{last, max(0, sizes[last]-64), kernel.Layer, nil}})
		b.Run(c.name+"/lemmas-64", func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Bounds(root, -1, lemma); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestSuites proves real questions with the naive search: one of every suite that the checker is meant for.
func TestSuites(t *testing.T) {
	for _, c := range []struct {
		net, query string
		input      bool
	}{
		{acasNet, acasQuery, true},
		{"safenlp/onnx/ruarobot/perturbations_0.onnx.gz", "safenlp/vnnlib/ruarobot/hyperrectangle_3607.vnnlib.gz", false},
		{mnistNet, mnistQuery, false},
		{coraNet, "cora/vnnlib/mnist-img4.vnnlib.gz", false},
		{"malbeware/onnx/malware_malimg_family_scaled_linear-25.onnx.gz", "malbeware/vnnlib/malbeware_family-VB.AT_label-22_eps-3_idx-112.vnnlib.gz", false},
	} {
		in := fromSuite(t, c.net, c.query)
		start := time.Now()
		proof := search(in, &prover{rng: rand.New(rand.NewPCG(1, 1)), deep: 60, most: 4000, input: c.input})
		if proof == nil {
			t.Errorf("%s: the naive search gives up after %v", c.query, time.Since(start))
			continue
		}
		searched := time.Since(start)
		r := in.p.Check(proof.Encode())
		t.Logf("%s: search %v, %v", c.query, searched.Round(time.Millisecond), r)
		if !r.Accepted {
			t.Error("refused")
		}
	}
}
