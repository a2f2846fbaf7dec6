package verifytest

import (
	"context"
	"fmt"
	"math/big"
	"strconv"

	"github.com/spai-project/certify/internal/exact"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// Decide is a verifier under test: it answers "sat" with an input, "unsat", "unknown" or "timed-out". It draws its
// options from the seed, so that equal arguments repeat the same run.
type Decide func(ctx context.Context, p *prog.Program, prob *spec.Problem, seed uint64) (verdict string, x []float64, err error)

// A Report counts what a fuzz run saw.
type Report struct {
	Runs, Sat, Unsat, Undecided int
	// Missed counts problems left undecided although the best margin is not within 2⁻²⁰ of zero: a measure of strength,
	// not an error.
	Missed  int
	Failure *Failure // nil when the verifier agreed everywhere
}

// A Failure is a contradiction between the verifier and the oracle, shrunk.
type Failure struct {
	Seed     uint64 // of the run: RandomInstance(Seed) is the original instance, and Decide was called with Seed
	Why      string
	Instance *Instance
}

// String returns the reproducer: comment lines and the text form.
func (f *Failure) String() string {
	return fmt.Sprintf("# seed %d: %s\n%v", f.Seed, f.Why, f.Instance)
}

// Fuzz draws n random questions from root, asks decide and compares with the exact oracle. At the first contradiction it
// shrinks the question and returns; it also returns early when ctx is done. The error is ctx's, if any.
func Fuzz(ctx context.Context, root uint64, n int, decide Decide) (*Report, error) {
	rep := &Report{}
	for i := range n {
		if err := ctx.Err(); err != nil {
			return rep, err
		}
		s := seed.Derive(root, "fuzz", strconv.Itoa(i))
		in := RandomInstance(s)
		verdict, why := Check(ctx, in, decide, s)
		if ctx.Err() != nil {
			return rep, ctx.Err()
		}
		rep.Runs++
		switch verdict {
		case "sat":
			rep.Sat++
		case "unsat":
			rep.Unsat++
		default:
			rep.Undecided++
			if clearCut(in) {
				rep.Missed++
			}
		}
		if why != "" {
			small, why := Shrink(ctx, in, why, decide, s)
			rep.Failure = &Failure{Seed: s, Why: why, Instance: small}
			return rep, nil
		}
	}
	return rep, nil
}

// Check asks decide about one instance and returns its verdict and, when that contradicts the oracle, why. Problems are
// read on the hull box; where only strict rows touched with equality could make the difference, either answer passes.
func Check(ctx context.Context, in *Instance, decide Decide, s uint64) (verdict, why string) {
	p, err := in.Net.Program()
	if err != nil {
		return "", "" // not a question
	}
	verdict, x, err := ask(ctx, decide, p, in.Problem, s)
	if err != nil {
		return verdict, "error: " + err.Error()
	}
	switch verdict {
	case "sat":
		return verdict, checkWitness(p, in.Problem, x)
	case "unsat":
		t := SolveExact(p, in.Problem)
		if t.Sat && (t.Margin == nil || t.Margin.Sign() > 0 || !Strict(in.Problem)) {
			return verdict, fmt.Sprintf("unsat, but case %d has a counterexample at %v (margin %v)", t.Case, floats(t.X), t.Margin)
		}
	case "unknown", "timed-out":
	default:
		return verdict, fmt.Sprintf("the verdict is %q", verdict)
	}
	return verdict, ""
}

// ask turns a panic of the verifier into an error: it is a finding like any other and has to be shrunk.
func ask(ctx context.Context, decide Decide, p *prog.Program, prob *spec.Problem, s uint64) (verdict string, x []float64, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return decide(ctx, p, prob, s)
}

// checkWitness evaluates a counterexample exactly; it must be a float32 input inside the decimal box of its case.
func checkWitness(p *prog.Program, prob *spec.Problem, x []float64) string {
	if len(x) != prob.NumInputs {
		return fmt.Sprintf("sat with %d inputs, want %d", len(x), prob.NumInputs)
	}
	for _, v := range x {
		if v-v != 0 {
			return fmt.Sprintf("sat with an input that is not finite: %v", x)
		}
	}
	if holdsAt(p, prob, exact.Rats(x), func(b *spec.Box) bool { return onGrid(b, x) }) {
		return ""
	}
	if holdsAt(p, prob, exact.Rats(x), func(b *spec.Box) bool { return contains(b, exact.Rats(x)) }) {
		return fmt.Sprintf("sat at %v, which is not on the float32 grid inside the decimal box", x)
	}
	if t := SolveExact(p, prob); !t.Sat {
		return fmt.Sprintf("sat at %v, but the problem is unsat (best margin %v)", x, t.Margin)
	}
	return fmt.Sprintf("sat, but %v is no counterexample", x)
}

// Strict reports whether some row of the problem is strict: touched with equality, it may be read either way.
func Strict(prob *spec.Problem) bool {
	for i := range prob.Cases {
		for _, r := range prob.Cases[i].Rows {
			if r.Strict {
				return true
			}
		}
	}
	return false
}

// clearCut reports whether the exact margin is at least 2⁻²⁰ away from zero.
func clearCut(in *Instance) bool {
	p, err := in.Net.Program()
	if err != nil {
		return false
	}
	m := SolveExact(p, in.Problem).Margin
	return m == nil || new(big.Rat).Abs(m).Cmp(big.NewRat(1, 1<<20)) > 0
}

func floats(x []*big.Rat) []float64 {
	f := make([]float64, len(x))
	for i := range x {
		f[i], _ = x[i].Float64()
	}
	return f
}
