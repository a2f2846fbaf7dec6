package smt

import (
	"github.com/go-air/gini/z"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/trace"
)

// A Query asks whether some input of Frame.Box satisfies some case; the cases' own boxes are not looked at. Frame has bounds over
// the whole box: the better they are, the fewer phases are left open.
type Query struct {
	Frame *relax.Frame
	Cases []spec.Case
}

// Config steers a search. The zero value works.
type Config struct {
	// Pool computes inner bounds; nil: one worker. Results do not depend on its size.
	Pool   *relax.Pool
	Memory int64 // bytes, 0: no limit
	// Try is given candidate inputs of the box and returns a confirmed witness or nil; nil: nothing is ever found.
	Try func(x []float64) *spec.Witness
	// Trace, if set, receives progress a few times a second.
	Trace func(trace.Event)
	// Pause, if set, is called between nodes; a witness it returns ends the search (time-sliced attacks).
	Pause func() *spec.Witness
	Rule  Rule
	// Nodes, if not 0, ends the search as Open ("budget") after so many.
	Nodes int

	learned func(s *search, e []z.Lit) // for tests: called with every explanation, before it is stored
}

// Rule are the tunable numbers of the search; the zero value is the default.
type Rule struct {
	Steps      int // ascent steps per node, 0: 12
	Candidates int // phases tried on both sides before one is decided, 0: 4
	// Atoms is the number of open ReLUs per varying input above which an input is split, where few inputs vary; 0: 8.
	Atoms int
	// NoLearning makes every explanation the list of all decisions, which leaves a plain search without memory: for comparison.
	NoLearning bool
}

// Status is the outcome of a search, as verify/bab has it.
type Status uint8

const (
	// Open: stopped by the context or a budget, or some branch could be neither refuted nor realised.
	Open Status = iota
	// Closed: every case is refuted.
	Closed
	// Found: a counterexample was confirmed.
	Found
)

// An Outcome reports what a search did. It depends on the query and the configuration alone, unless the context ended it.
type Outcome struct {
	Status  Status
	Reason  string // why Open
	Witness *spec.Witness
	Volume  float64 // fraction of the cases that was refuted when stopped, 0..1
	Open    int     // cases left when stopped
	Peak    int64   // bytes
	Stats
}

// Stats counts what a search did.
type Stats struct {
	Nodes     int // sets of literals that were looked at
	Decisions int
	Conflicts int // nodes refuted by bounds
	Boolean   int // sets of decisions refuted by clauses alone
	Clauses   int // explanations stored
	Literals  int // in all of them
	Backjumps int // times that the search went back by more than one decision
	Inherited int // rows refuted by multipliers of an earlier node
	Parts     int // parts of the box whose neurons were bounded anew
	Leaves    int // linear programs where every phase was decided
	Depth     int // most decisions at once
}

// Add adds o to s; Depth is the greater one.
func (s *Stats) Add(o *Stats) {
	s.Nodes += o.Nodes
	s.Decisions += o.Decisions
	s.Conflicts += o.Conflicts
	s.Boolean += o.Boolean
	s.Clauses += o.Clauses
	s.Literals += o.Literals
	s.Backjumps += o.Backjumps
	s.Inherited += o.Inherited
	s.Parts += o.Parts
	s.Leaves += o.Leaves
	s.Depth = max(s.Depth, o.Depth)
}
