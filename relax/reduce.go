package relax

import (
	"math"

	"github.com/spai-project/certify/nn/prog"
)

// An Objective is a linear function of elements of nodes to be bounded from below: Σ Coef·element + Const, off by at most Slack.
type Objective struct {
	Terms []ObjectiveTerm
	Const float64
	Slack float64
}

// ObjectiveTerm is one summand of an Objective.
type ObjectiveTerm struct {
	Node, Elem int
	Coef       float64
}

// maxReduceWork bounds the matrix entries that Reduce reads and the products it forms.
const maxReduceWork = 1 << 23

// reducible reports whether p has only the kinds of nodes that node composes.
func reducible(p *prog.Program) bool {
	for i := range p.Nodes {
		switch p.Nodes[i].Kind {
		case prog.Input, prog.Affine, prog.Relu, prog.Sigmoid:
		default:
			return false
		}
	}
	return true
}

// Reduce returns the network that is left on f's box for the objectives, the inputs dims varying and the others fixed at their
// intervals, and the bounds of its neurons. It returns nil when the network is too large to be worth it, has nodes of other kinds
// than affine maps, ReLU and Sigmoid, or when magnitudes are out of range.
func (f *Frame) Reduce(dims []int, objs []Objective) (r *Reduced, L, U []float64) {
	if f.reach < len(f.S) || !reducible(f.Net.P) {
		return nil, nil, nil
	}
	b := &netReducer{f: f, p: len(dims)}
	if !b.mark(objs) {
		return nil, nil, nil
	}
	b.c = new(composer)
	b.c.reset(b.p, f.Net.Unstable(f.B)+b.sigmoids)
	b.input(dims)
	for k := 1; k < len(f.Net.P.Nodes); k++ {
		b.node(k)
		if b.c.failed || b.work > maxReduceWork {
			return nil, nil, nil
		}
	}
	rows := make([]expr, len(objs))
	for i := range objs {
		b.c.begin()
		b.c.add(objs[i].Const, &b.one)
		for _, t := range objs[i].Terms {
			b.c.add(t.Coef, &b.at[t.Node][t.Elem])
		}
		rows[i] = b.c.end(objs[i].Slack)
	}
	if b.c.failed {
		return nil, nil, nil
	}
	r, order := assemble(b.p, b.c, rows)
	if r == nil {
		return nil, nil, nil
	}
	L, U = make([]float64, r.m), make([]float64, r.m)
	for i, j := range order {
		L[i], U[i] = b.l[j], b.u[j]
	}
	return r, L, U
}

// netReducer walks a program.
type netReducer struct {
	f    *Frame
	p    int
	c    *composer
	one  expr
	at   [][]expr // per node and element
	need [][]bool
	rows [][]csr // per affine node and term: the needed rows
	l, u []float64
	work int

	sigmoids int // needed
}

type csr struct {
	ptr, idx []int32
	val      []float64
}

// mark finds the elements that the objectives depend on and collects the rows of the maps that lead to them.
func (b *netReducer) mark(objs []Objective) bool {
	nodes := b.f.Net.P.Nodes
	b.need, b.rows, b.at = make([][]bool, len(nodes)), make([][]csr, len(nodes)), make([][]expr, len(nodes))
	for k := range nodes {
		b.need[k] = make([]bool, nodes[k].N)
	}
	for i := range objs {
		for _, t := range objs[i].Terms {
			b.need[t.Node][t.Elem] = true
		}
	}
	for k := len(nodes) - 1; k > 0; k-- {
		nd := &nodes[k]
		switch nd.Kind {
		case prog.Sigmoid:
			for j, n := range b.need[k] {
				if n {
					b.need[nd.Src][j] = true
					b.sigmoids++
				}
			}
		case prog.Relu:
			for j, n := range b.need[k] {
				if n && b.f.B.U[nd.Src][j] > 0 {
					b.need[nd.Src][j] = true
				}
			}
		case prog.Affine:
			for _, t := range nd.Terms {
				fan, _ := t.Map.Fan()
				if b.work += nd.N * min(fan, nodes[t.Src].N) / 8; b.work > maxReduceWork {
					return false
				}
				b.rows[k] = append(b.rows[k], neededRows(t.Map, b.need[k], b.need[t.Src]))
			}
		}
	}
	return true
}

// neededRows copies the needed rows of a map and marks the columns they read.
func neededRows(m prog.Linear, need, cols []bool) csr {
	r := csr{ptr: make([]int32, len(need)+1)}
	m.Each(func(i, j int, v float64) {
		if need[i] && v != 0 {
			r.idx, r.val = append(r.idx, int32(j)), append(r.val, v)
			r.ptr[i+1]++
			cols[j] = true
		}
	})
	for i := range need {
		r.ptr[i+1] += r.ptr[i]
	}
	return r
}

// input makes the columns of the constant and of the varying inputs; the others are their centres, off by their radii.
func (b *netReducer) input(dims []int) {
	b.one = b.c.column(1)
	n := b.f.Net.P.Nodes[0].N
	b.at[0] = make([]expr, n)
	for i := range n {
		c, r := centreRadius(b.f.Box.Lo[i], b.f.Box.Hi[i])
		b.at[0][i] = b.c.keep([]int32{0}, []float64{c}, r)
	}
	for _, i := range dims {
		b.at[0][i] = b.c.column(max(math.Abs(b.f.Box.Lo[i]), math.Abs(b.f.Box.Hi[i])))
	}
}

// node makes the rows of the needed elements of node k.
func (b *netReducer) node(k int) {
	nd := &b.f.Net.P.Nodes[k]
	b.at[k] = make([]expr, nd.N)
	L, U := b.f.B.L, b.f.B.U
	for j, need := range b.need[k] {
		if !need {
			continue
		}
		if nd.Kind == prog.Affine {
			b.at[k][j] = b.affine(k, nd, j)
			continue
		}
		switch l, u := L[nd.Src][j], U[nd.Src][j]; {
		case nd.Kind == prog.Sigmoid:
			b.at[k][j] = b.c.sigmoid(b.at[nd.Src][j])
			b.l, b.u = append(b.l, l), append(b.u, u)
		case u <= 0:
		case l >= 0:
			b.at[k][j] = b.at[nd.Src][j]
		default:
			out, fresh := b.c.activate(b.at[nd.Src][j], u)
			if b.at[k][j] = out; fresh {
				b.l, b.u = append(b.l, l), append(b.u, u)
			}
		}
	}
}

// affine composes element i of an affine node. A stored coefficient of relative error Rel units is off by that times the value it
// multiplies.
func (b *netReducer) affine(k int, nd *prog.Node, i int) expr {
	b.c.begin()
	mag := 0.0
	if nd.Bias != nil {
		b.c.add(nd.Bias[i], &b.one)
		mag = math.Abs(nd.Bias[i])
	}
	n := 0
	for t := range nd.Terms {
		r := &b.rows[k][t]
		src := nd.Terms[t].Src
		for q := r.ptr[i]; q < r.ptr[i+1]; q++ {
			j := int(r.idx[q])
			x := &b.at[src][j]
			b.work += len(x.idx)
			b.c.add(r.val[q], x)
			if nd.Rel != 0 {
				mag += math.Abs(r.val[q]) * max(math.Abs(b.f.B.L[src][j]), math.Abs(b.f.B.U[src][j]))
			}
			n++
		}
	}
	slack := 0.0
	if nd.Rel != 0 {
		slack = gamma(nd.Rel+4) * mag * (1 + gamma(n+8))
	}
	slack += b.f.Net.scaledError(k, b.f.S[k][i])
	return b.c.end(slack)
}

// dead reports whether neuron q is a ReLU that is off.
func (r *Reduced) dead(q int, U []float64) bool { return U[q] <= 0 && !r.smooth[q] }

// Reduce returns what is left of the cell's network on the part lo…hi of its box, with its present bounds and the objectives listed in
// objs. from gives, for every neuron left, its index in the old network, and is valid until the next call. It returns nil when
// magnitudes are out of range.
func (w *Cell) Reduce(lo, hi []float64, objs []int32) (s *Reduced, from []int32) {
	r, c, L, U := w.r, &w.compose, w.L, w.U
	last := len(r.levels) - 1
	c.reset(r.p, w.markNeeded(objs))
	c.rows = grow(c.rows, 1+r.p+r.m)
	at := c.rows
	at[0] = c.column(1)
	for d := range r.p {
		at[1+d] = c.column(max(math.Abs(lo[d]), math.Abs(hi[d])))
	}
	w.from = w.from[:0]
	for k := range last {
		l := &r.levels[k]
		for i := range l.n {
			q := l.first + i
			n := q - 1 - r.p
			if at[q] = (expr{}); !c.need[q] || r.dead(n, U) {
				continue
			}
			if at[q] = c.fold(l, i); r.smooth[n] {
				at[q] = c.sigmoid(at[q])
				w.from = append(w.from, int32(n))
			} else if L[n] < 0 {
				out, fresh := c.activate(at[q], U[n])
				if at[q] = out; fresh {
					w.from = append(w.from, int32(n))
				}
			}
		}
	}
	c.objs = c.objs[:0]
	for _, i := range objs {
		c.objs = append(c.objs, c.fold(&r.levels[last], int(i)))
	}
	if c.failed {
		return nil, nil
	}
	s, order := assemble(r.p, c, c.objs)
	if s == nil {
		return nil, nil
	}
	for i, j := range order {
		order[i] = w.from[j]
	}
	return s, order
}

// fold composes row i of a level with the rows of the columns it reads.
func (c *composer) fold(l *level, i int) expr {
	idx, val := l.row(i)
	c.begin()
	for k, j := range idx {
		c.add(val[k], &c.rows[j])
	}
	return c.end(l.err[i])
}

// markNeeded finds the columns that the objectives depend on and counts the neurons that will be left at most.
func (w *Cell) markNeeded(objs []int32) (open int) {
	r, c := w.r, &w.compose
	if n := 1 + r.p + r.m; cap(c.need) < n {
		c.need = make([]bool, n)
	} else {
		c.need = c.need[:n]
		clear(c.need)
	}
	mark := func(l *level, i int) {
		idx, _ := l.row(i)
		for _, j := range idx {
			c.need[j] = true
		}
	}
	last := len(r.levels) - 1
	for _, i := range objs {
		mark(&r.levels[last], int(i))
	}
	for k := last - 1; k >= 0; k-- {
		l := &r.levels[k]
		for i := l.n - 1; i >= 0; i-- {
			n := l.first + i - 1 - r.p
			if !c.need[l.first+i] || r.dead(n, w.U) {
				continue
			}
			mark(l, i)
			if w.L[n] < 0 || r.smooth[n] {
				open++
			}
		}
	}
	return open
}
