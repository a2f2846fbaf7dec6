package cert

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/internal/exact"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify/kernel"
	"github.com/spai-project/certify/verify/verifytest"
)

// question32 asks whether Σ c·Y ≤ t has a point in the box.
func question32(lo, hi, c []float64, t float64) []byte {
	var q bytes.Buffer
	for i := range lo {
		fmt.Fprintf(&q, "(declare-const X_%d Real)\n(assert (>= X_%d %s))\n(assert (<= X_%d %s))\n",
			i, i, decimal(lo[i]), i, decimal(hi[i]))
	}
	sum := "(+"
	for j, v := range c {
		fmt.Fprintf(&q, "(declare-const Y_%d Real)\n", j)
		sum += fmt.Sprintf(" (* %s Y_%d)", decimal(v), j)
	}
	fmt.Fprintf(&q, "(assert (<= %s %s))\n", sum+" 0.0)", decimal(t))
	return q.Bytes()
}

// decimal writes a dyadic number exactly.
func decimal(v float64) string { return new(big.Float).SetFloat64(v).Text('f', 200) }

// value is Σ c·y, exactly.
func value(c []float64, y []float32) *big.Rat {
	sum := new(big.Rat)
	for j, v := range y {
		sum.Add(sum, new(big.Rat).Mul(exact.Rats([]float64{c[j]})[0], exact.Rats([]float64{float64(v)})[0]))
	}
	return sum
}

// TestBinary32Certificates proves questions about random networks whose bound is near what executions reach. What is accepted for
// binary32 semantics must hold for every simulated execution, while some proofs about real arithmetic must not.
func TestBinary32Certificates(t *testing.T) {
	nets := 1000
	if testing.Short() {
		nets = 300
	}
	r := rand.New(rand.NewPCG(9, 32))
	accepted, broken := [2]int{}, [2]int{}
	for k := range nets {
		g := verifytest.RandomGraph(r)
		var model bytes.Buffer
		if err := onnx.Write(&model, g); err != nil {
			t.Fatal(err)
		}
		lo, hi, c := make([]float64, g.NumInputs()), make([]float64, g.NumInputs()), make([]float64, g.NumOutputs())
		x := make([]float32, len(lo))
		width := []float64{0, 0, 0x1p-20}[r.IntN(3)]
		for i := range lo {
			v := float64(float32(r.NormFloat64()))
			lo[i], hi[i], x[i] = float64(float32(v-width)), float64(float32(v+width)), float32(v)
		}
		for j := range c {
			c[j] = float64(r.IntN(5) - 2)
		}
		var runs []*big.Rat
		least := math.Inf(1)
		for range 10 {
			y := verifytest.RandomArithmetic(r).Execute(g, x)
			if !finite32(y) {
				break
			}
			runs = append(runs, value(c, y))
			f, _ := runs[len(runs)-1].Float64()
			least = min(least, f)
		}
		if len(runs) < 10 {
			continue
		}
		size := math.Abs(least) + 0x1p-30
		for _, gap := range []float64{-0x1p-22, 0x1p-23, 0x1p-19, 0x1p-12} {
			threshold := least - gap*size
			p, err := kernel.Open(model.Bytes(), question32(lo, hi, c, threshold))
			if err != nil {
				break // operators that the kernel does not read
			}
			for semantics := range accepted {
				p.Semantics = byte(semantics)
				proof := tryProve(g, p, question32(lo, hi, c, threshold), uint64(k))
				if proof == nil {
					continue
				}
				res := p.Check(proof.Encode())
				if !res.Accepted || res.Float32 != (semantics == 1) {
					t.Fatalf("net %d: %v", k, res)
				}
				accepted[semantics]++
				for _, v := range runs {
					if v.Cmp(exact.Rats([]float64{threshold})[0]) <= 0 {
						broken[semantics]++
						break
					}
				}
			}
		}
	}
	t.Logf("accepted %v, with executions against them %v", accepted, broken)
	if broken[1] > 0 {
		t.Errorf("%d certificates of binary32 semantics do not hold for an execution", broken[1])
	}
	if broken[0] < 5 || accepted[1] < 20 {
		t.Errorf("accepted %v, against %v: too few to test much", accepted, broken)
	}
}

func finite32(y []float32) bool {
	for _, v := range y {
		if v-v != 0 {
			return false
		}
	}
	return true
}

// tryProve proves a question, nil where the kernel refuses the network under the semantics or the search gives up.
func tryProve(g *nn.Graph, p *kernel.Problem, question []byte, seed uint64) *Proof {
	if _, err := p.Root(0); err != nil {
		return nil
	}
	in := &instance{query: question, p: p}
	var err error
	if in.prog, err = g.Lower(); err != nil {
		return nil
	}
	if in.problem, err = spec.Read("q", bytes.NewReader(question), nil); err != nil {
		panic(err)
	}
	v := &prover{rng: rand.New(rand.NewPCG(seed, 1)), deep: 3, most: 20}
	return search(in, v)
}
