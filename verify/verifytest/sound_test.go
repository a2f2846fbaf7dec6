package verifytest_test

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/verifytest"
)

// The tests of this file put the question where rounding decides it: right-hand sides at the exact extreme of a network and
// one unit in the last place beside it.

// methods are all values of verify.Options.Method that prove.
var methods = []string{"", "ibp", "crown", "alpha", "input-split", "relu-split", "semidefinite", "reluplex", "smt"}

func chain(t *testing.T, in int, layers ...[]float64) *prog.Program {
	t.Helper()
	b := prog.NewBuilder(in)
	cur := 0
	for i, w := range layers {
		if i > 0 {
			cur = b.Relu("", cur)
		}
		n := b.N(cur)
		cur = b.Affine("", len(w)/n, nil, 0, prog.Term{Src: cur, Map: prog.Dense(len(w)/n, n, w)})
	}
	p, err := b.Program(cur)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func run(t *testing.T, p *prog.Program, prob *spec.Problem, o verify.Options) *verify.Result {
	t.Helper()
	o.Workers = 1
	res, err := verify.Program(context.Background(), p, prob, o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestCaseWithoutRows: a case without rows asks whether the box is empty; it never is.
func TestCaseWithoutRows(t *testing.T) {
	const n = 12
	lo, hi := make([]float64, n), make([]float64, n)
	for i := range lo {
		lo[i], hi[i] = -1, 1
	}
	w := make([]float64, 3*n)
	for i := range w {
		w[i] = float64(i%5) - 2
	}
	p := chain(t, n, w, []float64{1, 1, 1})
	for _, m := range methods {
		for _, inexact := range []bool{false, true} {
			for rows := range 2 {
				t.Run(fmt.Sprintf("%s/inexact=%v/rows=%d", m, inexact, rows), func(t *testing.T) {
					cases := [][]spec.Row{{}}
					for range rows {
						cases = append(cases, []spec.Row{{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: -9, RHSUpper: -9}})
					}
					prob := spec.FromBox(lo, hi, cases, 1)
					if inexact { // an interval between two float32 numbers
						prob.Boxes[0].Lower[0], prob.Boxes[0].Upper[0] = 0.1, 0.1
						prob.Boxes[0].InLower[0], prob.Boxes[0].InUpper[0] = 0.1, 0.1
						prob.Boxes[0].Inexact = true
					}
					if r := run(t, p, prob, verify.Options{Method: m, NoAttack: true, Timeout: 200 * time.Millisecond}); r.Verdict == verify.Holds {
						t.Errorf("%v (%v)", r.Verdict, r.Strategy)
					}
				})
			}
		}
	}
}

// TestUnderflowDecides: the product of two weights is subnormal and off by a tenth; the violated region is between.
func TestUnderflowDecides(t *testing.T) {
	p := chain(t, 1, []float64{1e300}, []float64{3e-162}, []float64{3e-162})
	prob := spec.FromBox([]float64{1}, []float64{1}, [][]spec.Row{{{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: 9.4e-24, RHSUpper: 9.4e-24}}}, 1)
	if sat, _ := verifytest.DecideExact(p, prob); !sat {
		t.Fatal("the question is not as meant")
	}
	for _, m := range methods {
		if r := run(t, p, prob, verify.Options{Method: m, NoAttack: true, Timeout: time.Second}); r.Verdict == verify.Holds {
			t.Errorf("method %q: %v, but the output is 9e-24", m, r.Verdict)
		}
	}
}

// TestActivationOfTheInput: relu(x) − x/2 ≥ 0 with the activation directly on the input.
func TestActivationOfTheInput(t *testing.T) {
	b := prog.NewBuilder(1)
	r := b.Relu("", 0)
	p, err := b.Program(b.Affine("", 1, nil, 0, prog.Term{Src: r, Map: prog.Dense(1, 1, []float64{1})},
		prog.Term{Src: 0, Map: prog.Dense(1, 1, []float64{-0.5})}))
	if err != nil {
		t.Fatal(err)
	}
	prob := spec.FromBox([]float64{-1}, []float64{1}, [][]spec.Row{{{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: -0.125, RHSUpper: -0.125}}}, 1)
	for _, m := range []string{"", "input-split", "relu-split"} {
		if r := run(t, p, prob, verify.Options{Method: m, Timeout: 300 * time.Millisecond}); r.Verdict != verify.Holds {
			t.Errorf("method %q: %v (%s)", m, r.Verdict, r.Reason)
		}
	}
}

// magnitude draws ±m·2^e with few or many mantissa bits, e spread widely.
func magnitude(r *rand.Rand, spread int) float64 {
	m := 1 + r.Float64()
	if r.IntN(2) == 0 {
		m = 1 + float64(r.IntN(8))/8
	}
	if r.IntN(2) == 0 {
		m = -m
	}
	return math.Ldexp(m, r.IntN(2*spread+1)-spread)
}

// hardNet draws a small network whose layers cancel: rows come in pairs that differ in the last bits and are subtracted.
func hardNet(r *rand.Rand, t *testing.T) *prog.Program {
	in := 1 + r.IntN(3)
	b := prog.NewBuilder(in)
	cur := 0
	spread := []int{0, 3, 12, 40}[r.IntN(4)]
	matrix := func(m, n int) []float64 {
		w := make([]float64, m*n)
		for i := range w {
			w[i] = magnitude(r, spread)
			if i >= n && r.IntN(2) == 0 { // a neighbour of the entry above
				w[i] = w[i-n] * (1 + float64(r.IntN(5)-2)*0x1p-50)
				if r.IntN(2) == 0 {
					w[i] = -w[i]
				}
			}
		}
		return w
	}
	for range 1 + r.IntN(3) {
		m, n := 1+r.IntN(4), b.N(cur)
		var bias []float64
		if r.IntN(3) > 0 {
			bias = make([]float64, m)
			for i := range bias {
				bias[i] = magnitude(r, spread)
			}
		}
		terms := []prog.Term{{Src: cur, Map: prog.Dense(m, n, matrix(m, n))}}
		if cur > 0 && r.IntN(2) == 0 { // the pre-activation again, with almost the opposite weights
			src := cur - 1
			terms = append(terms, prog.Term{Src: src, Map: prog.Dense(m, b.N(src), matrix(m, b.N(src)))})
		}
		cur = b.Relu("", b.Affine("", m, bias, 0, terms...))
	}
	if r.IntN(6) > 0 {
		cur = b.Affine("", 2, nil, 0, prog.Term{Src: cur, Map: prog.Dense(2, b.N(cur), matrix(2, b.N(cur)))})
	}
	p, err := b.Program(cur)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// roundings returns the float64 next below and next above (or at) v.
func roundings(v *big.Rat) (below, above float64) {
	f, exact := v.Float64()
	switch c := new(big.Rat).SetFloat64(f).Cmp(v); {
	case exact:
		return f, f
	case c > 0:
		return math.Nextafter(f, math.Inf(-1)), f
	}
	return f, math.Nextafter(f, math.Inf(1))
}

// TestThresholdAtTheExtreme asks every method whether a row's value can be at most its exact minimum over the box: never
// unsat, and with a right-hand side clearly below, never sat.
func TestThresholdAtTheExtreme(t *testing.T) {
	rounds := 250
	if testing.Short() {
		rounds = 60
	}
	proved := 0
	for s := range uint64(rounds) {
		r := rand.New(rand.NewPCG(s, 11))
		p := hardNet(r, t)
		n, out := p.Nodes[0].N, p.Nodes[p.Output].N
		lo, hi := make([]float64, n), make([]float64, n)
		for i := range lo {
			c := float64(float32(r.NormFloat64()))
			w := float64(float32(r.ExpFloat64() * math.Ldexp(1, -r.IntN(20))))
			lo[i], hi[i] = float64(float32(c-w)), float64(float32(c+w))
			if r.IntN(3) == 0 {
				hi[i] = lo[i]
			}
		}
		var row spec.Row
		cx, cy := make([]float64, n), make([]float64, out)
		for j := range cy {
			cy[j] = magnitude(r, 2)
			row.Y = append(row.Y, spec.Coef{Index: j, Value: cy[j]})
		}
		if r.IntN(3) == 0 {
			cx[0] = magnitude(r, 8)
			row.X = []spec.Coef{{Index: 0, Value: cx[0]}}
		}
		minimum := verifytest.MinExact(p, lo, hi, cx, cy)
		below, above := roundings(minimum)
		gap := math.Max(math.Abs(above), 1e-3) * math.Ldexp(1, -10-r.IntN(30))
		for _, m := range methods {
			for _, c := range []struct {
				rhs float64
				sat bool
			}{{above, true}, {math.Nextafter(above, math.Inf(1)), true}, {math.Nextafter(below, math.Inf(-1)), false}, {below - gap, false}} {
				row.RHSLower, row.RHSUpper = c.rhs, c.rhs
				prob := spec.FromBox(lo, hi, [][]spec.Row{{row}}, out)
				res := run(t, p, prob, verify.Options{Method: m, NoAttack: r.IntN(2) == 0, Seed: s, Timeout: 4 * time.Millisecond})
				switch {
				case c.sat && res.Verdict == verify.Holds:
					t.Fatalf("seed %d method %q: holds with right-hand side %v, exact minimum %v", s, m, c.rhs, minimum.FloatString(40))
				case !c.sat && res.Verdict == verify.Violated:
					t.Fatalf("seed %d method %q: violated with right-hand side %v, exact minimum %v", s, m, c.rhs, minimum.FloatString(40))
				case res.Verdict == verify.Holds:
					proved++
				}
			}
		}
	}
	t.Logf("%d proved", proved)
	if proved < rounds {
		t.Errorf("only %d of %d questions proved: the test has lost its grip", proved, rounds*len(methods)*2)
	}
}

// TestDecimalsAreTakenAdversely: coefficients and right-hand sides known to a tenth are refuted only where every number in
// their ranges is. The questions sit between the stored number and the adverse one; the control lies beyond both.
func TestDecimalsAreTakenAdversely(t *testing.T) {
	const n = 12
	w := make([]float64, 2*n)
	w[0], w[n] = 1, 1
	for i := 1; i < n; i++ {
		w[i], w[n+i] = 0x1p-10, -0x1p-10
	}
	p := chain(t, n, w, []float64{0.5, 0.5}) // about x₀ on x₀ > 0
	lo, hi := make([]float64, n), make([]float64, n)
	for i := range lo {
		lo[i], hi[i] = -1, 1
	}
	y := func(v, e float64) []spec.Coef { return []spec.Coef{{Index: 0, Value: v, Err: e}} }
	for _, c := range []struct {
		name  string
		x0    float64 // x₀ in [x0, x0+1/16]
		row   spec.Row
		holds bool
	}{
		{"right-hand side", 1.125, spec.Row{Y: y(1, 0), RHSLower: 1, RHSUpper: 1.25}, false},
		{"right-hand side, control", 1.5, spec.Row{Y: y(1, 0), RHSLower: 1, RHSUpper: 1.25}, true},
		{"output coefficient", 1.0625, spec.Row{Y: y(1, 0.125), RHSLower: 1, RHSUpper: 1}, false},
		{"output coefficient, control", 1.5, spec.Row{Y: y(1, 0.125), RHSLower: 1, RHSUpper: 1}, true},
		{"input coefficient", 1.0625, spec.Row{X: y(1, 0.125), RHSLower: 1, RHSUpper: 1}, false},
		{"input coefficient, control", 1.5, spec.Row{X: y(1, 0.125), RHSLower: 1, RHSUpper: 1}, true},
		{"input coefficient, mixed", 1.0625, spec.Row{X: y(0, 0.25), Y: y(1, 0), RHSLower: 1, RHSUpper: 1}, false},
	} {
		lo[0], hi[0] = c.x0, c.x0+0.0625
		prob := spec.FromBox(lo, hi, [][]spec.Row{{c.row}}, 1)
		for _, m := range methods {
			res := run(t, p, prob, verify.Options{Method: m, NoAttack: true, Timeout: 100 * time.Millisecond})
			if got := res.Verdict == verify.Holds; got && !c.holds || !got && c.holds && m != "ibp" {
				t.Errorf("%s, method %q: %v", c.name, m, res.Verdict)
			}
		}
	}
}
