package sdp

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/relax"
)

// reducedOf reduces random layers with two outputs on a box, the objective being their difference.
func reducedOf(t *testing.T, ls []layer, lo, hi []float64) (r *relax.Reduced, L, U []float64) {
	t.Helper()
	net := netOf(t, mlp(t, ls...))
	b := net.NewBounds()
	box := relax.Box{Lo: lo, Hi: hi}
	net.IBP(box, b)
	f := net.NewFrame(box, b, net.NewScale(b))
	var dims []int
	for i := range lo {
		dims = append(dims, i)
	}
	out := net.P.Output
	r, L, U = f.Reduce(dims, []relax.Objective{{Terms: []relax.ObjectiveTerm{{Node: out, Elem: 0, Coef: 1}, {Node: out, Elem: 1, Coef: -1}}}})
	if r == nil {
		t.Fatal("not reduced")
	}
	return r, L, U
}

// TestSplit: a bound holds at every sampled point and is no smaller than without splits; where it stops below what was asked for, the
// limit was reached; and dividing decides most of the cases that the relaxation alone leaves open.
func TestSplit(t *testing.T) {
	undecided, won := 0, 0
	for n := range cases(150) {
		r := rand.New(rand.NewPCG(uint64(n), 22))
		d := 1 + r.IntN(4)
		ls := randomLayers(r, d, 2+r.IntN(4), 2+r.IntN(4), 2)
		lo, hi := randomBox(r, d)
		for i := range lo {
			hi[i] = max(hi[i], lo[i]+0.25)
		}
		red, L, U := reducedOf(t, ls, lo, hi)
		least := lowest(r, ls, []float64{1, -1}, lo, hi)
		deep, err := NewDeep(red, lo, hi, L, U)
		if err != nil {
			t.Fatal(err)
		}
		var w DeepWorker
		o := DeepOptions{Steps: 60}
		plain, err := w.Bound(t.Context(), deep, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		enough := least - 0.02*(1+math.Abs(least))
		res, err := Split(t.Context(), red, lo, hi, L, U, 0, enough, SplitOptions{Deep: o, Nodes: 60})
		if err != nil {
			t.Fatal(err)
		}
		if res.Bound > least {
			t.Errorf("case %d: bound %v, a point has %v", n, res.Bound, least)
		}
		if res.Bound <= enough && res.Nodes < 60 {
			open := false
			for q := range L {
				open = open || L[q] < 0 && U[q] > 0
			}
			if open && res.Nodes == 1 {
				t.Errorf("case %d: stopped at %v of %v", n, res.Bound, enough)
			}
		}
		if plain <= enough {
			undecided++
			if res.Bound > enough {
				won++
			}
		}
	}
	if !testing.Short() && (won*2 < undecided || undecided == 0) {
		t.Errorf("%d of %d decided", won, undecided)
	}
	t.Logf("%d of %d decided", won, undecided)
}

// TestSplitFinds: the mean of the primal leads to a point below what was asked for.
func TestSplitFinds(t *testing.T) {
	ls := []layer{{1, 2, []float64{1, -1}, []float64{0, 0}}, {2, 2, []float64{0, 0, 1, 1}, []float64{0.4, 0}}} // 0.4 − |x|
	lo, hi := []float64{-0.5}, []float64{0.5}
	red, L, U := reducedOf(t, ls, lo, hi)
	res, err := Split(t.Context(), red, lo, hi, L, U, 0, 0, SplitOptions{Try: func(x []float64) bool {
		if x[0] < lo[0]-1e-6 || x[0] > hi[0]+1e-6 {
			t.Errorf("candidate %v", x)
		}
		y := eval(ls, x)
		return y[0] <= y[1]
	}})
	if err != nil || !res.Found || res.Bound > -0.1 {
		t.Errorf("%+v %v", res, err)
	}
}

// TestSplitMargins: margins hold at sampled points, and no fewer classes are certified than by the relaxation alone; a candidate is an
// input of the box.
func TestSplitMargins(t *testing.T) {
	more := 0
	zero := 0.0
	for n := range cases(150) {
		r := rand.New(rand.NewPCG(uint64(n), 23))
		k := 2 + r.IntN(2)
		ls := randomLayers(r, 1+r.IntN(5), 3+r.IntN(6), 3+r.IntN(5), k)
		net := netOf(t, mlp(t, ls...))
		lo, hi := randomBox(r, ls[0].in)
		y := eval(ls, lo)
		label := 0
		for j := range y {
			if y[j] > y[label] {
				label = j
			}
		}
		for i := range lo {
			hi[i] = lo[i] + (hi[i]-lo[i])*0.7
		}
		o := DeepOptions{Steps: 60, Enough: &zero}
		plain, err := DeepMargins(t.Context(), net, lo, hi, label, o)
		if err != nil {
			t.Fatal(err)
		}
		margins, found, err := SplitMargins(t.Context(), net, lo, hi, label, SplitOptions{Deep: o, Nodes: 40, Try: func(x []float64) bool {
			y, lost := eval(ls, x), false
			for i, v := range x {
				if v < lo[i] || v > hi[i] {
					t.Errorf("case %d: input %d is %v in [%v, %v]", n, i, v, lo[i], hi[i])
				}
			}
			for j := range y {
				lost = lost || j != label && y[j] >= y[label]
			}
			return lost
		}})
		if err != nil {
			t.Fatal(err)
		}
		a, b := slices.Min(plain) > 0, slices.Min(margins) > 0
		if a && !b || found && b {
			t.Errorf("case %d: %v alone, %v divided, found %v", n, plain, margins, found)
		}
		if b && !a {
			more++
		}
		for j := range k {
			if j == label {
				continue
			}
			spec := make([]float64, k)
			spec[label], spec[j] = 1, -1
			if v := lowest(r, ls, spec, lo, hi); v < margins[j] {
				t.Errorf("case %d: lead %v over class %d, margin %v", n, v, j, margins[j])
			}
		}
	}
	if more == 0 && !testing.Short() {
		t.Error("dividing never certified more")
	}
	t.Logf("dividing certified %d more", more)
}
