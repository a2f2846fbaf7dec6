package kernel

import (
	"bytes"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// suites are one network and one question of every suite that the checker is meant for.
var suites = [][2]string{
	{"acasxu_2023/onnx/ACASXU_run2a_1_1_batch_2000.onnx.gz", "acasxu_2023/vnnlib/prop_6.vnnlib.gz"},
	{"acasxu_2023/onnx/ACASXU_run2a_1_1_batch_2000.onnx.gz", "acasxu_2023/vnnlib/prop_1.vnnlib.gz"},
	{"safenlp/onnx/ruarobot/perturbations_0.onnx.gz", "safenlp/vnnlib/ruarobot/hyperrectangle_3607.vnnlib.gz"},
	{"safenlp/onnx/medical/perturbations_0.onnx.gz", "safenlp/vnnlib/medical/hyperrectangle_10.vnnlib.gz"},
	{"mnist_fc/onnx/mnist-net_256x2.onnx.gz", "mnist_fc/vnnlib/prop_0_0.03.vnnlib.gz"},
	{"cora/onnx/mnist-set.onnx.gz", "cora/vnnlib/mnist-img0.vnnlib.gz"},
	{"malbeware/onnx/malware_malimg_family_scaled_4-25.onnx.gz", "malbeware/vnnlib/malbeware_family-Adialer.C_label-0_eps-1_idx-4.vnnlib.gz"},
	{"malbeware/onnx/malware_malimg_family_scaled_linear-25.onnx.gz", "malbeware/vnnlib/malbeware_family-Adialer.C_label-0_eps-1_idx-4.vnnlib.gz"},
}

// TestSuites compares both readers with nn/onnx and nn/spec on real files.
func TestSuites(t *testing.T) {
	dir := os.Getenv("CERTIFY_BENCH")
	if dir == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	for _, s := range suites {
		t.Run(filepath.Base(s[0])+"/"+filepath.Base(s[1]), func(t *testing.T) {
			model, err := ReadFile(filepath.Join(dir, "vnncomp", s[0]))
			if err != nil {
				t.Fatal(err)
			}
			question, err := ReadFile(filepath.Join(dir, "vnncomp", s[1]))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, model, question, 3)
		})
	}
}

// compare reads a problem both ways and wants the same cases, and the same outputs at random points of every box.
func compare(t *testing.T, model, question []byte, points int) {
	t.Helper()
	p, err := Open(model, question)
	if err != nil {
		t.Fatal(err)
	}
	g, err := onnx.Read(model)
	if err != nil {
		t.Fatal(err)
	}
	sp, err := spec.Read("q", bytes.NewReader(question), nil)
	if err != nil {
		t.Fatal(err)
	}
	compareQuery(t, p, sp)
	full, err := g.Lower()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range p.boxes {
		for range points {
			x := make([]float64, len(p.boxes[i].lo))
			at := make([]*big.Rat, len(x))
			for d := range x {
				lo, _ := p.boxes[i].lo[d].Float64()
				hi, _ := p.boxes[i].hi[d].Float64()
				x[d] = float64(float32(lo + rng.Float64()*(hi-lo)))
				at[d] = new(big.Rat).SetFloat64(x[d])
			}
			want, err := g.EvalFlat(x)
			if err != nil {
				t.Fatal(err)
			}
			b := p.net.root(at, at, false)
			compareRelus(t, p.net, b, full, x)
			out := p.net.output
			lo, hi := b.of(out)
			for j := range want {
				l, _ := scaled(big.NewInt(lo[j]), b.fr.exp[out]).Float64()
				u, _ := scaled(big.NewInt(hi[j]), b.fr.exp[out]).Float64()
				// EvalFlat computes in float64: its own error is far below the tolerance here, the enclosure's width too.
				if tol := 1e-8 * (1 + max(-l, u)); !(l <= want[j]+tol && want[j]-tol <= u && u-l <= tol) {
					t.Errorf("box %d, output %d: [%v, %v], want %v", i, j, l, u, want[j])
				}
			}
			if i > 20 {
				break
			}
		}
	}
}

// compareRelus wants the Relus of the lowered program, in its order, with the same elements in front of each.
func compareRelus(t *testing.T, net *network, b *Bounds, full *prog.Program, x []float64) {
	t.Helper()
	v, r := full.Eval(x, 1, nil), 0
	for k := range full.Nodes {
		if full.Nodes[k].Kind != prog.Relu {
			continue
		}
		want := v[full.Nodes[k].Src]
		if r == len(net.relus) || net.nodes[net.relus[r]].n != len(want) {
			t.Fatalf("Relu %d differs", r)
		}
		for j := range want {
			lo, hi := b.Interval(r, j)
			if tol := 1e-8 * (1 + max(-lo, hi)); !(lo <= want[j]+tol && want[j]-tol <= hi && hi-lo <= tol) {
				t.Errorf("Relu %d, element %d: [%v, %v], want %v", r, j, lo, hi, want[j])
			}
		}
		r++
	}
	if r != len(net.relus) {
		t.Fatalf("%d Relus, want %d", len(net.relus), r)
	}
}

// compareQuery wants the same cases in the same order, but for those with an empty box, which package spec leaves out.
func compareQuery(t *testing.T, p *Problem, sp *spec.Problem) {
	t.Helper()
	at := 0
	for i := range p.cases {
		c := &p.cases[i]
		if c.box < 0 {
			continue
		}
		if at >= len(sp.Cases) {
			t.Fatalf("more than %d cases", at)
		}
		w := &sp.Cases[at]
		at++
		box, wb := p.boxes[c.box], &sp.Boxes[w.Box]
		for d := range box.lo {
			// Lower is box.lo rounded down to float64.
			lo, hi := new(big.Rat).SetFloat64(wb.Lower[d]), new(big.Rat).SetFloat64(wb.Upper[d])
			l, _ := box.lo[d].Float64()
			u, _ := box.hi[d].Float64()
			if lo.Cmp(box.lo[d]) > 0 || hi.Cmp(box.hi[d]) < 0 || l-wb.Lower[d] > 1e-12*(1+math.Abs(l)) ||
				wb.Upper[d]-u > 1e-12*(1+math.Abs(u)) {
				t.Fatalf("case %d, X_%d: [%v, %v], want [%v, %v]", i, d, l, u, wb.Lower[d], wb.Upper[d])
			}
		}
		if len(c.rows) != len(w.Rows) {
			t.Fatalf("case %d: %d rows, want %d", i, len(c.rows), len(w.Rows))
		}
		for k, r := range c.rows {
			wr := &w.Rows[k]
			rhs, _ := r.rhs.Float64()
			ok := r.strict == wr.Strict && wr.RHSLower <= rhs && rhs <= wr.RHSUpper && len(r.seeds) == len(wr.X)+len(wr.Y)
			for i, s := range r.seeds {
				if !ok {
					break
				}
				coefs, n, node := wr.X, i, 0
				if i >= len(wr.X) {
					coefs, n, node = wr.Y, i-len(wr.X), p.net.output
				}
				v, _ := s.c.Float64()
				ok = s.node == node && coefs[n].Index == s.elem && coefs[n].Value == v
			}
			if !ok {
				t.Fatalf("case %d, row %d: %+v, want %+v", i, k, r, wr)
			}
		}
	}
	if at != len(sp.Cases) {
		t.Fatalf("%d cases, want %d", at, len(sp.Cases))
	}
}
