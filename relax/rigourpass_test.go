package relax

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/prog"
)

// plainRun is Worker.Run without error terms: neither Σ|ν|·S nor the magnitudes of the input terms are summed, nothing is
// subtracted and nothing rounded down. It handles affine and Relu nodes, each Relu after an affine node, without splits. bias has the
// bias of every affine node as a matrix of one row.
func plainRun(w *Worker, f *Frame, from int, bias []*biasRow) {
	for k := from; k > 0; k-- {
		if !w.live[k] {
			continue
		}
		switch nd := &w.net.P.Nodes[k]; nd.Kind {
		case prog.Affine:
			plainAffine(w, k, nd, bias[k])
		case prog.Relu:
			w.backRelu(f, k, nd.Src) // charges only in front of nodes that are not affine
		}
	}
	R := w.R
	a := w.Coef(0)
	clear(w.tmp)
	clear(w.rad)
	w.each(0, func(lo, hi int) {
		kernel.SumRows(w.tmp, w.rad, a[lo*R:hi*R], R, f.inC[lo:hi], f.inR[lo:hi])
	})
	for r := range w.LB {
		w.LB[r] = w.D[r] + w.dn[r] + (w.tmp[r] - w.rad[r])
	}
}

// plainAffine is Worker.backAffine without Σ|ν|·S.
func plainAffine(w *Worker, k int, nd *prog.Node, b *biasRow) {
	R, nu := w.R, w.coef[k]
	if b != nil {
		w.each(k, func(lo, hi int) { b.row.MulRows(0, w.D, R, nu, 0, b.at, lo, hi-lo, R) })
	}
	for _, t := range nd.Terms {
		if m := windowed(t.Map, w.win[k]); m != nil {
			m.BackwardWindow(w.Coef(t.Src), nu, R, w.win[k])
		} else {
			t.Map.Backward(w.Coef(t.Src), nu, R)
		}
	}
}

// biasRow is a bias as a matrix of one row, so that a product sums it up; at lists its elements.
type biasRow struct {
	row *kernel.Packed[float64]
	at  *kernel.Rows
}

func biasRows(p *prog.Program) []*biasRow {
	rows := make([]*biasRow, len(p.Nodes))
	for k := range p.Nodes {
		if b := p.Nodes[k].Bias; b != nil {
			at := make([]int32, len(b))
			for i := range at {
				at[i] = int32(i)
			}
			rows[k] = &biasRow{kernel.Pack(1, len(b), b, len(b), 1), kernel.NewRows(at, len(b))}
		}
	}
	return rows
}

// seedPlain is seedRows without its charge.
func seedPlain(w *Worker, k int, rows []int32) {
	nd := &w.net.P.Nodes[k]
	for i, j := range rows {
		for side, s := range []float64{1, -1} {
			if nd.Bias != nil {
				w.D[2*i+side] += s * nd.Bias[j]
			}
			for _, t := range nd.Terms {
				t.Map.Row(w.Coef(t.Src), w.R, 2*i+side, int(j), s)
			}
		}
	}
}

// plainPass is Cell.pass without error terms.
func plainPass(w *Cell, from, R int) {
	r := w.r
	for k := from - 1; k >= 0; k-- {
		l := &r.levels[k]
		w.nu = grow(w.nu, l.n*R)
		clear(w.nu)
		base := l.first - 1 - r.p
		for j := range l.n {
			q := base + j
			if r.dead(q, w.U) {
				continue
			}
			a := w.a[(l.first+j)*R : (l.first+j)*R+R]
			kernel.SignAxpy(w.nu[j*R:j*R+R], a, w.al[q], w.s[q])
			if w.t[q] != 0 {
				kernel.SignAxpy(w.dn[:R], a, 0, w.t[q])
			}
		}
		l.dense.Mul(w.a[:l.cols*R], R, w.nu, R)
	}
	tmp := w.LB[:R]
	copy(tmp, w.a[:R])
	for d := range r.p {
		x := w.a[(1+d)*R : (2+d)*R]
		kernel.Axpy(tmp, x, w.c[d])
		kernel.AbsAxpy(tmp, x, -w.rad[d])
	}
	for i := range R {
		w.v[i] = w.a[i] + w.dn[i]
		w.LB[i] = tmp[i] + w.dn[i]
	}
}

// rigourCase is a set of backward passes that can be run both ways, in steps that are timed one by one: shorter than the turns that a
// busy machine gives.
type rigourCase struct {
	steps           int
	rigorous, plain func(step int)
	// bounds returns the bounds of both, and the error terms of the former, over all passes.
	bounds func() (rigorous, plain, err []float64)
}

// once makes a step of all.
func once(all func()) func(int) { return func(int) { all() } }

// framePasses are the passes that bounding f's network begins with: of each inner node with open rows, and of the output, up to 64
// lanes, spread over the node.
func framePasses(n *Net, f *Frame) *rigourCase {
	w, bias := NewWorker(n), biasRows(n.P)
	type batch struct {
		k    int
		rows []int32
	}
	var batches []batch
	for k := range n.P.Nodes {
		nd := &n.P.Nodes[k]
		if nd.Kind != prog.Affine || n.inputOnly(k) {
			continue
		}
		rows := firstRows(nd.N)
		if k != n.P.Output {
			rows = f.OpenRows(k, nil)
		}
		if len(rows) == 0 {
			continue
		}
		n.ByPixel(k, rows)
		at := max(len(rows)-32, 0) / 2
		batches = append(batches, batch{k, rows[at:min(len(rows), at+32)]})
	}
	pass := func(b *batch, seed func(), run func()) {
		w.Begin((2*len(b.rows) + 7) &^ 7)
		w.PlanWindows(b.k, b.rows)
		seed()
		run()
	}
	rigorous := func(b *batch) {
		pass(b, func() { w.seedRows(f, b.k, b.rows) }, func() { w.Run(f, b.k) })
	}
	plain := func(b *batch) {
		pass(b, func() { seedPlain(w, b.k, b.rows) }, func() { plainRun(w, f, b.k, bias) })
	}
	step := func(run func(b *batch)) func(int) {
		return func(i int) { run(&batches[i]) }
	}
	return &rigourCase{len(batches), step(rigorous), step(plain), func() (x, y, e []float64) {
		for i := range batches {
			b := &batches[i]
			rigorous(b)
			x, e = append(x, w.LB[:2*len(b.rows)]...), append(e, w.Err[:2*len(b.rows)]...)
			if plain(b); slices.ContainsFunc(w.e, func(e float64) bool { return e != 0 }) {
				panic("a pass without error terms has some")
			}
			y = append(y, w.LB[:2*len(b.rows)]...)
		}
		return x, y, e
	}}
}

// cellPasses are the passes of a reduced network's neurons, level by level, and of its objectives.
func cellPasses(w *Cell) *rigourCase {
	lane := func(k int) (l *level, R, n int) {
		l = &w.r.levels[k]
		n = min(l.n, maxLanes/2)
		return l, (2*n + 7) &^ 7, n
	}
	seed := func(l *level, n, R int) {
		for i := range n {
			w.seed(l, i, 2*i, R, 1)
			w.seed(l, i, 2*i+1, R, -1)
		}
	}
	each := func(pass func(k, R int), after func(n int)) func() {
		return func() {
			for k := 1; k < len(w.r.levels); k++ {
				l, R, n := lane(k)
				w.begin(l, R)
				seed(l, n, R)
				pass(k, R)
				after(n)
			}
		}
	}
	plain := func(k, R int) { plainPass(w, k, R) }
	none := func(int) {}
	return &rigourCase{1, once(each(w.pass, none)), once(each(plain, none)), func() (x, y, e []float64) {
		each(w.pass, func(n int) {
			x = append(x, w.LB[:2*n]...)
			for r := range 2 * n { // as concretize has it
				E := w.e[r] + w.r.gS*(w.da[r]+math.Abs(w.dn[r])+math.Abs(w.a[r])) + tinyError
				e = append(e, E+E*1e-6)
			}
		})()
		each(plain, func(n int) { y = append(y, w.LB[:2*n]...) })()
		return x, y, e
	}}
}

// boxBounds bounds all of the cell's box: its neurons as Cell.Neurons does, and its objectives.
func boxBounds(w *Cell, lo, hi, L, U []float64) *rigourCase {
	last := len(w.r.levels) - 1
	objectives := w.r.levels[last].n
	bound := func(pass func(w *Cell, from, R int)) func() {
		return func() {
			w.Enter(w.r, lo, hi, L, U)
			for k := range last {
				w.intervals(&w.r.levels[k])
				if k > 0 {
					tightenBy(w, k, pass)
				}
				w.relax(&w.r.levels[k])
			}
			l, R := &w.r.levels[last], (objectives+7)&^7
			w.begin(l, R)
			for i := range objectives {
				w.seed(l, i, i, R, 1)
			}
			pass(w, last, R)
		}
	}
	rigorous, plain := bound((*Cell).pass), bound(plainPass)
	return &rigourCase{1, once(rigorous), once(plain), func() (x, y, e []float64) {
		rigorous()
		x = append(slices.Clone(w.L), w.LB[:objectives]...)
		plain()
		y = append(slices.Clone(w.L), w.LB[:objectives]...)
		for range x {
			e = append(e, 1e-9) // errors of bounds that others lead to are not at hand
		}
		return x, y, e
	}}
}

// tightenBy is Cell.tighten by the given passes.
func tightenBy(w *Cell, k int, pass func(w *Cell, from, R int)) {
	l := &w.r.levels[k]
	base := l.first - 1 - w.r.p
	w.open = w.open[:0]
	for i := range l.n {
		if w.undecided(base + i) {
			w.open = append(w.open, int32(i))
		}
	}
	for at := 0; at < len(w.open); at += maxLanes / 2 {
		part := w.open[at:min(len(w.open), at+maxLanes/2)]
		R := (2*len(part) + 7) &^ 7
		w.begin(l, R)
		for n, i := range part {
			w.seed(l, int(i), 2*n, R, 1)
			w.seed(l, int(i), 2*n+1, R, -1)
		}
		pass(w, k, R)
		for n, i := range part {
			q := base + int(i)
			w.L[q], w.U[q] = max(w.L[q], w.LB[2*n]), min(w.U[q], -w.LB[2*n+1])
		}
	}
}

// reducedCell reduces a network of the size of ACAS Xu's on a small box, whose half w is entered with.
func reducedCell() (w *Cell, lo, hi, L, U []float64) {
	r := rand.New(rand.NewPCG(3, 50))
	p := heNet(r, 5, 50, 50, 50, 50, 50, 50, 5)
	n := NewNet(p)
	box := around(r, 5, 0.05)
	f := ibpFrame(n, box)
	n.Crown(context.Background(), NewPool(n, 1), f, Tightening{})
	f.SetScale(n.NewScale(f.B))
	var objs []Objective
	for j := range 4 {
		objs = append(objs, Objective{Terms: []ObjectiveTerm{{p.Output, j, 1}, {p.Output, 4, -1}}})
	}
	red, L, U := f.Reduce([]int{0, 1, 2, 3, 4}, objs)
	w = new(Cell)
	box.Hi[0] = box.Lo[0] + (box.Hi[0]-box.Lo[0])/2
	w.Enter(red, box.Lo, box.Hi, L, U)
	w.Neurons()
	return w, box.Lo, box.Hi, L, U
}
