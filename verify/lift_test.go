package verify

import (
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify/verifytest"
)

// TestSemidefiniteAgainstOracle asks networks of one hidden layer whether an output falls below a limit a little under or over
// its exact minimum. The search on semidefinite bounds decides that rightly, and the same for any number of workers.
func TestSemidefiniteAgainstOracle(t *testing.T) {
	rounds := uint64(12)
	if testing.Short() {
		rounds = 4
	}
	searched := 0
	for seed := range rounds {
		r := rand.New(rand.NewPCG(seed, 91))
		const in, hidden = 11, 7
		b := prog.NewBuilder(in)
		list := func(n int) []float64 {
			w := make([]float64, n)
			for i := range w {
				w[i] = float64(r.IntN(17)-8) / 8
			}
			return w
		}
		x := b.Relu("", b.Affine("", hidden, list(hidden), 0, prog.Term{Src: 0, Map: prog.Dense(hidden, in, list(hidden*in))}))
		p, err := b.Program(b.Affine("", 1, list(1), 0, prog.Term{Src: x, Map: prog.Dense(1, hidden, list(hidden))}))
		if err != nil {
			t.Fatal(err)
		}
		box := spec.Box{}
		for range in {
			box.Lower, box.Upper = append(box.Lower, -1), append(box.Upper, 1)
			box.InLower, box.InUpper = append(box.InLower, -1), append(box.InUpper, 1)
		}
		least, _ := verifytest.MinExact(p, box.Lower, box.Upper, nil, []float64{1}).Float64()
		for _, c := range []struct {
			slack float64
			want  Verdict
		}{{-1, Holds}, {-1e-2, Holds}, {1e-3, Violated}} {
			limit := least + c.slack
			q := &spec.Problem{NumInputs: in, NumOutputs: 1, Boxes: []spec.Box{box}, Cases: []spec.Case{{
				Rows: []spec.Row{{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: limit, RHSUpper: limit}}}}}
			var first *Result
			for _, workers := range []int{1, 3} {
				got, err := Program(context.Background(), p, q, Options{NoAttack: true, Workers: workers})
				if err != nil {
					t.Fatal(err)
				}
				if got.Verdict != c.want {
					t.Errorf("seed %d: %v (%s) at %v from the minimum", seed, got.Verdict, got.Reason, c.slack)
				}
				if first == nil {
					first = got
				}
				if got.Stats.Branches != first.Stats.Branches || !reflect.DeepEqual(got.Witness, first.Witness) {
					t.Errorf("seed %d: %d branches with %d workers, %d with one", seed, got.Stats.Branches, workers, first.Stats.Branches)
				}
			}
			if slices.ContainsFunc(first.Strategy, func(s string) bool { return strings.HasPrefix(s, "deciding indicators") }) {
				searched++
			}
		}
	}
	if searched < int(rounds) {
		t.Errorf("only %d searches on semidefinite bounds in %d rounds", searched, rounds)
	}
}

// TestSemidefiniteStops: a search that reaches its budget of memory says so, with a bound, and by its method alone it leaves deeper
// networks undecided.
func TestSemidefiniteStops(t *testing.T) {
	p, q := slowQuestion(t, 0, 0.05)
	r, err := Program(context.Background(), p, q, Options{NoAttack: true, Method: methodLift})
	if err != nil || r.Verdict != Unknown || r.Reason != "incomplete" {
		t.Errorf("three layers: %+v, %v", r, err)
	}
	p, q = wideQuestion(t)
	r, err = Program(context.Background(), p, q, Options{NoAttack: true, Method: methodLift, Memory: 1 << 14})
	if err != nil || r.Verdict != Unknown || r.Reason != "memory" || r.Stats.Open == 0 || !(r.Margin < 0 && r.Margin > -10) {
		t.Errorf("16 kibibytes: %+v, %v", r, err)
	}
	many := *q
	for range 9 {
		many.Cases = append(many.Cases, q.Cases[0])
	}
	r, err = Program(context.Background(), p, &many, Options{NoAttack: true, Method: methodLift, Memory: 1 << 16})
	if err != nil || r.Verdict != Unknown || r.Stats.Branches != 0 {
		t.Errorf("ten cases in 64 kibibytes: %+v, %v", r, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	r, err = Program(ctx, p, q, Options{NoAttack: true, Method: methodLift})
	if err != nil || r.Verdict != Timeout || time.Since(start) > 5*time.Second {
		t.Errorf("stopped: %+v, %v", r, err)
	}
}

// wideQuestion asks whether the output of a wide random layer falls below a limit that is a little under its minimum, as far as
// search can tell, so that it takes long to prove.
func wideQuestion(t *testing.T) (*prog.Program, *spec.Problem) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 92))
	const in, hidden = 60, 150
	b := prog.NewBuilder(in)
	dense := func(m, n int) prog.Linear {
		w := make([]float64, m*n)
		for i := range w {
			w[i] = float64(float32(r.NormFloat64() / math.Sqrt(float64(n))))
		}
		return prog.Dense(m, n, w)
	}
	x := b.Relu("", b.Affine("", hidden, nil, 0, prog.Term{Src: 0, Map: dense(hidden, in)}))
	p, err := b.Program(b.Affine("", 1, nil, 0, prog.Term{Src: x, Map: dense(1, hidden)}))
	if err != nil {
		t.Fatal(err)
	}
	box := spec.Box{}
	for range in {
		box.Lower, box.Upper = append(box.Lower, -1), append(box.Upper, 1)
		box.InLower, box.InUpper = append(box.InLower, -1), append(box.InUpper, 1)
	}
	const limit = -3.4
	return p, &spec.Problem{NumInputs: in, NumOutputs: 1, Boxes: []spec.Box{box}, Cases: []spec.Case{{
		Rows: []spec.Row{{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: limit, RHSUpper: limit}}}}}
}
