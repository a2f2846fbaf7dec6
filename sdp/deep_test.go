package sdp

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/relax"
)

func netOf(t testing.TB, g *nn.Graph) *relax.Net {
	t.Helper()
	p, err := g.Lower()
	if err != nil {
		t.Fatal(err)
	}
	return relax.NewNet(p)
}

// randomBox draws a box, some inputs of it fixed.
func randomBox(r *rand.Rand, d int) (lo, hi []float64) {
	lo, hi = dyadic(r, d), make([]float64, d)
	for i, v := range lo {
		if hi[i] = v; r.IntN(8) > 0 {
			hi[i] = v + r.Float64()*2
		}
	}
	return lo, hi
}

// TestDeepMargins: no point of the box has a smaller lead than the margin, which is no smaller than what linear relaxation says and,
// over all cases, far greater.
func TestDeepMargins(t *testing.T) {
	gain, gap := 0.0, 0.0
	for n := range cases(400) {
		r := rand.New(rand.NewPCG(uint64(n), 14))
		widths := []int{1 + r.IntN(6)}
		for range 1 + r.IntN(3) {
			widths = append(widths, 1+r.IntN(7))
		}
		widths = append(widths, 2+r.IntN(2))
		ls := randomLayers(r, widths...)
		net := netOf(t, mlp(t, ls...))
		lo, hi := randomBox(r, widths[0])
		classes := widths[len(widths)-1]
		label := r.IntN(classes)
		linear := make([]float64, classes)
		if _, err := reduceBox(t.Context(), net, lo, hi, label, linear); err != nil {
			t.Fatal(err)
		}
		margins, err := DeepMargins(t.Context(), net, lo, hi, label, DeepOptions{Steps: 150, Seed: uint64(n)})
		if err != nil {
			t.Fatal(err)
		}
		for j := range classes {
			if j == label {
				continue
			}
			spec := make([]float64, classes)
			spec[label], spec[j] = 1, -1
			v := lowest(r, ls, spec, lo, hi)
			if v < margins[j] || margins[j] < linear[j] {
				t.Errorf("case %d: lead %v over class %d, margin %v, linear %v", n, v, j, margins[j], linear[j])
			}
			if linear[j] < 0 {
				gain += margins[j] - linear[j]
				gap += v - linear[j]
			}
		}
	}
	if gain < 0.6*gap {
		t.Errorf("the relaxation closes %.3f of the gap", gain/gap)
	}
	t.Logf("the relaxation closes %.3f of the gap", gain/gap)
}

// TestDeepParts: bounds of a part of the box, and of a part where neurons are decided, hold there.
func TestDeepParts(t *testing.T) {
	decided := 0
	for n := range cases(300) {
		r := rand.New(rand.NewPCG(uint64(n), 15))
		d := 1 + r.IntN(4)
		ls := randomLayers(r, d, 2+r.IntN(4), 2+r.IntN(3), 2)
		net := netOf(t, mlp(t, ls...))
		lo, hi := randomBox(r, d)
		for i := range lo {
			hi[i] = max(hi[i], lo[i]+0.25)
		}
		box := relax.Box{Lo: lo, Hi: hi}
		b := net.NewBounds()
		net.IBP(box, b)
		f := net.NewFrame(box, b, net.NewScale(b))
		dims := make([]int, d)
		for i := range dims {
			dims[i] = i
		}
		out := net.P.Output
		red, L, U := f.Reduce(dims, []relax.Objective{{Terms: []relax.ObjectiveTerm{{Node: out, Elem: 0, Coef: 1}, {Node: out, Elem: 1, Coef: -1}}}})
		if red == nil {
			t.Fatal("not reduced")
		}
		at := r.IntN(d)
		lo2, hi2 := append([]float64(nil), lo...), append([]float64(nil), hi...)
		lo2[at] = lo[at] + r.Float64()*(hi[at]-lo[at])
		var cell relax.Cell
		cell.Enter(red, lo2, hi2, L, U)
		if !cell.Neurons() {
			t.Fatal("contradiction")
		}
		L, U = cell.Bounds()
		for q := range L {
			if L[q] >= 0 || U[q] <= 0 {
				decided++
			}
		}
		// decide a neuron of the first level: its rows read inputs only
		side, first := 0, red.Level(0)
		if len(red.Levels()) > 0 && len(first) > 0 && L[0] < 0 && U[0] > 0 {
			if side = 1 - 2*r.IntN(2); side > 0 {
				L[0] = 0
			} else {
				U[0] = 0
			}
		}
		deep, err := NewDeep(red, lo2, hi2, L, U)
		if err != nil {
			t.Fatal(err)
		}
		var w DeepWorker
		bound, err := w.Bound(t.Context(), deep, 0, DeepOptions{Steps: 60})
		if err != nil {
			t.Fatal(err)
		}
		x := make([]float64, d)
		for k := range 200 {
			for i := range x {
				x[i] = lo2[i] + r.Float64()*(hi2[i]-lo2[i])
				if k < 32 {
					if x[i] = lo2[i]; k>>i&1 == 1 {
						x[i] = hi2[i]
					}
				}
			}
			if side != 0 {
				z := 0.0
				for c, i := range first[0].Idx {
					if i == 0 {
						z += first[0].Val[c]
					} else {
						z += first[0].Val[c] * x[i-1]
					}
				}
				if z*float64(side) < 1e-9 {
					continue
				}
			}
			if y := eval(ls, x); y[0]-y[1] < bound-1e-9 {
				t.Fatalf("case %d: %v, bound %v", n, y[0]-y[1], bound)
			}
		}
	}
	if decided == 0 {
		t.Error("no neuron was decided")
	}
}

// TestDeepTight: max(x,−x)-like networks on which the relaxation is known: |x| ≤ 1 from two ReLUs with opposite weights.
func TestDeepTight(t *testing.T) {
	ls := []layer{{1, 2, []float64{1, -1}, []float64{0, 0}}, {2, 2, []float64{0, 0, 1, 1}, []float64{1, 0}}} // lead 1 − |x|
	net := netOf(t, mlp(t, ls...))
	m, err := DeepMargins(t.Context(), net, []float64{-0.5}, []float64{0.5}, 0, DeepOptions{})
	if err != nil || m[1] < 0.5-1e-6 || m[1] > 0.5 {
		t.Errorf("%v %v", m, err)
	}
}

// TestDeepStops: an ended context is reported with bounds that hold; hostile boxes are errors.
func TestDeepStops(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 16))
	ls := randomLayers(r, 4, 8, 8, 2)
	net := netOf(t, mlp(t, ls...))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lo, hi := []float64{-1, -1, -1, -1}, []float64{1, 1, 1, 1}
	m, err := DeepMargins(ctx, net, lo, hi, 0, DeepOptions{})
	if !errors.Is(err, context.Canceled) || math.IsNaN(m[1]) {
		t.Errorf("%v %v", m, err)
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), -2} {
		if _, err := DeepMargins(t.Context(), net, lo, []float64{bad, 1, 1, 1}, 0, DeepOptions{}); !errors.Is(err, ErrShape) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
