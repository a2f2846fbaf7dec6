// Package bab is branch and bound: it proves that no case of a query is reachable from one box, or finds an input that is.
//
// Three searches share the query and the verdict: input splitting (inputsplit.go) for few varying inputs, ReLU splitting
// (relusplit.go) for many, and splitting under semidefinite bounds (semidef.go) where there is one hidden layer. They work in
// rounds: a fixed number of open branches is taken, bounded in parallel, and merged in order, so the outcome does not depend on the
// number of workers. Branches close only through relax's rigorous bounds. Between ReLU splittings Refine tightens the bounds of
// inner neurons, by a search for each.
//
// Reading order: inputsplit.go, box.go; relusplit.go, expand.go, branching.go, important.go, leaf.go, narrow.go; refine.go, boundtree.go;
// semidef.go.
package bab

import (
	"time"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/trace"
)

// A Query is one box with the cases to refute on it.
type Query struct {
	Net   *relax.Net
	Box   relax.Box
	Cases []spec.Case
	// Free, if not 0, says that only the first Free inputs may be bisected; otherwise all that vary may.
	Free int
}

// Status is the outcome of a search.
type Status uint8

const (
	// Open: stopped by the context, the budget, or because the method cannot split further.
	Open Status = iota
	// Closed: every case is refuted.
	Closed
	// Found: a counterexample was confirmed.
	Found
)

// Config steers a search.
type Config struct {
	Pool   *relax.Pool
	Memory int64 // bytes for open branches
	// Try is given candidate inputs (any point of the box) and returns a confirmed witness or nil. It may be called from
	// several goroutines.
	Try func(x []float64) *spec.Witness
	// Trace, if set, receives progress at most every few hundred milliseconds.
	Trace func(trace.Event)
	// Pause is called between rounds or beside one, on another goroutine, never twice at a time; a witness it returns ends the search
	// (time-sliced attacks).
	Pause func() *spec.Witness
	Rule  Rule
	// Influence, if set, guides the choice of neurons.
	Influence *relax.Influence
	// Trees, if not nil, has an entry per case of the query and makes ReluSplit record how it refutes each: it then bounds every branch
	// on the frame it is given, whose network is not specialised.
	Trees []*Tree
	// Branches, if not 0, ends a search as Open ("budget") after about so many branches.
	Branches int
	// Whole makes InputSplit bound boxes on the whole network in any case.
	Whole bool
	// Work, if not 0, ends ReluSplit as Open (OutOfWork) after about so many multiply-adds (relax.Worker.Work).
	Work int64
}

// Rule are the tunable numbers of the search; the zero value is the default.
type Rule struct {
	Steps      int // ascent steps per ReLU branch, 0: 12
	Candidates int // strong-branching shortlist, 0: 6
}

// Contradictory is the reason of a search that met bounds excluding each other on a box that has points: an internal error, never
// a proof.
const Contradictory = "internal error: contradictory bounds"

// OutOfWork is the reason of a search that has used up Config.Work.
const OutOfWork = "budget"

// Outcome reports what a search did.
type Outcome struct {
	Status   Status
	Reason   string // why Open
	Witness  *spec.Witness
	Bound    float64 // least bound over open branches when stopped (−Inf when unknown)
	Volume   float64 // fraction of the box or of the tree that was proved when stopped, 0..1
	Branches int
	Open     int
	Left     []int32 // cases with open branches (ReluSplit)
	Peak     int64
}

// rowsOf lists the rows of the cases that are still alive: (case, row) pairs in order.
type rowRef struct{ c, r int32 }

func (q *Query) rows(alive []int32) []rowRef {
	var out []rowRef
	for _, c := range alive {
		for r := range q.Cases[c].Rows {
			out = append(out, rowRef{c, int32(r)})
		}
	}
	return out
}

// Seed puts row's objective Σ X·x + Σ Y·y − RHS into lane r: a positive bound refutes the row.
func Seed(w *relax.Worker, f *relax.Frame, row *spec.Row, r int) { w.SeedObjective(f, row, r, 1) }

// Refuted reports whether a lower bound on a row's objective excludes the row.
func Refuted(row *spec.Row, lb float64) bool { return lb > 0 || lb == 0 && row.Strict }

// fraction returns part/whole in [0,1], whatever sums of parts were rounded to; 0 when there is no whole.
func fraction(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return min(max(part/whole, 0), 1)
}

// progress throttles trace events.
type progress struct {
	emit func(trace.Event)
	last time.Time
}

func (p *progress) tick(e trace.Event) {
	if p.emit == nil {
		return
	}
	now := time.Now()
	if now.Sub(p.last) < 250*time.Millisecond {
		return
	}
	p.last = now
	p.emit(e)
}

// found keeps the witness of the lowest task index of a round, so that the answer does not depend on timing.
type found struct {
	wit []*spec.Witness
}

func newFound(n int) *found {
	f := &found{wit: make([]*spec.Witness, n)}
	return f
}

func (f *found) first() *spec.Witness {
	for _, w := range f.wit {
		if w != nil {
			return w
		}
	}
	return nil
}
