package smt

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/go-air/gini/z"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/trace"
)

// search is the state of Solve.
type search struct {
	*literals
	q    *Query
	cfg  *Config
	out  *Outcome
	sat  *clauses
	pool *relax.Pool
	w    *relax.Worker
	free []int // inputs that vary

	decisions []z.Lit
	parts     []*part // the box, then parts of parts
	// The literals that are true, as a set, and the atoms that are the ends of its intervals.
	set  set
	ends []end

	bounds []float64 // by row: its last bound
	warm   []warmth  // by row
	recent [][]*dual // by row: multipliers that refuted it, the last one first
	stuck  int       // leaves without an answer
	fault  string    // an internal error

	scratch set
	worths  []worth
	shown   time.Time
}

// incomplete is the reason of leaves without an answer: all phases decided, nothing refuted, nothing confirmed.
const incomplete = "incomplete"

// maxStuck is the number of such leaves after which a search gives up: it could only find a counterexample.
const maxStuck = 16

// Solve decides the query. Networks with other nodes than Affine and Relu are left Open with the reason.
func Solve(ctx context.Context, q *Query, cfg *Config) *Outcome {
	out := &Outcome{Open: len(q.Cases)}
	p := q.Frame.Net.P
	for k := range p.Nodes {
		if n := &p.Nodes[k]; n.Kind != prog.Input && n.Kind != prog.Affine && n.Kind != prog.Relu {
			out.Reason = fmt.Sprintf("smt knows affine nodes and Relu only: node %q is %v", n.Name, n.Kind)
			return out
		}
	}
	for _, s := range q.Frame.S {
		if slices.ContainsFunc(s, func(v float64) bool { return !(v < maxScale) }) {
			out.Reason = "the bounds of the network overflow"
			return out
		}
	}
	s := newSearch(q, cfg, out)
	if reason := s.run(ctx); out.Status == Open {
		out.Reason = reason
		if reason == "" {
			out.Status, out.Open, out.Volume = Closed, 0, 1
			return out
		}
	}
	out.Open = 0
	for _, d := range s.selector {
		if s.sat.value(d) >= 0 || s.sat.level[d.Var()] > 0 {
			out.Open++
		}
	}
	out.Volume = float64(len(q.Cases)-out.Open) / float64(max(len(q.Cases), 1))
	return out
}

// maxScale keeps the scale of rounding the same for all parts of the box: beyond it, a part may get a scale of its own.
const maxScale = 1e100

func newSearch(q *Query, cfg *Config, out *Outcome) *search {
	s := &search{q: q, cfg: cfg, out: out, sat: newClauses(), pool: cfg.Pool}
	if s.pool == nil {
		s.pool = relax.NewPool(q.Frame.Net, 1)
	}
	s.w = s.pool.W[0]
	s.literals = declare(q, s.sat)
	for i := range q.Frame.Box.Lo {
		if q.Frame.Box.Varies(i) {
			s.free = append(s.free, i)
		}
	}
	s.set.sign = make([]int8, len(s.neurons))
	s.parts = []*part{s.partOf(q.Frame, nil)}
	s.bounds, s.warm, s.recent = make([]float64, len(s.rows)), make([]warmth, len(s.rows)), make([][]*dual, len(s.rows))
	for i := range s.bounds {
		s.bounds[i] = math.Inf(-1)
	}
	return s
}

// run searches until the clauses exclude each other (""), a counterexample is found (out.Status), or neither is possible: the
// reason.
func (s *search) run(ctx context.Context) string {
	for {
		if ctx.Err() != nil {
			return "interrupted"
		}
		if !s.propagate() {
			return s.end()
		}
		switch mem := s.memory(); {
		case s.cfg.Nodes > 0 && s.out.Nodes >= s.cfg.Nodes:
			return "budget"
		case s.cfg.Memory > 0 && mem > s.cfg.Memory:
			return "memory"
		}
		s.progress()
		if s.cfg.Pause != nil {
			if w := s.cfg.Pause(); w != nil {
				s.out.Status, s.out.Witness = Found, w
				return ""
			}
		}
		s.out.Nodes++
		before := s.stuck
		found, next := s.check(ctx)
		if s.cfg.learned != nil && s.stuck == before { // a leaf without an answer is passed without an explanation
			for _, e := range found {
				s.cfg.learned(s, e)
			}
		}
		switch {
		case s.out.Status == Found:
			return ""
		case s.fault != "":
			return s.fault
		case ctx.Err() != nil:
			return "interrupted"
		case s.stuck >= maxStuck:
			return incomplete
		case len(found) == 0 && next == z.LitNull:
			return incomplete // a case without rows
		}
		conflict, closed := s.learn(found)
		switch {
		case closed:
			return s.end()
		case !conflict && next != z.LitNull:
			s.out.Decisions++
			s.decisions = append(s.decisions, next)
			s.out.Depth = max(s.out.Depth, len(s.decisions))
		}
	}
}

// end is the reason of a search whose clauses exclude each other: none, unless it passed leaves without an answer.
func (s *search) end() string {
	if s.stuck > 0 {
		return incomplete
	}
	return ""
}

// propagate assigns the decisions, going back where clauses exclude them, and reads the set that the true literals describe. It
// returns false when the clauses exclude each other.
func (s *search) propagate() bool {
	for {
		ok, conflict := s.sat.propagate(s.decisions)
		if ok {
			break
		}
		top := highest(s.decisions, conflict)
		if top == 0 {
			return false
		}
		s.out.Boolean++
		s.back(top - 1)
		s.sat.add(negate(conflict))
	}
	s.read()
	for i := 1; i < len(s.parts); i++ {
		if slices.ContainsFunc(s.parts[i].why, func(e end) bool { return s.sat.value(e.lit) <= 0 }) {
			s.parts = s.parts[:i]
		}
	}
	return true
}

// back undoes all decisions but the first n.
func (s *search) back(n int) {
	if n < len(s.decisions)-1 {
		s.out.Backjumps++
	}
	s.decisions = s.decisions[:n]
}

// read translates the assignment.
func (s *search) read() {
	for j, m := range s.phase {
		s.set.sign[j] = int8(s.sat.value(m))
	}
	box := &s.q.Frame.Box
	s.set.inLo, s.set.inHi = append(s.set.inLo[:0], box.Lo...), append(s.set.inHi[:0], box.Hi...)
	s.ends = s.ends[:0]
	for i, atoms := range s.atoms {
		lower, upper := z.LitNull, z.LitNull
		for _, a := range atoms { // true from some threshold on, false up to some
			if v := s.sat.value(a.lit); v < 0 {
				lower, s.set.inLo[i] = a.lit.Not(), a.t
			} else if v > 0 {
				upper, s.set.inHi[i] = a.lit, a.t
				break
			}
		}
		if lower != z.LitNull {
			s.ends = append(s.ends, end{lower, i, false})
		}
		if upper != z.LitNull {
			s.ends = append(s.ends, end{upper, i, true})
		}
	}
}

// phaseLit returns the literal of a phase.
func (s *search) phaseLit(j int, sign int8) z.Lit {
	if sign > 0 {
		return s.phase[j]
	}
	return s.phase[j].Not()
}

// learn stores explanations. Where one of them holds true literals only, it is a conflict, and the search goes back; closed
// says that there is nowhere to go.
func (s *search) learn(found [][]z.Lit) (conflict, closed bool) {
	var clause []z.Lit
	depth := math.MaxInt
	for i, e := range found {
		if s.cfg.Rule.NoLearning {
			e = s.everything(e)
			found[i] = e
		}
		s.out.Clauses++
		s.out.Literals += len(e)
		if slices.ContainsFunc(e, func(m z.Lit) bool { return s.sat.value(m) <= 0 }) {
			continue
		}
		lits, top := s.sat.firstUIP(e)
		if len(lits) == 0 {
			return true, true
		}
		if top <= depth {
			clause, depth, conflict = negate(lits), top-1, true
		}
	}
	if conflict {
		s.out.Conflicts++
		s.back(depth)
	}
	for _, e := range found {
		s.sat.add(negate(e))
	}
	if conflict {
		s.sat.add(clause)
	}
	return conflict, false
}

// everything is the explanation of a search without memory: all decisions, and those literals of e that are not true.
func (s *search) everything(e []z.Lit) []z.Lit {
	all := slices.Clone(s.decisions)
	for _, m := range e {
		if s.sat.value(m) <= 0 {
			all = append(all, m)
		}
	}
	return all
}

// memory estimates the bytes held.
func (s *search) memory() int64 {
	m := int64(len(s.sat.level))*64 + int64(s.sat.size)*16
	for _, p := range s.parts[1:] {
		m += p.frame.Bytes()
	}
	for _, r := range s.recent {
		m += int64(len(r)) * int64(16*len(s.neurons)+8*len(s.atoms))
	}
	s.out.Peak = max(s.out.Peak, m)
	return m
}

// progress reports a few times a second.
func (s *search) progress() {
	if s.cfg.Trace == nil {
		return
	}
	if now := time.Now(); now.Sub(s.shown) > 250*time.Millisecond {
		s.shown = now
		s.cfg.Trace(trace.Event{Phase: "smt", Bound: math.Inf(-1), Open: len(s.decisions), Closed: s.out.Conflicts,
			Memory: s.out.Peak})
	}
}
