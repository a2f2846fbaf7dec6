package verifytest_test

import (
	"context"
	"testing"
	"time"

	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/verifytest"
)

// decide runs the verifier with options drawn from the seed.
func decide(ctx context.Context, p *prog.Program, prob *spec.Problem, s uint64) (string, []float64, error) {
	r := seed.Stream(s, "options")
	methods := []string{"", "", "attack", "ibp", "crown", "alpha", "input-split", "relu-split", "semidefinite", "reluplex", "smt"}
	opt := verify.Options{
		Seed:     r.Uint64(),
		Workers:  1 + r.IntN(2),
		NoAttack: r.IntN(2) == 0,
		Method:   methods[r.IntN(len(methods))],
		Timeout:  100 * time.Millisecond,
	}
	res, err := verify.Program(ctx, p, prob, opt)
	if err != nil {
		return "", nil, err
	}
	if res.Witness == nil {
		return res.Verdict.String(), nil, nil
	}
	return res.Verdict.String(), res.Witness.X, nil
}

// TestVerifyAgreesWithOracle is the soundness fuzz of the whole verifier on programs.
func TestVerifyAgreesWithOracle(t *testing.T) {
	n := 200
	if testing.Short() {
		n = 60
	}
	rep, err := verifytest.Fuzz(context.Background(), 3, n, decide)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Failure != nil {
		t.Fatalf("after %d runs\n%v", rep.Runs, rep.Failure)
	}
	t.Logf("%+v", *rep)
	if rep.Sat < n/10 || rep.Unsat < n/10 {
		t.Errorf("lopsided: %+v", *rep)
	}
}
