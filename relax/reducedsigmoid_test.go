package relax

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// boundBoth returns the bounds of a reduced network's objectives on a box, bounded backward or forward.
func boundBoth(t *testing.T, r *Reduced, box Box, L, U []float64, crown bool) []float64 {
	t.Helper()
	r.crown = crown
	var w Cell
	w.Enter(r, box.Lo, box.Hi, L, U)
	if !w.Neurons() {
		t.Fatal("empty")
	}
	of, planes := make([]int32, r.Objectives()), make([]Plane, r.Objectives())
	for i := range of {
		of[i], planes[i].A = int32(i), make([]float64, r.p)
	}
	w.Objectives(of, planes)
	lb := make([]float64, len(of))
	for i := range lb {
		lb[i] = planes[i].LB
	}
	return lb
}

// TestReducedSigmoidAgainstExactValues bounds y = Σ c·σ(a·x + b) + d, where a·x + b is exact in float64, on points and intervals and
// compares with y to 400 bits, without tolerance.
func TestReducedSigmoidAgainstExactValues(t *testing.T) {
	run := func(t *testing.T, mutate func(*Reduced)) (over, tight int) {
		for seed := range uint64(400) {
			r := rand.New(rand.NewPCG(seed, 77))
			const m = 3
			few := func(s int) float64 { return float64(r.IntN(1<<10)-1<<9) / float64(int(1)<<s) }
			a, b, c := []float64{few(7), few(8), few(6)}, []float64{few(7), few(7), few(9)}, []float64{r.NormFloat64(), 1 / 3.0, 1e3 * r.NormFloat64()}
			d := r.NormFloat64()
			pb := prog.NewBuilder(1)
			z := pb.Affine("", m, b, 0, prog.Term{Src: 0, Map: prog.Dense(m, 1, a)})
			p := mustProgram(t, pb, pb.Affine("", 1, []float64{d}, 0, prog.Term{Src: pb.Sigmoid("", z), Map: prog.Dense(1, m, c)}))
			box := Box{[]float64{few(8)}, nil}
			box.Hi = []float64{box.Lo[0] + []float64{0, 0, 0x1p-20, 0.125, 1}[r.IntN(5)]}
			f := ibpFrame(NewNet(p), box)
			red, L, U := f.Reduce([]int{0}, []Objective{{Terms: []ObjectiveTerm{{p.Output, 0, 1}}}, {Terms: []ObjectiveTerm{{p.Output, 0, -1}}}})
			if red == nil || red.Neurons() != m || red.Relus() != 0 {
				t.Fatalf("seed %d: not three sigmoids", seed)
			}
			mutate(red)
			for _, crown := range []bool{true, false} {
				lb := boundBoth(t, red, box, L, U, crown)
				for _, x := range []float64{box.Lo[0], box.Hi[0]} {
					y := new(big.Float).SetPrec(400).SetFloat64(d)
					for i := range a {
						s := new(big.Float).SetPrec(400).Mul(bigSigma(a[i]*x+b[i]), new(big.Float).SetFloat64(c[i]))
						y.Add(y, s)
					}
					if new(big.Float).SetPrec(400).SetFloat64(lb[0]).Cmp(y) > 0 || new(big.Float).SetPrec(400).SetFloat64(-lb[1]).Cmp(y) < 0 {
						over++
					}
					if g, _ := y.Float64(); math.Abs(g-lb[0]) < 1e-9*(1+math.Abs(g)) {
						tight++
					}
				}
			}
		}
		return over, tight
	}
	over, tight := run(t, func(*Reduced) {})
	if over != 0 || tight < 100 {
		t.Errorf("%d values outside their bounds, %d within rounding of them", over, tight)
	}
	if over, _ := run(t, func(r *Reduced) {
		for _, l := range r.levels {
			clear(l.charge)
		}
		r.gS = -r.gS // less than nothing: the lines' own outward rounding would hide it
	}); over == 0 {
		t.Error("nothing is noticed without charges")
	}
}

// TestReducedSigmoidInside samples networks with Sigmoids between ReLUs.
func TestReducedSigmoidInside(t *testing.T) {
	near := 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 78))
		dense := func(m, n int) prog.Linear {
			w := make([]float64, m*n)
			for i := range w {
				w[i] = r.NormFloat64()
			}
			return prog.Dense(m, n, w)
		}
		b := prog.NewBuilder(3)
		h := b.Relu("", b.Affine("", 6, nil, 0, prog.Term{Src: 0, Map: dense(6, 3)}))
		s := b.Sigmoid("", b.Affine("", 5, nil, 0, prog.Term{Src: h, Map: dense(5, 6)}))
		g := b.Relu("", b.Affine("", 4, nil, 0, prog.Term{Src: s, Map: dense(4, 5)}, prog.Term{Src: h, Map: dense(4, 6)}))
		p := mustProgram(t, b, b.Affine("", 2, nil, 0, prog.Term{Src: g, Map: dense(2, 4)}, prog.Term{Src: s, Map: dense(2, 5)}))
		box := Box{make([]float64, 3), make([]float64, 3)}
		for i := range box.Lo {
			box.Lo[i] = r.NormFloat64()
			box.Hi[i] = box.Lo[i] + []float64{0.01, 0.1, 1}[seed%3]*r.Float64()
		}
		f := ibpFrame(NewNet(p), box)
		var objs []Objective
		for j := range 2 {
			objs = append(objs, Objective{Terms: []ObjectiveTerm{{p.Output, j, 1}}}, Objective{Terms: []ObjectiveTerm{{p.Output, j, -1}}})
		}
		red, L, U := f.Reduce([]int{0, 1, 2}, objs)
		if red == nil || red.Neurons()-red.Relus() != 5 {
			t.Fatalf("seed %d: not five sigmoids", seed)
		}
		lo, hi := make([]float64, 4), make([]float64, 4)
		for _, crown := range []bool{true, false} {
			lb := boundBoth(t, red, box, L, U, crown)
			for j := range lo {
				lo[j], hi[j] = math.Inf(1), math.Inf(-1)
			}
			for range 100 {
				y := p.Eval(samplePoint(r, box), 1, nil)[p.Output]
				for j, v := range y {
					lo[j], hi[j] = min(lo[j], v), max(hi[j], v)
					if tol := 1e-12 * (1 + math.Abs(v)); lb[2*j] > v+tol || -lb[2*j+1] < v-tol {
						t.Fatalf("seed %d crown %v: output %d is %v, bounds [%v, %v]", seed, crown, j, v, lb[2*j], -lb[2*j+1])
					}
				}
			}
			if lo[0]-lb[0] < 0.3*(hi[0]-lo[0]) {
				near++
			}
		}
	}
	if near < 60 {
		t.Errorf("only %d bounds close to sampled values: the test has lost its grip", near)
	}
}
