package verifytest_test

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/verifytest"
)

// smoothProgram draws a network with curves, products and a quotient over in inputs and one output.
func smoothProgram(r *rand.Rand, in int) *prog.Program {
	b := prog.NewBuilder(in)
	const h = 4
	mat := func(m, n int) prog.Linear {
		w := make([]float64, m*n)
		for i := range w {
			w[i] = float64(float32(r.NormFloat64() / 2))
		}
		return prog.Dense(m, n, w)
	}
	x := b.Relu("", b.Affine("", h, []float64{0.5, 0.5, 0, 0}, 0, prog.Term{Src: 0, Map: mat(h, in)}))
	y := b.Affine("", h, nil, 0, prog.Term{Src: x, Map: mat(h, h)}, prog.Term{Src: 0, Map: mat(h, in)})
	cube := b.Curve("", prog.Cube, x)
	sum := b.Affine("", 1, []float64{1}, 0, prog.Term{Src: b.Curve("", prog.Square, y), Map: prog.Dense(1, h, []float64{1, 1, 1, 1})})
	rec := b.Affine("", h, nil, 0, prog.Term{Src: b.Curve("", prog.Reciprocal, sum), Map: prog.Index(1, make([]int32, h))})
	q := b.Product("", b.Product("", cube, y), rec)
	p, err := b.Program(b.Affine("", 1, nil, 0, prog.Term{Src: q, Map: mat(1, h)}, prog.Term{Src: x, Map: mat(1, h)}))
	if err != nil {
		panic(err)
	}
	return p
}

// smoothQuery asks, on every box, whether the output can be at most a limit: just beyond what was sampled there, except that
// one box in a few asks for a value that is attained. It returns exact outputs of sampled inputs per box.
func smoothQuery(r *rand.Rand, p *prog.Program, boxes int) (*spec.Problem, [][]*big.Rat) {
	in := p.Nodes[0].N
	prob := &spec.Problem{NumInputs: in, NumOutputs: 1}
	var samples [][]*big.Rat
	attain := -1
	if r.IntN(2) == 0 {
		attain = r.IntN(boxes)
	}
	for k := range boxes {
		box := spec.Box{}
		for range in {
			v := float32(r.NormFloat64())
			box.InLower, box.InUpper = append(box.InLower, v), append(box.InUpper, v)
		}
		for range 1 + r.IntN(2) {
			box.InUpper[r.IntN(in)] += float32(r.Float64())
		}
		for i := range in {
			box.Lower, box.Upper = append(box.Lower, float64(box.InLower[i])), append(box.Upper, float64(box.InUpper[i]))
		}
		var values []*big.Rat
		least, x := 0.0, make([]float64, in)
		for n := range 20 {
			for i := range x {
				x[i] = min(float64(float32(box.Lower[i]+(box.Upper[i]-box.Lower[i])*r.Float64())), box.Upper[i])
			}
			v := verifytest.EvalExact(p, x)[p.Output][0]
			if f, _ := v.Float64(); n == 0 || f < least {
				least = f
			}
			values = append(values, v)
		}
		limit := least - 0.05 - 0.3*r.Float64()
		if k == attain {
			limit = least + 0.05
		}
		prob.Boxes = append(prob.Boxes, box)
		prob.Cases = append(prob.Cases, spec.Case{Box: k, Rows: []spec.Row{{Y: []spec.Coef{{Value: 1}}, RHSLower: limit, RHSUpper: limit}}})
		samples = append(samples, values)
	}
	return prob, samples
}

// TestSmoothQueries decides queries with one and with many boxes over networks with products and quotients. A Holds must not be
// contradicted by an exactly evaluated sample, a witness must be one exactly, most must be decided, and nothing may depend on
// the number of workers.
func TestSmoothQueries(t *testing.T) {
	rounds := uint64(60)
	if testing.Short() {
		rounds = 20
	}
	seen := map[verify.Verdict]int{}
	for s := range rounds {
		r := seed.Stream(s, "smooth")
		p := smoothProgram(r, 3+r.IntN(8))
		prob, samples := smoothQuery(r, p, []int{1, 2, 30}[s%3])
		var first *verify.Result
		for workers := 1; workers <= 3; workers += 2 {
			res, err := verify.Program(context.Background(), p, prob, verify.Options{Workers: workers, NoAttack: s%2 == 0, Timeout: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = res
			} else if a, b := summary(first), summary(res); !reflect.DeepEqual(a, b) {
				t.Fatalf("seed %d: %s with one worker, %s with %d", s, a, b, workers)
			}
		}
		seen[first.Verdict]++
		switch first.Verdict {
		case verify.Holds:
			for k, values := range samples {
				limit := new(big.Rat).SetFloat64(prob.Cases[k].Rows[0].RHSUpper)
				for _, v := range values {
					if v.Cmp(limit) <= 0 {
						t.Fatalf("seed %d: holds, but box %d attains %v", s, k, v)
					}
				}
			}
		case verify.Violated:
			w := first.Witness
			limit := new(big.Rat).SetFloat64(prob.Cases[w.Case].Rows[0].RHSLower)
			if v := verifytest.EvalExact(p, w.X)[p.Output][0]; v.Cmp(limit) > 0 {
				t.Fatalf("seed %d: witness with output %v above %v", s, v, limit)
			}
		}
	}
	if u := seen[verify.Unknown] + seen[verify.Timeout]; u > int(rounds)/10 || seen[verify.Holds] < int(rounds)/4 || seen[verify.Violated] < int(rounds)/4 {
		t.Errorf("verdicts %v: the test shows little", seen)
	}
}

func summary(r *verify.Result) string {
	if r.Witness != nil {
		return fmt.Sprint(r.Verdict, r.Witness.X, r.Witness.Case, r.Stats.Branches)
	}
	return fmt.Sprint(r.Verdict, r.Stats.Branches, r.Reason)
}

// TestPoles asks about quotients whose denominator vanishes inside the box: nothing bounds them, so nothing may be proved of
// them by any method, and nothing may break; where the denominator keeps its sign behind a ReLU, the query is decided.
func TestPoles(t *testing.T) {
	for _, in := range []int{1, 3, 20} {
		for _, method := range []string{"", "ibp", "crown", "alpha", "input-split", "relu-split"} {
			for _, shift := range []float64{0, 0.75} {
				b := prog.NewBuilder(in)
				w := make([]float64, in)
				w[0] = 1
				x := b.Affine("", 1, nil, 0, prog.Term{Src: 0, Map: prog.Dense(1, in, w)})
				bias := make([]float64, in)
				for i := range bias {
					bias[i] = 0.5
				}
				h := b.Relu("", b.Affine("", in, bias, 0, prog.Term{Src: 0, Map: prog.Identity(in)}))
				if shift > 0 {
					x = b.Affine("", 1, []float64{shift}, 0, prog.Term{Src: b.Relu("", x), Map: prog.Identity(1)})
				}
				q := b.Product("", b.Affine("", 1, nil, 0, prog.Term{Src: h, Map: prog.Dense(1, in, w)}), b.Curve("", prog.Reciprocal, x))
				p, err := b.Program(q)
				if err != nil {
					t.Fatal(err)
				}
				box := spec.Box{}
				for range in {
					box.Lower, box.Upper = append(box.Lower, -1), append(box.Upper, 1)
					box.InLower, box.InUpper = append(box.InLower, -1), append(box.InUpper, 1)
				}
				// (x+1/2)⁺/x takes every value, (x+1/2)⁺/(x⁺+3/4) none below 0
				limit := -1.0
				prob := &spec.Problem{NumInputs: in, NumOutputs: 1, Boxes: []spec.Box{box},
					Cases: []spec.Case{{Rows: []spec.Row{{Y: []spec.Coef{{Value: 1}}, RHSLower: limit, RHSUpper: limit}}}}}
				res, err := verify.Program(context.Background(), p, prob, verify.Options{Method: method, NoAttack: true, Timeout: 150 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				if shift == 0 && res.Verdict == verify.Holds {
					t.Errorf("%d inputs, method %q: a pole is proved away", in, method)
				}
				if shift > 0 && res.Verdict != verify.Holds {
					t.Errorf("%d inputs, method %q: %v without a pole", in, method, res.Verdict)
				}
			}
		}
	}
}
