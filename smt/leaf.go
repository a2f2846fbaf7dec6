package smt

import (
	"context"
	"math"
	"slices"

	"github.com/go-air/gini/z"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/smt/simplex"
)

// maxLeafSize bounds rows × columns of a leaf's linear program.
const maxLeafSize = 4 << 20

// leaf decides a set in which every phase is known: the network is linear there, and the greatest t with row + t ≤ 0 for every
// row of the case is a linear program over the inputs and t. The program is solved in floats and trusted with nothing: where t
// is negative, the multipliers weigh rows and phases, and a pass with them refutes; otherwise the inputs are a candidate, as
// far inside as possible. A leaf that escapes both leaves the question open.
func (s *search) leaf(ctx context.Context, c int) [][]z.Lit {
	s.out.Leaves++
	decided := s.phases()
	rows := s.cases[c]
	n := len(s.set.inLo)
	if (len(decided)+len(rows))*n <= maxLeafSize {
		lp := s.leafProgram(decided, rows)
		var solver simplex.Solver
		if sol, err := solver.Solve(ctx, lp, simplex.Options{}); err == nil {
			if d := s.combine(decided, rows, sol.Mu); d != nil {
				if e := s.explain(d); e != nil {
					return [][]z.Lit{e}
				}
			}
			if s.try(sol.X[:n]) {
				return nil
			}
		}
	}
	s.stuck++ // passed as if it were refuted; the search can no longer end as Closed
	e := slices.Clone(s.decisions)
	if len(e) == 0 {
		e = append(e, s.selector[c]) // true without decisions: nothing else is left
	}
	return [][]z.Lit{e}
}

// phases lists the neurons of open sign in the whole box with the phases that are decided or that the bounds of the top part
// imply: where those bounds assume more than the inputs' intervals, the program needs a row for them, and the pass a
// multiplier.
func (s *search) phases() []relax.Split {
	p := s.top()
	var out []relax.Split
	for j, sign := range s.set.sign {
		n := s.neurons[j]
		switch {
		case sign != 0:
			n.Sign = sign
		case p.lo[j] >= 0:
			n.Sign = 1
		default:
			n.Sign = -1
		}
		out = append(out, n)
	}
	return out
}

// leafProgram builds the program: a row for each phase, then one for each row of the case.
func (s *search) leafProgram(decided []relax.Split, rows []int) *simplex.Problem {
	n := len(s.set.inLo)
	lp := &simplex.Problem{C: make([]float64, n+1)}
	forms := s.forms()
	for _, sp := range decided {
		z := forms[s.q.Frame.Net.P.Nodes[sp.Act].Src][int(sp.Elem)*(n+1):][:n+1]
		g := make([]float64, n+1)
		for i := range n {
			g[i] = -float64(sp.Sign) * z[i]
		}
		lp.G, lp.H = append(lp.G, g), append(lp.H, float64(sp.Sign)*z[n])
	}
	reach := 1.0 // of t
	for _, r := range rows {
		g, c := s.rowForm(s.rows[r], forms)
		size := math.Abs(c)
		for i, v := range g {
			size += math.Abs(v) * max(-s.set.inLo[i], s.set.inHi[i])
		}
		reach = max(reach, 2*size)
		lp.G, lp.H = append(lp.G, append(g, 1)), append(lp.H, -c)
	}
	lp.C[n] = -1
	lp.Lo, lp.Hi = append(slices.Clone(s.set.inLo), -reach), append(slices.Clone(s.set.inHi), reach)
	return lp
}

// combine makes multipliers from a pass over a weighted sum of rows: mu has the multipliers of the phases, then the weights. It
// returns nil if there is no bound.
func (s *search) combine(decided []relax.Split, rows []int, mu []float64) *dual {
	for i, v := range mu {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		mu[i] = max(v, 0)
	}
	beta, weight := mu[:len(decided)], mu[len(decided):]
	f, w := s.top().frame, s.w
	w.On(f.Net)
	w.Begin(1)
	var used []int
	for i, r := range rows {
		if weight[i] > 0 {
			w.SeedObjective(s.q.Frame, s.rows[r], 0, weight[i])
			used = append(used, r)
		}
	}
	if len(decided) > 0 {
		for _, sp := range decided {
			w.Coef(int(sp.Act)) // a multiplier bears on what the pass visits
		}
		w.SetSplits([][]relax.Split{decided}, [][]float64{beta})
	}
	w.Run(f, f.Net.P.Output)
	if math.IsInf(w.LB[0], -1) {
		return nil
	}
	return s.take(w, f, 0, used)
}

// forms evaluates the network forward on linear forms of the inputs, in plain floats: per node and element, a coefficient for
// each input and a constant. Neurons whose phase is not known are taken as inactive.
func (s *search) forms() [][]float64 {
	p := s.q.Frame.Net.P
	b := s.top().frame.B
	n := p.Nodes[0].N
	R := n + 1
	forms := make([][]float64, len(p.Nodes))
	for k := range p.Nodes {
		nd := &p.Nodes[k]
		v := make([]float64, nd.N*R)
		switch nd.Kind {
		case prog.Input:
			for i := range n {
				v[i*R+i] = 1
			}
		case prog.Affine:
			for i, c := range nd.Bias {
				v[i*R+n] = c
			}
			for _, t := range nd.Terms {
				t.Map.Forward(v, forms[t.Src], R)
			}
		case prog.Relu:
			for j := range nd.N {
				i := s.index[k][j]
				if b.L[nd.Src][j] >= 0 || i >= 0 && s.set.sign[i] > 0 && b.U[nd.Src][j] > 0 {
					copy(v[j*R:j*R+R], forms[nd.Src][j*R:])
				}
			}
		}
		forms[k] = v
	}
	return forms
}

// rowForm returns a row's objective as a form of the inputs.
func (s *search) rowForm(row *spec.Row, forms [][]float64) (g []float64, c float64) {
	p := s.q.Frame.Net.P
	n := p.Nodes[0].N
	g = make([]float64, n)
	c = -row.RHSUpper
	for _, t := range row.X {
		g[t.Index] += t.Value
	}
	for _, t := range row.Y {
		y := forms[p.Output][t.Index*(n+1):]
		for i := range g {
			g[i] += t.Value * y[i]
		}
		c += t.Value * y[n]
	}
	return g, c
}
