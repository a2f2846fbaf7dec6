package robust

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/prog"
)

// A Neighbourhood is the set of inputs that a bound is about: what lies in the box Lower…Upper and, in a norm other than Linf, no
// further than Radius from X, all in the network's units. In Linf the box is all of it. Ends and radius are rounded outward.
type Neighbourhood struct {
	Norm         evasion.Norm
	X            []float64
	Radius       float64
	Lower, Upper []float64
}

// A Bounder bounds margins of one network by one method, without search. It is safe for concurrent use.
type Bounder interface {
	// Margins writes into lower, for every class t, a rigorous lower bound on score[label] − score[t] over the neighbourhood:
	// −Inf where there is none; lower[label] is not read. It returns ctx's cause when ctx ends first.
	Margins(ctx context.Context, n *Neighbourhood, label int, lower []float64) error
}

// A BoundMethod makes Bounders.
type BoundMethod struct {
	Name, Doc, Source string
	Norms             []evasion.Norm
	// New prepares the method for a network, which may take long. Its error says what of the network the method does not know.
	New func(ctx context.Context, p *prog.Program) (Bounder, error)
}

// boundMethods is the registry, by name.
var boundMethods []BoundMethod

// RegisterBound adds a method; it is to be called from init functions alone.
func RegisterBound(m BoundMethod) {
	if _, ok := LookupBound(m.Name); ok {
		panic("robust: two bounds have the name " + m.Name)
	}
	boundMethods = append(boundMethods, m)
	slices.SortFunc(boundMethods, func(a, b BoundMethod) int { return strings.Compare(a.Name, b.Name) })
}

// BoundMethods returns the registered methods by name.
func BoundMethods() []BoundMethod { return slices.Clone(boundMethods) }

// LookupBound returns the method of a name.
func LookupBound(name string) (BoundMethod, bool) {
	for _, m := range boundMethods {
		if m.Name == name {
			return m, true
		}
	}
	return BoundMethod{}, false
}

// boundSolver is solver for one method of bounding in the place of attacks and search.
type boundSolver struct {
	*solver
	method  BoundMethod
	bounder Bounder
}

// checkBound returns the method that opt asks for, after a look at all items.
func (m *Model) checkBound(set *data.Set, opt *EvalOptions) (*boundSolver, error) {
	method, ok := LookupBound(opt.Bound)
	if !ok {
		return nil, fmt.Errorf("%w: there is no bound %q", ErrInput, opt.Bound)
	}
	if !slices.Contains(method.Norms, opt.Norm) {
		return nil, fmt.Errorf("%w: the bound %s does not know the norm %v", ErrInput, method.Name, opt.Norm)
	}
	if m.proof == nil {
		return nil, fmt.Errorf("%w: %w", ErrUnbounded, m.Unverifiable)
	}
	o := opt.Options
	o.NoAttack = true
	s, err := m.checked(set, o)
	if err != nil {
		return nil, err
	}
	return &boundSolver{solver: s, method: method}, nil
}

// ErrUnbounded is wrapped by errors about networks that a method cannot bound.
var ErrUnbounded = errors.New("robust: the network cannot be bounded")

// evaluateBound is Evaluate with one bound.
func (m *Model) evaluateBound(ctx context.Context, set *data.Set, eps []float64, opt *EvalOptions) ([]*Record, error) {
	s, err := m.checkBound(set, opt)
	if err != nil {
		return nil, err
	}
	if s.bounder, err = s.method.New(ctx, m.proof); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%w by %s: %w", ErrUnbounded, s.method.Name, err)
	}
	return each(ctx, set, opt.Log, opt.Workers, opt.Earlier, opt.Done, func(ctx context.Context, i int) (*Record, error) {
		return s.item(ctx, set, i, eps, opt.Pictures, s.decide)
	})
}

// decide answers for one radius: the input itself is looked at, then it is bounded.
//
// Soundness: every valid input within the radius is in the neighbourhood, and the label leads there where all bounds are
// positive.
func (s *boundSolver) decide(ctx context.Context, x []float64, label int, eps float64, _ uint64) (*Ball, error) {
	start := time.Now()
	b := &Ball{Margin: math.Inf(-1)}
	defer func() { b.Wall = time.Since(start) }()
	if w := s.clean(x, label); w != nil {
		b.Verdict, b.Witness, b.By, b.Margin = Violated, w, "input", -w.Margin
		return b, nil
	}
	lower := make([]float64, s.m.Classes())
	if err := s.bounder.Margins(ctx, s.neighbourhood(x, label, eps), label, lower); err != nil {
		return nil, err
	}
	b.Margin = math.Inf(1)
	for t, v := range lower {
		if t != label {
			b.Margin = min(b.Margin, v) // NaN stays
		}
	}
	if b.Margin > 0 {
		b.Verdict, b.By = Holds, "bound "+s.method.Name
	} else {
		b.Reason = s.method.Name + " does not certify it"
	}
	return b, nil
}

// neighbourhood returns the set that a radius in the norm of the options means.
func (s *boundSolver) neighbourhood(x []float64, label int, eps float64) *Neighbourhood {
	p := s.opt.Domain.Problem(x, eps, label, s.m.Classes()) // what is near in another norm is near in Linf
	unit, _ := constant(s.opt.Domain.Unit, 1)
	return &Neighbourhood{Norm: s.opt.Norm, X: x, Radius: timesUp(eps, unit), Lower: p.Boxes[0].Lower, Upper: p.Boxes[0].Upper}
}
