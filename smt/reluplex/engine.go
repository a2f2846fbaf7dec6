package reluplex

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/spai-project/certify/smt/simplex"
	"github.com/spai-project/certify/verify/trace"
)

// engine is the search for one case: a configuration ⟨B, T, l, u, α, R⟩ and the stack of decisions.
type engine struct {
	*encoding
	sys *simplex.System
	cfg *Config
	out *Outcome

	// Scratch: costs of columns and of all variables, multipliers, sums and the bounds they use.
	column, costs, y []float64
	sum              []simplex.Term
	uses             []use
	order            []int
	levelCost        []float64
	mixLo, mixHi     []float64

	// Bounds and why they hold: per variable, the decision levels that its lower and its upper bound depend on.
	whyLo, whyHi       []levels
	groundLo, groundHi []float64 // bounds without decisions
	reasons            []reason  // trail of whyLo and whyHi
	marks              []int

	// Propagation: rows and pairs that a bound has changed for.
	rowsOf, pairsOf      [][]int32 // by variable
	staleRows, stalePair []bool
	terms                []term

	decisions []decision
	path      []step
	repairs   []int   // by pair, since the last split
	tightened bool    // bounds changed since the tableau's rows were looked at
	stuck     bool    // some branch has no answer
	pending   *levels // a conflict that an asserted phase met

	before, cases float64 // cases done and all, for progress
	shown         time.Time
}

// search tolerance: a pair counts as satisfied within this. It decides what is repaired next, nothing else.
const tolPair = 1e-7

func newEngine(enc *encoding, sys *simplex.System, cfg *Config, out *Outcome) *engine {
	n, m := enc.columns, len(enc.rows)
	pairs := len(enc.pairs)
	e := &engine{encoding: enc, sys: sys, cfg: cfg, out: out, tightened: true,
		column: make([]float64, n), costs: make([]float64, n+m), y: make([]float64, m),
		whyLo: make([]levels, n+m), whyHi: make([]levels, n+m), groundLo: slices.Clone(enc.lo), groundHi: slices.Clone(enc.hi),
		rowsOf: make([][]int32, n+m), pairsOf: make([][]int32, n+m),
		staleRows: make([]bool, m), stalePair: make([]bool, pairs), repairs: make([]int, pairs)}
	for v := range enc.lo {
		sys.SetLower(v, enc.lo[v])
		sys.SetUpper(v, enc.hi[v])
	}
	for r, row := range enc.rows {
		for _, j := range row.Idx {
			e.rowsOf[j] = append(e.rowsOf[j], int32(r))
		}
		e.rowsOf[n+r] = append(e.rowsOf[n+r], int32(r))
		e.staleRows[r] = true
	}
	for i, p := range enc.pairs {
		for _, v := range []int{p.b, p.f, p.s} {
			e.pairsOf[v] = append(e.pairsOf[v], int32(i))
		}
		e.stalePair[i] = true
	}
	return e
}

// run applies rules until the case is refuted (""), a counterexample is found (out.Status), or neither is possible: the reason.
func (e *engine) run(ctx context.Context) string {
	for {
		if ctx.Err() != nil {
			return "interrupted"
		}
		e.progress()
		if set, conflict := e.propagate(); conflict {
			if !e.backtrack(set) {
				return e.closed()
			}
			continue
		}
		status, err := e.repair(ctx)
		if err != nil {
			return "interrupted"
		}
		switch status {
		case simplex.Infeasible:
			if set, proved := e.explain(); proved {
				if !e.backtrack(set) {
					return e.closed()
				}
				continue
			}
		case simplex.Optimal:
			if e.tightened && e.derive() {
				continue
			}
			if e.attempt() {
				return ""
			}
			if p := e.broken(); p >= 0 && e.repairs[p] < e.cfg.Threshold {
				e.repairs[p]++
				e.fix(p)
				continue
			} else if p >= 0 && !e.decided(p) {
				if why := e.split(p); why != "" {
					return why
				}
				continue
			}
		}
		// ReluSuccess as far as floats can tell, or an LP without an answer: decide what is left, one pair at a time.
		if p := e.undecided(); p >= 0 {
			if why := e.split(p); why != "" {
				return why
			}
			continue
		}
		set, err := e.leaf(ctx)
		if err != nil {
			return "interrupted"
		}
		if e.out.Status == Found {
			return ""
		}
		if !e.backtrack(set) {
			return e.closed()
		}
	}
}

// closed is the answer when no branch is left.
func (e *engine) closed() string {
	if e.stuck {
		return incomplete
	}
	return ""
}

// attempt is the rule ReluSuccess, earlier than in the paper: the inputs of any assignment are a candidate, since the network, and
// not the assignment, says what follows from them.
func (e *engine) attempt() bool {
	x := make([]float64, len(e.inputs))
	for i, v := range e.inputs {
		x[i] = min(max(e.sys.Value(v), e.groundLo[v]), e.groundHi[v])
	}
	return e.try(x)
}

func (e *engine) try(x []float64) bool {
	if e.cfg.Try == nil {
		return false
	}
	if w := e.cfg.Try(x); w != nil {
		e.out.Status, e.out.Witness = Found, w
		return true
	}
	return false
}

// leaf looks at a branch whose pairs are all decided: there the network is linear, and the least value of each row of the case
// either refutes the branch or leads inside it. A branch that escapes both is stuck; it is passed as if it were refuted, and the
// search can no longer end as Closed.
func (e *engine) leaf(ctx context.Context) (levels, error) {
	all := upTo(len(e.decisions))
	mean := make([]float64, len(e.inputs))
	for _, v := range e.encoding.cases {
		clear(e.column)
		row := e.rows[v-e.columns]
		for k, j := range row.Idx {
			e.column[j] = row.Val[k]
		}
		m, err := e.sys.Minimize(ctx, e.column)
		if err != nil {
			return nil, err
		}
		if m.Status == simplex.Infeasible {
			if set, proved := e.explain(); proved {
				return set, nil
			}
		}
		if m.Status != simplex.Optimal {
			continue
		}
		if m.Bound > e.sys.Upper(v) {
			return all, nil
		}
		if e.attempt() {
			return nil, nil
		}
		for i, x := range e.inputs {
			mean[i] += e.sys.Value(x) / float64(len(e.encoding.cases))
		}
	}
	for i, v := range e.inputs {
		mean[i] = min(max(mean[i], e.groundLo[v]), e.groundHi[v])
	}
	if !e.try(mean) {
		e.stuck = true
	}
	return all, nil
}

// undecided returns the first pair without a phase, −1 when all have one.
func (e *engine) undecided() int {
	for i := range e.pairs {
		if !e.decided(i) {
			return i
		}
	}
	return -1
}

// progress reports a few times a second.
func (e *engine) progress() {
	if e.cfg.Trace == nil {
		return
	}
	if now := time.Now(); now.Sub(e.shown) > 250*time.Millisecond {
		e.shown = now
		e.cfg.Trace(trace.Event{Phase: "reluplex", Bound: math.Inf(-1), Open: e.open(), Closed: e.out.Branches,
			Volume: (e.before + e.volume()) / e.cases, Memory: e.out.Peak})
	}
}
