//go:build glpk

package glpk

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/verifytest"
)

// TestMarginAgainstOracle: on random questions the best margin is the exact one, and where that is clear of 0 the encoding, the
// oracle and branch and bound give the same answer. GLPK's numbers are floating point, so margins nearer to 0 are not compared.
func TestMarginAgainstOracle(t *testing.T) {
	const clear = 1e-6
	sat, unsat, near, open := 0, 0, 0, 0
	worst := 0.0
	for seed := range uint64(1500) {
		in := verifytest.RandomInstance(500_000 + seed)
		p, err := in.Net.Program()
		if err != nil {
			t.Fatal(err)
		}
		truth := verifytest.SolveExact(p, in.Problem)
		if truth.Margin == nil {
			continue
		}
		exact, _ := truth.Margin.Float64()
		got, err := best(p, in.Problem)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		worst = max(worst, math.Abs(got-exact)/(1+math.Abs(exact)))
		if math.Abs(exact) <= clear {
			near++
			continue
		}
		if (got >= 0) != truth.Sat {
			t.Errorf("seed %d: margin %v, exactly %v\n%v", seed, got, exact, in)
		}
		opt := verify.Options{Workers: 1, Timeout: 200 * time.Millisecond, Seed: seed}
		r, err := verify.Program(context.Background(), p, in.Problem, opt)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case r.Verdict == verify.Violated && got < 0, r.Verdict == verify.Holds && got >= 0:
			t.Errorf("seed %d: %v, margin %v\n%v", seed, r.Verdict, got, in)
		case r.Verdict == verify.Violated:
			sat++
		case r.Verdict == verify.Holds:
			unsat++
		default:
			open++
		}
	}
	t.Logf("all agree on %d sat and %d unsat; branch and bound leaves %d open; %d margins within %g of 0; margins differ by up to %g",
		sat, unsat, open, near, clear, worst)
	if sat < 300 || unsat < 300 || open > 15 {
		t.Errorf("lopsided: %d sat, %d unsat, %d open", sat, unsat, open)
	}
	if worst > clear {
		t.Errorf("margins differ by %g", worst)
	}
}

// best is the greatest margin over the cases.
func best(p *prog.Program, q *spec.Problem) (float64, error) {
	most := math.Inf(-1)
	for _, c := range q.Cases {
		b := &q.Boxes[c.Box]
		m, err := Margin(p, b.Lower, b.Upper, c.Rows)
		if err != nil {
			return 0, err
		}
		most = max(most, m)
	}
	return most, nil
}
