package robust

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/trace"
)

// Options steer every question. The zero value verifies in the norm L∞ without limits.
type Options struct {
	Domain  Domain
	Norm    evasion.Norm  // other norms than Linf are attacked only
	Timeout time.Duration // of an input and a radius, 0: none
	// Attacks are run in order before the verifier, which looks for counterexamples too; nil: DefaultAttack.
	Attacks  []string
	NoAttack bool
	NoVerify bool
	Shape    []int // of the input, for attacks that know pictures
	Workers  int   // 0: the cores
	Memory   int64 // bytes of all searches together, 0: 4 GiB
	Seed     uint64
	Trace    trace.Tracer // of Decide and Radius; may be nil
	// Method limits the verifier, see verify.Options.
	Method string
}

// A Ball is the answer about one input and one radius.
type Ball struct {
	Verdict Verdict
	Reason  string // of Unknown and Timeout
	By      string // what decided: "input" (misclassified as it is), "attack NAME", "search" or "proof"; "" for nothing
	Witness *Witness
	// Margin is a rigorous lower bound on the label's lead over every other class that the search reached; −Inf for none.
	Margin               float64
	Wall, Attack, Verify time.Duration
	// Problem is the question in the norm L∞, Result the verifier's answer to it, nil when it was not asked.
	Problem *spec.Problem
	Result  *verify.Result
}

// Decide answers whether a valid input within eps of x makes another class score at least as much as label: the input itself is
// looked at, then one pass of bounds, then attacks, then the complete verifier. x must hold float32 numbers of the domain. An
// error means bad input.
func (m *Model) Decide(ctx context.Context, x []float64, label int, eps float64, opt Options) (*Ball, error) {
	s, err := m.solver(opt)
	if err != nil {
		return nil, err
	}
	if err := s.checkItem(x, label); err != nil {
		return nil, err
	}
	if err := checkEps(eps); err != nil {
		return nil, err
	}
	b, err := s.decide(ctx, x, label, eps, seed.Derive(opt.Seed, "robust"))
	if err == nil {
		err = s.sharpen(ctx, b, x, label, eps)
	}
	if err == nil && b.Problem == nil {
		b.Problem = opt.Domain.Problem(x, eps, label, m.Classes())
	}
	return b, err
}

// solver is a model with options that fit it.
type solver struct {
	m   *Model
	opt Options
	a   *attacker // nil: no attack
}

func (m *Model) solver(opt Options) (*solver, error) {
	if err := opt.Domain.Check(m.Inputs()); err != nil {
		return nil, err
	}
	if _, uniform := constant(opt.Domain.Unit, 1); !uniform && opt.Norm != evasion.Linf {
		return nil, fmt.Errorf("%w: radii in the norm %v need one unit for all inputs", ErrInput, opt.Norm)
	}
	s := &solver{m: m, opt: opt}
	s.a = &attacker{m: m, d: opt.Domain, norm: opt.Norm, shape: opt.Shape}
	if opt.NoAttack {
		return s, nil
	}
	var err error
	if s.a.methods, err = parseAttacks(m, opt.Norm, opt.Attacks); err != nil {
		return nil, err
	}
	if len(s.a.methods) == 0 && (m.proof == nil || opt.NoVerify || opt.Norm != evasion.Linf) {
		return nil, fmt.Errorf("%w: it cannot be bounded (%w), and every attack needs its gradients", ErrUnattackable, m.Unverifiable)
	}
	return s, nil
}

// verifies reports whether proofs are attempted, and why not.
func (s *solver) verifies() (bool, string) {
	switch {
	case s.opt.NoVerify:
		return false, "verification was not asked for"
	case s.opt.Norm != evasion.Linf:
		return false, "verification is not attempted in the norm " + s.opt.Norm.String()
	case s.m.proof == nil:
		return false, "the network cannot be verified: " + s.m.Unverifiable.Error()
	}
	return true, ""
}

// checkItem returns an error that wraps ErrInput unless x and label fit the network and the domain.
func (s *solver) checkItem(x []float64, label int) error {
	if len(x) != s.m.Inputs() {
		return fmt.Errorf("%w: it has %d values, the network %d inputs", ErrInput, len(x), s.m.Inputs())
	}
	if label < 0 || label >= s.m.Classes() {
		return fmt.Errorf("%w: the label is %d, the network has the classes 0 … %d", ErrInput, label, s.m.Classes()-1)
	}
	return s.opt.Domain.inside(x)
}

// clean returns the witness that x itself is, nil when it is classified as its label.
func (s *solver) clean(x []float64, label int) *Witness {
	if s.m.replay == nil {
		return s.a.replayed(x, x, label)
	}
	return s.a.judge(s.opt.Domain.Problem(x, 0, label, s.m.Classes()), x, x, label)
}

// decide answers for one radius. Cancellation of ctx gives Unknown with the reason "interrupted".
func (s *solver) decide(ctx context.Context, x []float64, label int, eps float64, root uint64) (*Ball, error) {
	start := time.Now()
	b := &Ball{Margin: math.Inf(-1)}
	defer func() { b.Wall = time.Since(start) }()
	if w := s.clean(x, label); w != nil {
		b.Verdict, b.Witness, b.By, b.Margin = Violated, w, "input", -w.Margin
		return b, nil
	}
	root = seed.Derive(root, strconv.FormatFloat(eps, 'g', -1, 64))
	inner := ctx
	if s.opt.Timeout > 0 {
		var cancel context.CancelFunc
		inner, cancel = context.WithTimeout(ctx, s.opt.Timeout)
		defer cancel()
	}
	proves, why := s.verifies()
	if proves && len(s.a.methods) > 0 && s.opt.Method == "" {
		if err := s.root(inner, b, x, label, eps, root); err != nil || b.Verdict == Holds {
			return b, err
		}
	}
	if len(s.a.methods) > 0 {
		began := time.Now()
		s.trace(trace.Event{Phase: "attack"})
		w, name, err := s.a.run(inner, x, label, eps, root, s.opt.Workers)
		b.Attack = time.Since(began)
		if w != nil {
			b.Verdict, b.Witness, b.By, b.Margin, b.Reason, b.Result = Violated, w, "attack "+name, -w.Margin, "", nil
			return b, nil
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			return nil, err
		}
	}
	if !proves {
		b.Reason = why
		if ctx.Err() != nil {
			b.Reason = "interrupted"
		}
		return b, nil
	}
	return b, s.verify(inner, b, x, label, eps, root)
}

// root tries a single pass of bounds, which costs less than an attack and settles what is easily proved: there no attack is
// needed.
func (s *solver) root(ctx context.Context, b *Ball, x []float64, label int, eps float64, root uint64) error {
	t := *s
	t.opt.NoAttack, t.opt.Method = true, "crown"
	return t.verify(ctx, b, x, label, eps, root)
}

// sharpenTime bounds the search for a better counterexample than a thin one.
const sharpenTime = time.Second

// sharpen looks for a counterexample in every binary32 execution where an attack stopped at one in real arithmetic: the
// verifier's search goes on to such a one.
func (s *solver) sharpen(ctx context.Context, b *Ball, x []float64, label int, eps float64) error {
	if w := b.Witness; w == nil || w.AnyOrder || b.By == "input" || s.m.proof == nil || s.opt.Norm != evasion.Linf {
		return nil
	}
	p := s.opt.Domain.Problem(x, eps, label, s.m.Classes())
	r, err := verify.Program(ctx, s.m.proof, p, verify.Options{Timeout: sharpenTime, Method: "attack", Workers: s.opt.Workers,
		Seed: s.opt.Seed, Semantics: s.m.Semantics})
	if err != nil || r.Witness == nil {
		return err
	}
	if w := s.a.witness(p, r.Witness, x, label); w.AnyOrder {
		b.Witness, b.By, b.Margin = w, "search", -w.Margin
	}
	return nil
}

// verify asks the complete verifier.
func (s *solver) verify(ctx context.Context, b *Ball, x []float64, label int, eps float64, root uint64) error {
	start := time.Now()
	b.Problem = s.opt.Domain.Problem(x, eps, label, s.m.Classes())
	r, err := verify.Program(ctx, s.m.proof, b.Problem, verify.Options{Workers: s.opt.Workers, Memory: s.opt.Memory, Seed: root,
		Trace: s.opt.Trace, NoAttack: s.opt.NoAttack, Method: s.opt.Method, Semantics: s.m.Semantics})
	b.Verify += time.Since(start)
	if err != nil {
		return err
	}
	b.Result, b.Verdict, b.Reason, b.Margin = r, Verdict(r.Verdict), r.Reason, r.Margin
	switch r.Verdict {
	case verify.Holds:
		b.By = "proof"
	case verify.Violated:
		b.By, b.Witness = "search", s.a.witness(b.Problem, r.Witness, x, label)
	}
	return nil
}

func (s *solver) trace(e trace.Event) {
	if s.opt.Trace != nil {
		s.opt.Trace.Trace(e)
	}
}
