package relax

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// TestMarginsLinear: for an affine network the margins are the minima of the differences over the box, not above them in exact
// arithmetic, and close.
func TestMarginsLinear(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	tighter := false
	for range 100 {
		n, m := 1+r.IntN(12), 2+r.IntN(4)
		w, bias := make([]float64, m*n), make([]float64, m)
		common := r.NormFloat64() * 1e6 // cancels in differences
		for i := range w {
			w[i] = common + r.NormFloat64()
		}
		for i := range bias {
			bias[i] = r.NormFloat64()
		}
		b := prog.NewBuilder(n)
		out := b.Affine("", m, bias, 0, prog.Term{Src: 0, Map: prog.Dense(m, n, w)})
		p, err := b.Program(out)
		if err != nil {
			t.Fatal(err)
		}
		box := randomBox(r, n)
		net := NewNet(p)
		bounds := net.NewBounds()
		net.IBP(box, bounds)
		label := r.IntN(m)
		lower := make([]float64, m)
		net.Margins(bounds, label, lower)
		for j, lb := range lower {
			if j == label {
				continue
			}
			exact := rat(bias[label])
			exact.Sub(exact, rat(bias[j]))
			for i := range n {
				d := rat(w[label*n+i])
				d.Sub(d, rat(w[j*n+i]))
				end := box.Lo[i]
				if d.Sign() < 0 {
					end = box.Hi[i]
				}
				exact.Add(exact, d.Mul(d, rat(end)))
			}
			if v := rat(lb); v.Cmp(exact) > 0 {
				t.Fatalf("bound %v above the minimum", lb)
			} else if g, _ := v.Sub(exact, v).Float64(); g > 1e-6 {
				t.Fatalf("bound %v is %v below the minimum", lb, g)
			}
			tighter = tighter || lb > bounds.L[p.Output][label]-bounds.U[p.Output][j]+1
		}
	}
	if !tighter {
		t.Error("never tighter than the difference of the intervals")
	}
}

func rat(v float64) *big.Rat { return new(big.Rat).SetFloat64(v) }

// TestMargins: margins of both kinds hold at points of the box.
func TestMargins(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 20 {
		p := randomNet(r, 4, []int{6, 6}, false)
		box := randomBox(r, 4)
		net := NewNet(p)
		bounds := net.NewBounds()
		net.IBP(box, bounds)
		ibp, crown := make([]float64, 3), make([]float64, 3)
		net.Margins(bounds, 1, ibp)
		f := net.NewFrame(box, bounds, net.NewScale(bounds))
		f.Margins(NewWorker(net), 1, crown)
		for range 200 {
			y := p.Eval(samplePoint(r, box), 1, nil)[p.Output]
			for j := range y {
				if m := y[1] - y[j]; m < ibp[j]-1e-12 || m < crown[j]-1e-12 {
					t.Fatalf("margin %v below the bounds %v and %v", m, ibp[j], crown[j])
				}
			}
		}
		if ibp[1] != 0 || crown[1] != 0 {
			t.Errorf("own margins %v and %v", ibp[1], crown[1])
		}
	}
}
