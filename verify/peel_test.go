package verify

import (
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// holds reports whether the outputs y satisfy some case.
func holds(cases []spec.Case, y []float64) bool {
	for _, c := range cases {
		all := true
		for _, r := range c.Rows {
			s := 0.0
			for _, t := range r.Y {
				s += t.Value * y[t.Index]
			}
			all = all && (s < r.RHSLower || s == r.RHSLower && !r.Strict)
		}
		if all {
			return true
		}
	}
	return false
}

// TestPeel compares random questions about max(z,0) with what they become about z, on a grid of small integers where every
// comparison is exact and ties are common.
func TestPeel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := &prog.Program{Nodes: []prog.Node{{Kind: prog.Input, N: 3}, {Kind: prog.Affine, N: 3}, {Kind: prog.Relu, N: 3, Src: 1}}, Output: 2}
	peeled, refused := 0, 0
	for range 3000 {
		q := &spec.Problem{Cases: make([]spec.Case, 1+r.IntN(2))}
		for i := range q.Cases {
			for range 1 + r.IntN(3) {
				row := spec.Row{Strict: r.IntN(2) == 0}
				v := float64(1 + r.IntN(2))
				if r.IntN(2) == 0 {
					v = -v
				}
				row.Y = append(row.Y, spec.Coef{Index: r.IntN(3), Value: v})
				if r.IntN(2) == 0 {
					row.Y = append(row.Y, spec.Coef{Index: r.IntN(3), Value: -v})
				} else {
					row.RHSLower = float64(r.IntN(5) - 2)
					row.RHSUpper = row.RHSLower
				}
				q.Cases[i].Rows = append(q.Cases[i].Rows, row)
			}
		}
		inner, s := peel(p, q)
		if inner == nil {
			refused++
			continue
		}
		peeled++
		if inner.Output != 1 {
			t.Fatalf("output %d", inner.Output)
		}
		z, y := make([]float64, 3), make([]float64, 3)
		for n := range 7 * 7 * 7 {
			for i := range z {
				z[i] = float64(n%7 - 3)
				n /= 7
				y[i] = max(z[i], 0)
			}
			if got, want := holds(s.Cases, z), holds(q.Cases, y); got != want {
				t.Fatalf("%+v at z = %v: %v before, %v after (%+v)", q.Cases, z, want, got, s.Cases)
			}
		}
	}
	if peeled < 500 || refused < 100 {
		t.Errorf("%d peeled, %d refused: the comparison means little", peeled, refused)
	}
}
