package relax

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// wide is a number of 320 bits, in which sums of products of float64 lose nothing that matters here.
func wide(x float64) *big.Float { return new(big.Float).SetPrec(320).SetFloat64(x) }

func product(x ...*big.Float) *big.Float {
	p := wide(1)
	for _, v := range x {
		p.Mul(p, v)
	}
	return p
}

// add adds a product to s.
func add(s *big.Float, x ...*big.Float) { s.Add(s, product(x...)) }

// TestLiftProofsInWideNumbers derives the bounds of leaves of a search anew, from the network's weights, the box and the multipliers,
// in 320 bits: matrices are positive semidefinite, and no bound is above the one that follows.
func TestLiftProofsInWideNumbers(t *testing.T) {
	leaves, split := 0, 0
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 36))
		const in, hidden = 40, 80
		w1, b1, w2 := make([]float64, in*hidden), make([]float64, hidden), make([]float64, hidden)
		for _, v := range [][]float64{w1, b1, w2} {
			for i := range v {
				v[i] = r.NormFloat64()
			}
		}
		b := prog.NewBuilder(in)
		x := b.Relu("", b.Affine("", hidden, b1, 0, prog.Term{Src: 0, Map: prog.Dense(hidden, in, w1)}))
		net := NewNet(mustProgram(t, b, b.Affine("", 1, nil, 0, prog.Term{Src: x, Map: prog.Dense(1, hidden, w2)})))
		l, w := NewLift(ibpFrame(net, randomBox(r, in))), NewWorker(net)
		row := &spec.Row{Y: []spec.Coef{{Index: 0, Value: 1}}}
		o, s := l.Row(w, row), l.Start()
		w.AscendLift(l, o, s, 100)
		row.RHSUpper = s.Value + 0.01*max(s.Value, -s.Value) // a little above what the root can prove
		o = l.Row(w, row)
		var search func(s *LiftState, depth int)
		count := 0
		search = func(s *LiftState, depth int) {
			lb := w.AscendLift(l, o, s, 100)
			next := w.Widest(o, s)
			if lb > 0 {
				if count++; depth > 0 {
					split++
				}
				by := enlarged(l, o, s, w.lift)
				if again := w.lift.evaluate(l, o, s, by); again != lb {
					t.Fatalf("seed %d: bound %v, then %v", seed, lb, again)
				}
				if bound := wideBound(t, l, o, s, w.lift, by, w1, b1, w2, row.RHSUpper); bound.Cmp(wide(lb)) < 0 {
					t.Errorf("seed %d: bound %v, in 320 bits %v", seed, lb, bound)
				}
			}
			if lb > 0 || next < 0 || depth == 12 || count == 4 {
				return
			}
			search(s.Decide(next, 1), depth+1)
			search(s.Decide(next, -1), depth+1)
		}
		search(l.Start(), 0)
		leaves += count
	}
	t.Logf("%d leaves, %d below a root", leaves, split)
	if leaves < 8 || split < 4 {
		t.Errorf("only %d leaves, %d below a root", leaves, split)
	}
}

// enlarged is the factor by which the last proof has enlarged the multipliers.
func enlarged(l *Lift, o *LiftRow, s *LiftState, a *lifting) float64 {
	a.gather(l, o, s)
	total := max(a.d0, 0)
	for _, v := range a.nx {
		total += float64(v) / 2
	}
	for _, i := range o.concave {
		if s.Fixed[i] == 0 {
			total += float64(a.ny[i]) / 2
		}
	}
	return 1 + proofShare*s.Value/total
}

// wideBound is the bound that the multipliers of the last proof of s, by times as large, give; the test fails where the matrix is not
// positive definite.
func wideBound(t *testing.T, l *Lift, o *LiftRow, s *LiftState, a *lifting, by float64, w1, b1, w2 []float64, rhs float64) *big.Float {
	t.Helper()
	n := len(l.f.inC)
	mid, rad := make([]*big.Float, n), make([]*big.Float, n)
	for i := range mid {
		lo, hi := wide(l.f.Box.Lo[i]), wide(l.f.Box.Hi[i])
		mid[i], rad[i] = product(wide(0.5), wide(0).Add(lo, hi)), product(wide(0.5), wide(0).Sub(hi, lo))
	}
	value, p := wide(-rhs), make([]*big.Float, n)
	for i := range p {
		p[i] = wide(0)
	}
	f := [][]*big.Float{p} // rows over ξ: the linear part, then those of the indicators
	off := []*big.Float{nil}
	d := []*big.Float{wide(a.d0 * by)}
	for j, v := range w2 {
		row, z, reach := w1[j*n:(j+1)*n], wide(b1[j]), wide(0)
		for i, x := range row {
			add(z, wide(x), mid[i])
			add(reach, wide(max(x, -x)), rad[i])
		}
		lin, k := wide(v), l.place[j]
		switch {
		case z.Cmp(wide(0).Neg(reach)) <= 0:
			continue
		case z.Cmp(reach) >= 0:
		case s.slope[k] < 0 || s.Fixed[k] == 0 && s.slope[k] > 1:
			t.Fatalf("multiplier %v", s.slope[k])
		case s.Fixed[k] > 0:
			lin.Sub(lin, wide(float64(s.slope[k])))
		case s.Fixed[k] < 0:
			lin = wide(float64(s.slope[k]))
		case v >= 0:
			lin = product(lin, wide(float64(s.slope[k])))
		default:
			lin = product(lin, wide(0.5))
			e := make([]*big.Float, n)
			for i, x := range row {
				e[i] = product(lin, wide(x), rad[i])
			}
			f, off, d = append(f, e), append(off, product(lin, z, wide(0.5))), append(d, wide(float64(a.ny[k])/2*by))
		}
		add(value, lin, z)
		for i, x := range row {
			add(p[i], lin, wide(x), rad[i])
		}
	}
	m := make([][]*big.Float, len(f))
	for e := range m {
		value.Sub(value, d[e])
		m[e] = make([]*big.Float, e+1)
		for g := range m[e] {
			m[e][g] = wide(0)
			for c, i := range l.cols {
				v := wide(a.proof.s[c])
				add(m[e][g], wide(-1), f[e][i], f[g][i], v, v)
			}
		}
		m[e][e].Add(m[e][e], d[e])
		if e > 0 {
			m[e][0].Add(m[e][0], off[e])
		}
	}
	for c := range l.cols {
		v := wide(a.proof.s[c])
		value.Sub(value, wide(0).Quo(wide(0.25), product(v, v)))
	}
	for k := range m {
		if m[k][k].Sign() <= 0 {
			t.Errorf("pivot %d of %d is %v", k, len(m), m[k][k])
			break
		}
		for i := k + 1; i < len(m); i++ {
			q := wide(0).Quo(m[i][k], m[k][k])
			for j := k + 1; j <= i; j++ {
				add(m[i][j], wide(-1), q, m[j][k])
			}
		}
	}
	return value
}
