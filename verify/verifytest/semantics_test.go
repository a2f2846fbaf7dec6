package verifytest_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/spai-project/certify/internal/exact"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/verifytest"
)

// query asks for a point of a box with Σ c·Y ≤ t.
func query(t *testing.T, lo, hi []float64, c []int, limit float64) *spec.Problem {
	t.Helper()
	exactly := func(v float64) string { return new(big.Float).SetFloat64(v).Text('f', 200) }
	var q bytes.Buffer
	for i := range lo {
		fmt.Fprintf(&q, "(declare-const X_%d Real)\n(assert (>= X_%d %s))\n(assert (<= X_%d %s))\n",
			i, i, exactly(lo[i]), i, exactly(hi[i]))
	}
	sum := ""
	for j, v := range c {
		fmt.Fprintf(&q, "(declare-const Y_%d Real)\n", j)
		sum += fmt.Sprintf(" (* %d.0 Y_%d)", v, j)
	}
	fmt.Fprintf(&q, "(assert (<= (+%s 0.0) %s))\n", sum, exactly(limit))
	p, err := spec.Read("q", bytes.NewReader(q.Bytes()), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// satisfies reports whether Σ c·y ≤ t.
func satisfies(c []int, y []float32, limit float64) bool {
	sum := new(big.Rat)
	for j, v := range y {
		sum.Add(sum, new(big.Rat).Mul(big.NewRat(int64(c[j]), 1), exact.Rats([]float64{float64(v)})[0]))
	}
	return sum.Cmp(exact.Rats([]float64{limit})[0]) <= 0
}

// TestVerdictsHoldInBinary32 decides questions whose limit is near what executions reach, with every kind of search. No execution may
// contradict an unsat, and none may fail to violate at the witness of a sat; under real semantics some do both.
func TestVerdictsHoldInBinary32(t *testing.T) {
	nets := 300
	if testing.Short() {
		nets = 120
	}
	r := rand.New(rand.NewPCG(32, 5))
	methods := []string{"", "crown", "input-split", "relu-split"}
	type count struct{ unsat, sat, unknown, wrong int }
	var counts [3]count
	for k := range nets {
		g := verifytest.RandomGraph(r)
		n := g.NumInputs()
		lo, hi, c := make([]float64, n), make([]float64, n), make([]int, g.NumOutputs())
		width := []float64{0, 0x1p-22, 0x1p-12, 0.1}[r.IntN(4)]
		for i := range lo {
			v := r.NormFloat64()
			lo[i], hi[i] = float64(float32(v-width)), float64(float32(v+width))
		}
		for j := range c {
			c[j] = r.IntN(5) - 2
		}
		point := func() []float32 {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(lo[i] + (hi[i]-lo[i])*float64(r.IntN(3))/2)
			}
			return x
		}
		least := math.Inf(1)
		for range 30 {
			sum := 0.0
			for j, v := range verifytest.RandomArithmetic(r).Execute(g, point()) {
				sum += float64(c[j]) * float64(v)
			}
			if least = min(least, sum); math.IsNaN(sum) {
				least = sum
				break
			}
		}
		limit := least - (math.Abs(least)+0x1p-30)*[]float64{0, -0x1p-22, 0x1p-24, 0x1p-22, 0x1p-14}[r.IntN(5)]
		if math.IsNaN(limit) || math.IsInf(limit, 0) {
			continue
		}
		p := query(t, lo, hi, c, limit)
		for s := range counts {
			opt := verify.Options{Semantics: verify.Semantics(s), Method: methods[k%len(methods)], NoAttack: k%3 == 0, Workers: 1 + k%2,
				Timeout: 40 * time.Millisecond}
			res, err := verify.Verify(context.Background(), g, p, opt)
			if err != nil {
				t.Fatal(err)
			}
			wrong := false
			switch res.Verdict {
			case verify.Holds:
				counts[s].unsat++
				for range 30 {
					wrong = wrong || satisfies(c, verifytest.RandomArithmetic(r).Execute(g, point()), limit)
				}
			case verify.Violated:
				counts[s].sat++
				wrong = !alwaysViolates(r, g, res.Witness.X, c, limit)
			default:
				counts[s].unknown++
			}
			if wrong {
				counts[s].wrong++
				if s > 0 {
					t.Errorf("net %d, semantics %v: %v does not hold for every execution; %v", k,
						opt.Semantics, res.Verdict, res.Strategy)
				}
			}
		}
	}
	t.Logf("real %+v, float32 %+v, both %+v", counts[0], counts[1], counts[2])
	if counts[0].wrong < nets/100 || counts[1].unsat < nets/20 || counts[1].sat < nets/20 {
		t.Errorf("real %+v, float32 %+v: too little was tested", counts[0], counts[1])
	}
}

func alwaysViolates(r *rand.Rand, g *nn.Graph, x []float64, c []int, limit float64) bool {
	in := make([]float32, len(x))
	for i, v := range x {
		in[i] = float32(v)
	}
	for range 30 {
		if !satisfies(c, verifytest.RandomArithmetic(r).Execute(g, in), limit) {
			return false
		}
	}
	return true
}

// TestEdgesOfBinary32 has questions that real arithmetic decides and that an execution which overflows, or flushes subnormal numbers,
// answers otherwise.
func TestEdgesOfBinary32(t *testing.T) {
	for _, c := range []struct {
		name  string
		g     *nn.Graph
		x     []float64
		limit float64 // of −Y
		real  verify.Verdict
	}{
		{"a sum overflows before it is scaled",
			steps(t, 2, step{"MatMul", []int{2, 1}, []float64{0x1p64, 0x1p64}}, step{"Mul", []int{1, 1}, []float64{0x1p-30}}),
			[]float64{0x1p64, 0x1p64}, -0x1p110, verify.Holds},
		{"a weight is flushed",
			steps(t, 2, step{"Add", []int{1, 2}, []float64{0x1p90, 0x1p90}}, step{"MatMul", []int{2, 1}, []float64{0x1p-130, 0x1p-130}}),
			[]float64{0.5, 0.5}, -0x1p-41, verify.Violated},
		{"an operand is flushed", steps(t, 2, step{"MatMul", []int{2, 1}, []float64{0x1p100, 0x1p100}}),
			[]float64{0x1p-128, 0x1p-128}, -0x1p-29, verify.Violated},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := query(t, c.x, c.x, []int{-1}, c.limit)
			for s, want := range []verify.Verdict{c.real, verify.Unknown, verify.Unknown} {
				res, err := verify.Verify(context.Background(), c.g, p, verify.Options{Semantics: verify.Semantics(s), Timeout: 5 * time.Second})
				if err != nil || res.Verdict != want {
					t.Errorf("semantics %v: %v, %v; want %v", verify.Semantics(s), res, err, want)
				}
			}
		})
	}
}
