// Package verify answers: is there an input in this set that makes the network do that?
package verify

import (
	"errors"
	"time"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/smt"
	"github.com/spai-project/certify/verify/trace"
)

// A Verdict is the answer to a query.
type Verdict uint8

const (
	// Unknown: not decided; Result.Reason says why.
	Unknown Verdict = iota
	// Holds: no counterexample exists ("unsat").
	Holds
	// Violated: a replayed counterexample was found ("sat").
	Violated
	// Timeout: not decided before the deadline.
	Timeout
)

// String returns the words of VNN-LIB 2.0: unknown, unsat, sat, timed-out.
func (v Verdict) String() string { return [...]string{"unknown", "unsat", "sat", "timed-out"}[v] }

// Options steer Verify. The zero value works.
type Options struct {
	Timeout time.Duration // 0: none beyond ctx
	Workers int           // 0: number of cores
	Memory  int64         // budget in bytes for the search, 0: 4 GiB
	Seed    uint64
	Trace   trace.Tracer
	// NoAttack skips the search for counterexamples before bounding.
	NoAttack bool
	// Method: "" chooses; "attack", "ibp" and "crown" stop after that step; "input-split" and "relu-split" choose the branching
	// ("alpha" is another name of the latter); "semidefinite" decides ReLUs of networks with one hidden layer under semidefinite bounds
	// alone and leaves other networks undecided; "reluplex" and "smt" are the solvers of smt/reluplex and smt in place of branch and
	// bound. Anything else is an error.
	Method string
	// Semantics is the arithmetic that the verdict is about.
	Semantics Semantics

	smtRule   smt.Rule // of method smt
	firstWork int64    // of ReLU splitting before inner bounds are refined; 0: the constant
}

// Stats counts the work done.
type Stats struct {
	Branches int // sub-problems bounded
	Open     int // still open at the end
	Closed   int
	// Volume is the fraction of the input set, or of the tree where ReLUs are split, that was proved, 0..1; the boxes of a query
	// with several count the same. It is 1 where the property holds and 0 where it is violated.
	Volume float64
	Wall   time.Duration
	// Phases is how Wall was spent: seconds by phase ("attack", "root bounds", "input split", ...). Phases are disjoint; what is
	// left of Wall belongs to none.
	Phases                  map[string]float64
	PeakBytes               int64 // of the search's own accounting
	Params, Relus, Unstable int
}

// A Result is the outcome of Verify.
type Result struct {
	Verdict  Verdict
	Reason   string // for Unknown and Timeout: "incomplete", "memory", "interrupted", ...
	Witness  *spec.Witness
	Margin   float64  // best rigorous lower bound reached on the margin (proved when > 0)
	Strategy []string // the steps and the rules that chose them, in order
	Vacuous  bool
	Checked  bool // a certificate was accepted by the kernel
	Stats    Stats
}

// ErrMismatch is wrapped by errors about a query that does not fit the network.
var ErrMismatch = errors.New("the query does not fit the network")
