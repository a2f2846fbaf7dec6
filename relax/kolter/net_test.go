package kolter

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/relax"
)

// regions are the sets that certificates know.
func (t *task) regions(i int) map[string]*Region {
	l1, l2 := relax.L1, relax.L2
	return map[string]*Region{"linf": t.region(i, Options{}), "clipped": t.region(i, Options{Clip: true, Hi: 1}),
		"l2": t.region(i, Options{Ball: &l2}), "l1": t.region(i, Options{Ball: &l1})}
}

// TestReference: margins are those of the formulas but for rounding, and not above.
func TestReference(t *testing.T) {
	for name, layers := range architectures() {
		k := newTask(name, layers, 3, 4)
		k.eps = 0.15
		n, err := New(k.program())
		if err != nil {
			t.Fatal(err)
		}
		s := n.NewSolver()
		lower := make([]float64, layers[len(layers)-1].Out)
		for i, y := range k.labels {
			for set, r := range k.regions(i) {
				want := k.reference(r, y)
				s.Margins(r, y, lower, nil)
				for c, v := range lower {
					if scale := 1 + math.Abs(want[c]); v > want[c]+1e-11*scale || v < want[c]-1e-9*scale {
						t.Errorf("%s, %s, row %d, class %d: %v, the formulas say %v", name, set, i, c, v, want[c])
					}
				}
				if lower[y] != 0 {
					t.Errorf("%s, %s: the label's own margin is %v", name, set, lower[y])
				}
			}
		}
	}
}

// TestHolds: no point of the region has a smaller margin.
func TestHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	for name, layers := range architectures() {
		k := newTask(name, layers, 2, 5)
		p := k.program()
		n, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		s := n.NewSolver()
		lower := make([]float64, layers[len(layers)-1].Out)
		for i, y := range k.labels {
			for set, g := range k.regions(i) {
				s.Margins(g, y, lower, nil)
				for range 100 {
					z := p.Eval(sample1(r, k.row(i), k.eps, g), 1, nil)[p.Output]
					for c, v := range z {
						if m := z[y] - v; m < lower[c]-1e-10 {
							t.Fatalf("%s, %s: margin %v below the bound %v", name, set, m, lower[c])
						}
					}
				}
			}
		}
	}
}

// sample1 draws a point of the region, often an extreme one.
func sample1(r *rand.Rand, x []float64, eps float64, g *Region) []float64 {
	y := make([]float64, len(x))
	size := 0.0
	for j := range y {
		y[j] = r.NormFloat64()
		if g.Ball == nil {
			y[j] = math.Copysign(eps, y[j])
		} else if g.Ball.Norm == relax.L2 {
			size = math.Hypot(size, y[j])
		} else {
			size += math.Abs(y[j])
		}
	}
	for j := range y {
		if g.Ball != nil {
			y[j] *= eps / size
		}
		y[j] = min(max(x[j]+y[j], g.Box.Lo[j]), g.Box.Hi[j])
	}
	return y
}

// TestRigour: where float64 cancels, bounds stay below the exact minimum of a network whose ReLUs are all on, so that the bound
// would be exact without rounding. A tie is no certificate.
func TestRigour(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	rat := func(v float64) *big.Rat { return new(big.Rat).SetFloat64(v) }
	for trial := range 300 {
		const in, mid = 3, 5
		layers := []Layer{{Kind: Dense, In: in, Out: mid}, {Kind: Dense, In: mid, Out: 2}}
		k := newTask("on", layers, 1, uint64(trial))
		for j := range mid {
			k.params[in*mid+j] = 1e3 * (1 + r.Float64()) // on
			w := k.params[k.layers[1].Offset+2*j:]
			w[0] = 1e6 * r.NormFloat64()
			w[1] = w[0] + float64(r.IntN(3)-1)*r.Float64()*1e-9*w[0]
		}
		b := k.params[k.layers[1].Offset+2*mid:]
		b[0], b[1] = 0, 0
		g := k.region(0, Options{})
		// The margin is linear: its coefficients and constant, exactly.
		a := make([]*big.Rat, in)
		exact := new(big.Rat)
		for i := range a {
			a[i] = new(big.Rat)
		}
		for j := range mid {
			w := k.params[k.layers[1].Offset+2*j:]
			d := rat(w[0])
			d.Sub(d, rat(w[1]))
			exact.Add(exact, new(big.Rat).Mul(d, rat(k.params[in*mid+j])))
			for i := range a {
				a[i].Add(a[i], new(big.Rat).Mul(d, rat(k.params[i*mid+j])))
			}
		}
		for i, v := range a {
			end := g.Box.Lo[i]
			if v.Sign() < 0 {
				end = g.Box.Hi[i]
			}
			exact.Add(exact, new(big.Rat).Mul(v, rat(end)))
		}
		if trial%3 == 0 { // a tie, but for the bias's own rounding
			e, _ := exact.Float64()
			b[1] = e
			exact.Sub(exact, rat(e))
		}
		n, err := New(k.program())
		if err != nil {
			t.Fatal(err)
		}
		lower := make([]float64, 2)
		n.NewSolver().Margins(g, 0, lower, nil)
		if rat(lower[1]).Cmp(exact) > 0 {
			t.Fatalf("bound %v above the minimum %s", lower[1], exact.FloatString(20))
		}
		if e, _ := exact.Float64(); lower[1] < e-1 {
			t.Fatalf("bound %v far below the minimum %v", lower[1], e)
		}
	}
}

// TestTie: two classes with the same row have the margin 0, which no bound exceeds.
func TestTie(t *testing.T) {
	k := newTask("tie", []Layer{{Kind: Dense, In: 3, Out: 4}, {Kind: Dense, In: 4, Out: 2}}, 1, 1)
	w := k.params[k.layers[1].Offset:]
	for j := range 5 {
		w[2*j+1] = w[2*j]
	}
	n, err := New(k.program())
	if err != nil {
		t.Fatal(err)
	}
	lower := make([]float64, 2)
	for _, r := range k.regions(0) {
		if n.NewSolver().Margins(r, 0, lower, nil); lower[1] > 0 || lower[1] < -1e-9 {
			t.Errorf("margin %v", lower[1])
		}
	}
}

func TestUnsupported(t *testing.T) {
	b := prog.NewBuilder(2)
	p, err := b.Program(b.Sigmoid("gate", 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(p); !errors.Is(err, ErrUnsupported) {
		t.Errorf("error %v", err)
	}
}

// TestStop: work that was stopped proves nothing.
func TestStop(t *testing.T) {
	k := newTask("stop", architectures()["dense"], 1, 1)
	n, err := New(k.program())
	if err != nil {
		t.Fatal(err)
	}
	lower := make([]float64, 3)
	n.NewSolver().Margins(k.region(0, Options{}), 0, lower, func() bool { return true })
	for _, v := range lower[1:] {
		if !math.IsInf(v, -1) {
			t.Errorf("bound %v", v)
		}
	}
}
