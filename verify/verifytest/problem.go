package verifytest

import (
	"math"
	"math/big"
	"math/rand/v2"

	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// An Instance is one question: a network and a problem.
type Instance struct {
	Net     *Net
	Problem *spec.Problem
}

// RandomInstance returns the random question of a seed.
func RandomInstance(root uint64) *Instance {
	n := RandomNet(seed.Stream(root, "verifytest", "net"))
	p, err := n.Program()
	if err != nil {
		panic(err)
	}
	return &Instance{Net: n, Problem: RandomProblem(seed.Stream(root, "verifytest", "problem"), p)}
}

// RandomProblem draws a problem for p: one or two boxes (some dimensions fixed, some ends no float32 numbers), one to four
// cases of one to three rows over outputs and sometimes inputs. Right-hand sides lie near what the network can do,
// sometimes within an ulp of the exact extreme, so that both answers occur and rounding matters.
func RandomProblem(r *rand.Rand, p *prog.Program) *spec.Problem {
	prob := &spec.Problem{NumInputs: p.Nodes[0].N, NumOutputs: p.Nodes[p.Output].N, Version: "2.0"}
	for range 1 + r.IntN(3)/2 {
		prob.Boxes = append(prob.Boxes, randomBox(r, prob.NumInputs))
	}
	for b := range prob.Boxes {
		prob.Cases = append(prob.Cases, randomCase(r, p, prob, b))
	}
	for r.IntN(3) == 0 && len(prob.Cases) < 4 {
		prob.Cases = append(prob.Cases, randomCase(r, p, prob, r.IntN(len(prob.Boxes))))
	}
	return prob
}

func randomCase(r *rand.Rand, p *prog.Program, prob *spec.Problem, b int) spec.Case {
	box := &prob.Boxes[b]
	c := spec.Case{Box: b}
	at := sample(r, box, 3) // rows are placed around this point's output
	for range 1 + r.IntN(6)/3 {
		row := randomRow(r, prob)
		rhs := aroundPoint(r, p, &row, at)
		if r.IntN(3) == 0 {
			rhs = nearExtreme(r, p, &row, box)
		}
		row.RHSLower, row.RHSUpper = rhs, rhs
		c.Rows = append(c.Rows, row)
	}
	return c
}

func randomRow(r *rand.Rand, prob *spec.Problem) spec.Row {
	var row spec.Row
	row.Strict = r.IntN(8) == 0
	coef := func(i int) spec.Coef {
		v := float64(1 + r.IntN(2))
		if r.IntN(2) == 0 {
			v = -v
		}
		return spec.Coef{Index: i, Value: v}
	}
	for i := range prob.NumOutputs {
		if r.IntN(2) == 0 {
			row.Y = append(row.Y, coef(i))
		}
	}
	if len(row.Y) == 0 {
		row.Y = append(row.Y, coef(r.IntN(prob.NumOutputs)))
	}
	if r.IntN(5) == 0 {
		row.X = append(row.X, coef(r.IntN(prob.NumInputs)))
	}
	return row
}

// aroundPoint returns the row's value at an input, moved a little either way or not at all.
func aroundPoint(r *rand.Rand, p *prog.Program, row *spec.Row, at []float64) float64 {
	v := p.Eval(at, 1, nil)
	y := v[p.Output]
	sum := 0.0
	for _, c := range row.X {
		sum += c.Value * at[c.Index]
	}
	for _, c := range row.Y {
		sum += c.Value * y[c.Index]
	}
	return sum + math.Ldexp(float64(r.IntN(17)-10), -r.IntN(12))
}

// nearExtreme returns the row's exact minimum over the box, rounded to float64 and moved by at most a few ulp or by 2⁻¹⁰.
func nearExtreme(r *rand.Rand, p *prog.Program, row *spec.Row, box *spec.Box) float64 {
	cx, cy := make([]float64, p.Nodes[0].N), make([]float64, p.Nodes[p.Output].N)
	for _, c := range row.X {
		cx[c.Index] += c.Value
	}
	for _, c := range row.Y {
		cy[c.Index] += c.Value
	}
	f, _ := MinExact(p, box.Lower, box.Upper, cx, cy).Float64()
	switch r.IntN(6) {
	case 0:
		return math.Nextafter(f, math.Inf(1))
	case 1:
		return math.Nextafter(f, math.Inf(-1))
	case 2:
		return f + 0x1p-10
	case 3:
		return f - 0x1p-10
	case 4:
		return f - 0x1p-30
	}
	return f
}

// holdsAt reports whether an exact input satisfies some case, rows read non-strictly, whose box accepts it.
func holdsAt(p *prog.Program, prob *spec.Problem, x []*big.Rat, accept func(*spec.Box) bool) bool {
	y := EvalExactRat(p, x)[p.Output]
	for ci := range prob.Cases {
		c := &prob.Cases[ci]
		ok := accept(&prob.Boxes[c.Box])
		for i := range c.Rows {
			ok = ok && RowSlack(&c.Rows[i], x, y).Sign() >= 0
		}
		if ok {
			return true
		}
	}
	return false
}
