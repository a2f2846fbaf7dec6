package reluplex

import (
	"context"
	"fmt"
	"math"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/smt/simplex"
	"github.com/spai-project/certify/verify/trace"
)

// A Query asks whether some input of a box satisfies some case. Lower and Upper are finite, one number per input; the cases' own
// boxes are not looked at.
type Query struct {
	Program      *prog.Program
	Lower, Upper []float64
	Cases        []spec.Case
}

// Config steers a search. The zero value works.
type Config struct {
	Memory int64 // bytes, 0: no limit
	// Try is given candidate inputs of the box and returns a confirmed witness or nil; nil: nothing is ever found.
	Try func(x []float64) *spec.Witness
	// Trace, if set, receives progress a few times a second.
	Trace func(trace.Event)
	// Threshold is the number of repairs of a pair before it is split, 0: 5 as in the paper.
	Threshold int
	// Splits, if not 0, ends the search as Open ("budget") after so many.
	Splits int

	refuted func(e *engine, set levels) // for tests: called with what every refutation depends on
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
	Status   Status
	Reason   string // why Open
	Witness  *spec.Witness
	Volume   float64 // fraction of the tree that was refuted when stopped, 0..1
	Branches int     // branches refuted
	Open     int     // branches left when stopped
	Peak     int64   // bytes
	Splits   int     // applications of ReluSplit
	Repairs  int     // applications of Update_b and Update_f
	Pivots   int
	Depth    int // most decisions at once
}

// Solve decides the query case by case. Programs with other nodes than Affine and Relu are left Open with the reason.
//
// Sound because the rows and bounds of encode hold for every execution of the network over the reals, a branch closes only through
// bounds rounded outward, and every split keeps both of its sides until they are closed.
func Solve(ctx context.Context, q *Query, cfg *Config) *Outcome {
	out := &Outcome{}
	for k := range q.Program.Nodes {
		if n := &q.Program.Nodes[k]; n.Kind != prog.Input && n.Kind != prog.Affine && n.Kind != prog.Relu {
			out.Reason = fmt.Sprintf("reluplex knows affine nodes and Relu only: node %q is %v", n.Name, n.Kind)
			return out
		}
	}
	c := *cfg
	if c.Threshold == 0 {
		c.Threshold = 5
	}
	L, U := q.Program.Enclose(q.Lower, q.Upper, prog.UnitReal)
	for i := range q.Cases {
		if ctx.Err() != nil {
			return out.stop("interrupted", len(q.Cases)-i)
		}
		done, reason := out.solveCase(ctx, q, &q.Cases[i], L, U, &c, float64(i), float64(len(q.Cases)))
		switch {
		case out.Status == Found:
			return out
		case !done && reason != incomplete:
			return out.stop(reason, out.Open+len(q.Cases)-i-1)
		case !done:
			out.Reason = reason // other cases may still have a witness
		default:
			out.Volume += 1 / float64(len(q.Cases))
		}
	}
	if out.Reason == "" {
		out.Status, out.Volume, out.Open = Closed, 1, 0
	}
	out.Volume = min(out.Volume, 1)
	return out
}

// incomplete is the reason of branches without an answer: all pairs decided, nothing refuted, nothing confirmed.
const incomplete = "incomplete"

func (o *Outcome) stop(reason string, open int) *Outcome {
	o.Reason, o.Open = reason, open
	return o
}

// solveCase runs the calculus on one case; done says that it is refuted.
func (o *Outcome) solveCase(ctx context.Context, q *Query, c *spec.Case, L, U [][]float64, cfg *Config,
	before, cases float64) (done bool, reason string) {
	l := place(q.Program, c, L, U)
	bytes := l.estimate()
	if o.Peak = max(o.Peak, bytes); cfg.Memory > 0 && bytes > cfg.Memory {
		return false, "memory"
	}
	enc, ok := encode(q.Program, c, l, L, U)
	if !ok {
		return false, "the bounds of the network overflow"
	}
	sys, err := simplex.NewSystem(enc.columns, enc.rows)
	if err != nil {
		return false, err.Error()
	}
	e := newEngine(enc, sys, cfg, o)
	e.before, e.cases = before, cases
	reason = e.run(ctx)
	o.Pivots += sys.Stats().Pivots
	if reason != "" {
		o.Volume = (before + e.volume()) / cases
		o.Open += e.open()
	}
	return reason == "", reason
}

// finite reports whether all of x are numbers.
func finite(x ...float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
