package spec

import (
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// holds reports whether the outputs y satisfy some case.
func holds(cases []Case, y []float64) bool {
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
		q := &Problem{Cases: make([]Case, 1+r.IntN(2))}
		for i := range q.Cases {
			for range 1 + r.IntN(3) {
				row := Row{Strict: r.IntN(2) == 0}
				v := float64(1 + r.IntN(2))
				if r.IntN(2) == 0 {
					v = -v
				}
				row.Y = append(row.Y, Coef{Index: r.IntN(3), Value: v})
				if r.IntN(2) == 0 {
					row.Y = append(row.Y, Coef{Index: r.IntN(3), Value: -v})
				} else {
					row.RHSLower = float64(r.IntN(5) - 2)
					row.RHSUpper = row.RHSLower
				}
				q.Cases[i].Rows = append(q.Cases[i].Rows, row)
			}
		}
		inner, s := Peel(p, q)
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

// softmaxProgram is 1/Σ e^(z_k − z_e) over two groups of three elements of the input.
func softmaxProgram(t *testing.T, change func(diff, sum []float64)) *prog.Program {
	t.Helper()
	const n, size = 6, 3
	diff, sum := make([]float64, n*size*n), make([]float64, n*n*size)
	for e := range n {
		for j := range size {
			i, k := e*size+j, e/size*size+j
			if k != e {
				diff[i*n+k], diff[i*n+e] = 1, -1
			}
			sum[e*n*size+i] = 1
		}
	}
	change(diff, sum)
	b := prog.NewBuilder(n)
	d := b.Affine("diff", n*size, nil, 0, prog.Term{Src: 0, Map: prog.Dense(n*size, n, diff)})
	s := b.Affine("sum", n, nil, 0, prog.Term{Src: b.Curve("exp", prog.Exp, d), Map: prog.Dense(n, n*size, sum)})
	p, err := b.Program(b.Curve("softmax", prog.Reciprocal, s))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPeelSoftmax: questions that compare two elements of a group are restated, others and other programs are refused.
func TestPeelSoftmax(t *testing.T) {
	ask := func(p *prog.Program, rows ...Row) bool {
		inner, q := Peel(p, &Problem{NumInputs: 6, NumOutputs: 6, Cases: []Case{{Rows: rows}}})
		if inner != nil && (inner.Output != 0 || len(q.Cases) != 1) {
			t.Errorf("output node %d, cases %+v", inner.Output, q.Cases)
		}
		return inner != nil
	}
	row := func(i, j int, v, rhs float64) Row {
		return Row{Y: []Coef{{Index: i, Value: v}, {Index: j, Value: -v}}, RHSLower: rhs, RHSUpper: rhs}
	}
	p := softmaxProgram(t, func(_, _ []float64) {})
	if !ask(p, row(0, 2, 1, 0), row(4, 5, -2, 0)) {
		t.Error("a comparison within groups is not restated")
	}
	binary32 := *p
	if binary32.Binary32 = true; ask(&binary32, row(0, 2, 1, 0)) {
		t.Error("a Softmax in binary32 is taken for one that keeps the order")
	}
	for name, r := range map[string]Row{"two groups": row(0, 3, 1, 0), "a margin": row(0, 1, 1, 0.1),
		"a threshold": {Y: []Coef{{Index: 0, Value: 1}}}, "an inexact coefficient": {Y: []Coef{{Index: 0, Value: 1, Err: 1}, {Index: 1, Value: -1}}}} {
		if ask(p, r) {
			t.Errorf("%s: restated", name)
		}
	}
	for name, change := range map[string]func(diff, sum []float64){
		"a weight":               func(_, sum []float64) { sum[0] = 2 },
		"another's term":         func(_, sum []float64) { sum[4] = 1 },
		"a missing term":         func(_, sum []float64) { sum[1] = 0 },
		"a scaled difference":    func(diff, _ []float64) { diff[1*6+1] = 0.5 },
		"a difference to others": func(diff, _ []float64) { diff[1*6+1], diff[1*6+4] = 0, 1 },
		"reversed":               func(diff, _ []float64) { diff[1*6+1], diff[1*6+0] = -1, 1 },
	} {
		if ask(softmaxProgram(t, change), row(0, 2, 1, 0)) {
			t.Errorf("%s: taken for a Softmax", name)
		}
	}
}
