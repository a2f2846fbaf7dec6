package cert

import (
	"bytes"
	"slices"
	"testing"

	"github.com/spai-project/certify/verify/verifytest"
)

// TestOracle proves random questions with the naive search: the kernel accepts what it builds, and never for a question that the
// exact oracle answers with sat.
func TestOracle(t *testing.T) {
	n := uint64(600)
	if testing.Short() {
		n = 150
	}
	proved, unsat, sat, betas, modes := 0, 0, 0, 0, [3]int{}
	for seed := range n {
		in := randomInstance(t, seed)
		truth := verifytest.SolveExact(in.prog, in.problem)
		if truth.Sat {
			sat++
		} else {
			unsat++
		}
		proof, v := proveModes(in, seed, 12)
		for i := range modes {
			modes[i] += v.modes[i]
		}
		betas += v.betas
		if proof == nil {
			continue
		}
		data := proof.Encode()
		res := in.p.Check(data)
		if !res.Accepted {
			t.Fatalf("seed %d: a proof made with the kernel's help is refused: %s", seed, res.Reason)
		}
		if truth.Sat && (truth.Margin == nil || truth.Margin.Sign() > 0 || !verifytest.Strict(in.problem)) {
			t.Fatalf("seed %d: accepted %v, but there is a counterexample at %v\n%s", seed, res, truth.X, in.query)
		}
		proved++
		back, err := Decode(data, len(proof.Boxes), len(proof.Cases))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if again := back.Encode(); !bytes.Equal(again, data) {
			t.Fatalf("seed %d: decoding and encoding changes the file", seed)
		}
	}
	t.Logf("%d unsat, %d sat, %d proved; leaves by mode %v, %d with corrections", unsat, sat, proved, modes, betas)
	if slices.Min(modes[:]) < 20 || betas == 0 {
		t.Errorf("leaves by mode %v, %d with corrections: too few to test much", modes, betas)
	}
	if 3*proved < 2*unsat {
		t.Errorf("the naive search proves %d of %d: too few to test much", proved, unsat)
	}
}
