package relax

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// liftNet is a random network with one hidden layer; number draws a coefficient. Some read the input at the output too.
func liftNet(r *rand.Rand, t *testing.T, in, hidden int, number func() float64) *prog.Program {
	b := prog.NewBuilder(in)
	list := func(n int) []float64 {
		w := make([]float64, n)
		for i := range w {
			w[i] = number()
			if k := 1 + r.IntN(n); i >= k && r.IntN(4) == 0 { // sums that cancel
				w[i] = -w[i-k] * (1 + float64(r.IntN(5)-2)*0x1p-51)
			}
		}
		return w
	}
	x := b.Relu("", b.Affine("", hidden, list(hidden), 0, prog.Term{Src: 0, Map: prog.Dense(hidden, in, list(hidden*in))}))
	terms := []prog.Term{{Src: x, Map: prog.Dense(2, hidden, list(2*hidden))}}
	if r.IntN(3) == 0 {
		terms = append(terms, prog.Term{Src: 0, Map: prog.Dense(2, in, list(2*in))})
	}
	return mustProgram(t, b, b.Affine("", 2, list(2), 0, terms...))
}

// objective is the exact value of Σ X·x + Σ Y·y − RHS.
func objective(row *spec.Row, x, y []*big.Rat) *big.Rat {
	s := new(big.Rat).Neg(ratOf(row.RHSUpper))
	for _, c := range row.X {
		s.Add(s, new(big.Rat).Mul(ratOf(c.Value), x[c.Index]))
	}
	for _, c := range row.Y {
		s.Add(s, new(big.Rat).Mul(ratOf(c.Value), y[c.Index]))
	}
	return s
}

// decideAs decides random open neurons on the side on which the exact values z of the hidden layer have them.
func decideAs(r *rand.Rand, l *Lift, s *LiftState, z []*big.Rat) {
	for i, j := range l.open {
		if r.IntN(3) > 0 {
			continue
		}
		s.Fixed[i], s.slope[i] = 1, float32(r.ExpFloat64())
		if z[j].Sign() < 0 {
			s.Fixed[i] = -1
		}
	}
}

// TestLiftBoundsAgainstExactValues compares semidefinite bounds, after any number of sweeps and with any multipliers, with
// exact values at points that satisfy what is decided: sampled ones and the corners the bounds themselves point to. No
// tolerance is used.
func TestLiftBoundsAgainstExactValues(t *testing.T) {
	rounds := uint64(1000)
	if testing.Short() {
		rounds = 200
	}
	bounds, close := 0, 0
	for seed := range rounds {
		r := rand.New(rand.NewPCG(seed, 31))
		in, hidden := 1+r.IntN(6), 1+r.IntN(12)
		number := func() float64 { return wild(r, 2) }
		var box Box
		if seed%2 == 0 {
			number = r.NormFloat64
			box = randomBox(r, in)
		} else {
			box = wildBox(r, in)
		}
		p := liftNet(r, t, in, hidden, number)
		net := NewNet(p)
		if !net.Liftable() {
			t.Fatal("the network is not liftable")
		}
		l := NewLift(ibpFrame(net, box))
		if l == nil {
			continue
		}
		at := exactEval(p, samplePoint(r, box))
		row := touchingRow(r, at[0], at[p.Output])
		w := NewWorker(net)
		o, s := l.Row(w, row), l.Start()
		decideAs(r, l, s, at[l.pre])
		lb := w.AscendLift(l, o, s, 1+r.IntN(40))
		for i := range s.slope { // any multipliers do
			if r.IntN(8) == 0 && s.Fixed[i] == 0 {
				s.slope[i] = r.Float32()
			}
		}
		lb = max(lb, w.LiftBound(l, o, s))
		if math.IsInf(lb, -1) {
			continue
		}
		bounds++
		corner := make([]float64, in)
		w.LiftCorner(l, corner)
		for k := range 12 {
			v := at
			switch {
			case k == 1:
				v = exactEval(p, corner)
			case k > 1:
				v = exactEval(p, samplePoint(r, box))
			}
			if !agrees(l, s, v[l.pre]) {
				continue
			}
			got := objective(row, v[0], v[p.Output])
			if !below(lb, got) {
				g, _ := got.Float64()
				t.Fatalf("seed %d: bound %v, value %v at a point", seed, lb, g)
			}
			if g, _ := got.Float64(); g-lb < 1e-2*math.Abs(g) {
				close++
			}
		}
	}
	if bounds < int(rounds)/4 || close < int(rounds)/8 {
		t.Errorf("only %d bounds in %d rounds, %d close to a value", bounds, rounds, close)
	}
}

// agrees reports whether a point with these values of the hidden layer satisfies what s has decided.
func agrees(l *Lift, s *LiftState, z []*big.Rat) bool {
	for i, f := range s.Fixed {
		if int(f)*z[l.open[i]].Sign() < 0 {
			return false
		}
	}
	return true
}

// TestLiftChargesRounding has active neurons whose large terms cancel, so that all that is left of the objective is what floats
// round away: the exact value at a point, where the only open neuron is off, lies as often below the floats as above.
func TestLiftChargesRounding(t *testing.T) {
	bounds := 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 35))
		const pairs = 6
		w1, b1, w2 := []float64{1}, []float64{-1}, []float64{1}
		for range pairs {
			w, v := r.NormFloat64()*0x1p20, r.NormFloat64()
			u := r.NormFloat64() * 0x1p20
			w1, w2 = append(w1, w, u), append(w2, v, -v*w/u)
			b1 = append(b1, 3*math.Abs(w), 3*math.Abs(u))
		}
		n := len(w1)
		b := prog.NewBuilder(1)
		x := b.Relu("", b.Affine("", n, b1, 0, prog.Term{Src: 0, Map: prog.Dense(n, 1, w1)}))
		p := mustProgram(t, b, b.Affine("", 1, nil, 0, prog.Term{Src: x, Map: prog.Dense(1, n, w2)}))
		net := NewNet(p)
		box := Box{[]float64{1 - 0x1p-10}, []float64{1 + 0x1p-10}}
		l := NewLift(ibpFrame(net, box))
		w := NewWorker(net)
		o, s := l.Row(w, &spec.Row{Y: []spec.Coef{{Index: 0, Value: 1}}}), l.Start()
		w.AscendLift(l, o, s, 30)
		clear(s.slope) // the open neuron's line is 0
		lb := w.LiftBound(l, o, s)
		if math.IsInf(lb, -1) {
			continue
		}
		bounds++
		for _, at := range []float64{box.Lo[0], 1 - 0x1p-11, 1} {
			if v := exactEval(p, []float64{at})[p.Output][0]; !below(lb, v) {
				g, _ := v.Float64()
				t.Fatalf("seed %d: bound %v, value %v at %v", seed, lb, g, at)
			}
		}
	}
	if bounds < 30 {
		t.Errorf("only %d bounds", bounds)
	}
}

// TestSchurIsExact finds the smallest multipliers that the factorisation accepts and decides exactly, in rational arithmetic,
// that the form with them is positive semidefinite: near the edge rounding is all there is.
func TestSchurIsExact(t *testing.T) {
	rounds := uint64(600)
	if testing.Short() {
		rounds = 150
	}
	proofs := 0
	for seed := range rounds {
		r := rand.New(rand.NewPCG(seed, 32))
		in, hidden := 1+r.IntN(4), 2+r.IntN(5)
		net := NewNet(liftNet(r, t, in, hidden, r.NormFloat64))
		l := NewLift(ibpFrame(net, randomBox(r, in)))
		if l == nil {
			continue
		}
		w := NewWorker(net)
		o, s := l.Row(w, &spec.Row{Y: []spec.Coef{{Index: 0, Value: 1}}}), l.Start()
		if w.AscendLift(l, o, s, 60); len(o.concave) == 0 {
			continue
		}
		a := w.lift
		a.gather(l, o, s)
		no, yes := 0.5, 2.0
		if math.IsInf(a.evaluate(l, o, s, yes), -1) {
			continue
		}
		for range 60 {
			if mid := (no + yes) / 2; math.IsInf(a.evaluate(l, o, s, mid), -1) {
				no = mid
			} else {
				yes = mid
			}
		}
		a.evaluate(l, o, s, yes)
		proofs++
		if !semidefinite(complement(l, o, a, yes)) {
			t.Fatalf("seed %d: accepted at %v, and not positive semidefinite", seed, yes)
		}
		if semidefinite(complement(l, o, a, no*(1-1e-6))) {
			t.Errorf("seed %d: positive semidefinite at %v already, accepted from %v on", seed, no*(1-1e-6), yes)
		}
	}
	if proofs < int(rounds)/5 {
		t.Errorf("only %d proofs in %d rounds", proofs, rounds)
	}
}

// complement is the exact Schur complement of the last evaluation of a, with all multipliers times by. No neuron is decided.
func complement(l *Lift, o *LiftRow, a *lifting, by float64) [][]*big.Rat {
	n, k := len(o.concave)+1, len(l.cols)
	f := make([][]*big.Rat, n)
	m := make([][]*big.Rat, n)
	half := big.NewRat(1, 2)
	for i := range n {
		f[i], m[i] = make([]*big.Rat, k), make([]*big.Rat, n)
		for c := range k {
			if i == 0 {
				f[i][c] = ratOf(a.proof.p[c])
			} else {
				e := o.concave[i-1]
				f[i][c] = new(big.Rat).Mul(ratOf(o.v[e]/2), ratOf(l.b[int(e)*k+c]))
			}
			s := ratOf(a.proof.s[c])
			f[i][c].Mul(f[i][c], s)
		}
	}
	for i := range n {
		for j := range n {
			v := new(big.Rat)
			for c := range k {
				v.Sub(v, new(big.Rat).Mul(f[i][c], f[j][c]))
			}
			switch {
			case i == j && i == 0:
				v.Add(v, ratOf(a.d0*by))
			case i == j:
				v.Add(v, ratOf(float64(a.ny[o.concave[i-1]])/2*by))
			case i == 0 || j == 0:
				e := o.concave[i+j-1]
				v.Add(v, new(big.Rat).Mul(half, ratOf(o.v[e]/2*l.centre[e])))
			}
			m[i][j] = v
		}
	}
	return m
}

// semidefinite decides by elimination.
func semidefinite(m [][]*big.Rat) bool {
	for k := range m {
		switch m[k][k].Sign() {
		case -1:
			return false
		case 0:
			for j := k + 1; j < len(m); j++ {
				if m[k][j].Sign() != 0 {
					return false
				}
			}
			continue
		}
		for i := k + 1; i < len(m); i++ {
			f := new(big.Rat).Quo(m[i][k], m[k][k])
			for j := k; j < len(m); j++ {
				m[i][j].Sub(m[i][j], new(big.Rat).Mul(f, m[k][j]))
			}
		}
	}
	return true
}

// TestLiftIsTighter: where many neurons add up, semidefinite bounds leave a fraction of what linear bounds leave.
func TestLiftIsTighter(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 33))
		const in, hidden = 40, 80
		b := prog.NewBuilder(in)
		dense := func(m, n int) prog.Linear {
			w := make([]float64, m*n)
			for i := range w {
				w[i] = float64(float32(r.NormFloat64() / math.Sqrt(float64(n))))
			}
			return prog.Dense(m, n, w)
		}
		x := b.Relu("", b.Affine("", hidden, nil, 0, prog.Term{Src: 0, Map: dense(hidden, in)}))
		p := mustProgram(t, b, b.Affine("", 1, nil, 0, prog.Term{Src: x, Map: dense(1, hidden)}))
		net := NewNet(p)
		f := ibpFrame(net, Box{fill(in, -1), fill(in, 1)})
		row := &spec.Row{Y: []spec.Coef{{Index: 0, Value: 1}}}
		w := NewWorker(net)
		a := NewAscent(w, f, 8)
		a.Run(f, p.Output, 8, nil, func(w *Worker) { w.SeedObjective(f, row, 0, 1) }, Steps{N: 60, RateA: 0.25, Decay: 0.97})
		linear := a.Best[0]
		l := NewLift(f)
		o, s := l.Row(w, row), l.Start()
		w.AscendLift(l, o, s, 60)
		lb := w.LiftBound(l, o, s)
		corner := make([]float64, in)
		w.LiftCorner(l, corner)
		value := p.Eval(corner, 1, nil)[p.Output][0]
		t.Logf("linear %.3f, semidefinite %.3f, a value %.3f", linear, lb, value)
		if value-lb > 0.4*(value-linear) {
			t.Errorf("seed %d: linear %v, semidefinite %v, value %v", seed, linear, lb, value)
		}
		if math.Abs(lb-s.Value) > 0.1*math.Abs(s.Value) {
			t.Errorf("seed %d: estimate %v, bound %v", seed, s.Value, lb)
		}
	}
}

// TestLiftable: the shapes that semidefinite bounds are for, and others.
func TestLiftable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 34))
	for _, c := range []struct {
		p    *prog.Program
		want bool
	}{
		{liftNet(r, t, 2, 3, r.NormFloat64), true},
		{randomNet(r, 2, []int{3}, false), true},
		{randomNet(r, 2, []int{3, 4}, false), false},
		{randomNet(r, 2, []int{3}, true), false},
		{randomNet(r, 2, nil, false), false},
	} {
		if got := NewNet(c.p).Liftable(); got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
	b := prog.NewBuilder(2)
	if NewNet(mustProgram(t, b, b.Relu("", 0))).Liftable() {
		t.Error("ReLUs of the input itself have no matrix")
	}
}

// TestLiftIsNotWrittenOut: a layer whose rows would take gigabytes has no semidefinite bounds, however few of its neurons are open.
func TestLiftIsNotWrittenOut(t *testing.T) {
	const n = 12000
	b := prog.NewBuilder(n)
	bias := fill(n, 2)
	bias[0] = 0
	x := b.Relu("", b.Affine("", n, bias, 0, prog.Term{Src: 0, Map: prog.Identity(n)}))
	net := NewNet(mustProgram(t, b, b.Affine("", 1, nil, 0, prog.Term{Src: x, Map: prog.Dense(1, n, fill(n, -1))})))
	if !net.Liftable() {
		t.Fatal("the network is not liftable")
	}
	if NewLift(ibpFrame(net, Box{fill(n, -1), fill(n, 1)})) != nil {
		t.Error("rows of a gigabyte were written out")
	}
}
