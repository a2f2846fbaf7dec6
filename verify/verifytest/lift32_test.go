package verifytest_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/verifytest"
)

// TestSemidefiniteInBinary32 asks networks of one hidden layer whether an output falls below a limit a little under what executions in
// binary32 reach. None may contradict an unsat that rests on semidefinite bounds; under real semantics some do.
func TestSemidefiniteInBinary32(t *testing.T) {
	nets := 900
	if testing.Short() {
		nets = 240
	}
	r := rand.New(rand.NewPCG(33, 5))
	type count struct{ lifted, unsat, wrong int }
	var counts [3]count
	for k := range nets {
		in, hidden := 1+r.IntN(8), 1+r.IntN(8)
		list := func(n int) []float64 {
			v := make([]float64, n)
			for i := range v {
				v[i] = float64(float32(r.NormFloat64()))
				if i > 0 && r.IntN(3) == 0 { // sums that cancel
					v[i] = -v[i-1]
				}
			}
			return v
		}
		layers := []step{{"MatMul", []int{in, hidden}, list(in * hidden)}, {"Add", []int{1, hidden}, list(hidden)}}
		switch far, back := make([]float64, hidden), make([]float64, hidden); r.IntN(4) {
		case 0:
			layers = append(layers, step{"Mul", []int{1, hidden}, list(hidden)}, step{"Add", []int{1, hidden}, list(hidden)})
		case 1: // hidden units that have lost their last digits
			for i := range far {
				far[i], back[i] = 0x1p12, -0x1p12
			}
			layers = append(layers, step{"Add", []int{1, hidden}, far}, step{"Add", []int{1, hidden}, back})
		}
		layers = append(layers, step{"Relu", nil, nil}, step{"MatMul", []int{hidden, 1}, list(hidden)}, step{"Add", []int{1, 1}, list(1)})
		g := steps(t, in, layers...)
		lo, hi := make([]float64, in), make([]float64, in)
		for i := range lo {
			v, w := r.NormFloat64(), []float64{0, 0x1p-10, 0.1, 1}[r.IntN(4)]
			lo[i], hi[i] = float64(float32(v-w)), float64(float32(v+w))
		}
		value := func(x []float32) float64 { return float64(verifytest.RandomArithmetic(r).Execute(g, x)[0]) }
		at, least := make([]float32, in), math.Inf(1)
		for i := range at {
			at[i] = float32(lo[i])
		}
		for range 300 { // ends of the box, one changed at a time
			x := slices.Clone(at)
			if i := r.IntN(in); x[i] == float32(lo[i]) {
				x[i] = float32(hi[i])
			} else {
				x[i] = float32(lo[i])
			}
			if v := value(x); v < least {
				least, at = v, x
			}
		}
		limit := least + math.Abs(least)*[]float64{0x1p-24, 0, -0x1p-22, -0x1p-18, -0x1p-12, -0x1p-8}[r.IntN(6)]
		p := query(t, lo, hi, []int{1}, limit)
		for s := range counts {
			opt := verify.Options{Semantics: verify.Semantics(s), Method: "semidefinite", NoAttack: true, Workers: 1 + k%2,
				Timeout: time.Second}
			res, err := verify.Verify(context.Background(), g, p, opt)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(res.Strategy, func(s string) bool { return strings.HasPrefix(s, "semidefinite bounds") }) {
				continue
			}
			counts[s].lifted++
			if res.Verdict != verify.Holds {
				continue
			}
			counts[s].unsat++
			wrong := false
			for range 60 {
				wrong = wrong || value(at) <= limit
			}
			if wrong {
				if counts[s].wrong++; s > 0 {
					t.Errorf("net %d, semantics %v: an execution is not above the limit", k, opt.Semantics)
				}
			}
		}
	}
	t.Logf("real %+v, float32 %+v, both %+v", counts[0], counts[1], counts[2])
	if counts[0].wrong < nets/100 || counts[1].unsat < nets/50 {
		t.Error("too little was tested")
	}
}
