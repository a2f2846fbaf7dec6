// Package attacks looks for counterexamples: inputs in the set that make the network do what the problem forbids.
//
// Search runs a portfolio of falsifiers, cheapest first, on lanes of the program (nn/prog): a lane is one restart for one
// box, 8 to 64 of them are evaluated at once. Every point the search visits lies on the float32 grid inside the decimal
// box; a point with a positive float64 margin is a candidate, and only spec.Problem.Confirm makes a candidate a witness.
// So an attack can miss, but cannot lie. A failed search proves nothing.
//
// Each technique is one file with one entry in the registry that Methods lists.
package attacks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// Options steer a search. The zero value runs the whole portfolio with DefaultWork.
type Options struct {
	Restarts int           // parallel starts of the main gradient stage, 0: 32
	Steps    int           // gradient steps of the main stage, 0: 50; of SearchFrom, 0: 12
	Seed     uint64        // the search is a function of the problem and the seed, unless Time or ctx cuts it
	Work     int64         // deterministic budget in multiply-adds of the network, 0: DefaultWork
	Time     time.Duration // wall-clock cap, 0: none beyond ctx
}

// DefaultWork is the budget of a search in multiply-adds, about a second of one core.
const DefaultWork = int64(4e9)

// A Method describes one technique for listings.
type Method struct{ Name, Doc string }

var methods []Method

func register(name, doc string) string {
	methods = append(methods, Method{name, doc})
	return name
}

// Methods returns every technique of the portfolio, sorted by name.
func Methods() []Method {
	m := slices.Clone(methods)
	slices.SortFunc(m, func(a, b Method) int { return strings.Compare(a.Name, b.Name) })
	return m
}

// Search looks for a counterexample of pr on p, before a final ReLU or Softmax where the question can be put there. It returns nil without error when it found none within its budget, its time
// or ctx; the witness otherwise, confirmed in real arithmetic, and for every float32 execution too when AnyOrder is set,
// which the search tries hard to reach. An error means that p and pr do not fit.
//
// Sound because every returned witness comes from spec.Problem.ConfirmCase.
func Search(ctx context.Context, p *prog.Program, pr *spec.Problem, opt Options) (*spec.Witness, error) {
	if err := check(p, pr); err != nil {
		return nil, err
	}
	inner, q := spec.Peel(p, pr)
	if inner == nil {
		inner, q = p, pr
	}
	s, err := NewSearcher(inner, q)
	if err != nil {
		return nil, err
	}
	if err := s.ConfirmOn(p, pr); err != nil {
		return nil, err
	}
	return s.Search(ctx, opt), nil
}

// SearchFrom runs short gradient searches for one case from the given points (NumInputs each; moved into the case's box
// first), for callers that have candidates, such as branch and bound. Results are as for Search. To call it often, keep a
// Searcher and use From.
func SearchFrom(ctx context.Context, p *prog.Program, pr *spec.Problem, caseIndex int, starts [][]float64, opt Options) (*spec.Witness, error) {
	s, err := NewSearcher(p, pr)
	if err != nil {
		return nil, err
	}
	return s.From(ctx, caseIndex, starts, opt)
}

// check reports what does not fit between program and problem.
func check(p *prog.Program, pr *spec.Problem) error {
	if n := p.Nodes[0].N; n != pr.NumInputs {
		return fmt.Errorf("attacks: the network has %d inputs, the problem %d", n, pr.NumInputs)
	}
	if n := p.Nodes[p.Output].N; n != pr.NumOutputs {
		return fmt.Errorf("attacks: the network has %d outputs, the problem %d", n, pr.NumOutputs)
	}
	return nil
}
