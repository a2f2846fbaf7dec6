package access

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/prog"
)

// Program is white-box access to a lowered network, evaluated in float64.
func Program(p *prog.Program) Gradients {
	m := &program{p: p}
	elements := 0
	for k := range p.Nodes {
		elements += p.Nodes[k].N
	}
	m.lanes = 64
	for m.lanes > 8 && m.lanes*elements > 1<<21 {
		m.lanes /= 2
	}
	return m
}

// program evaluates lanes in chunks whose number is a multiple of 8, so that a point's numbers do not depend on its neighbours.
type program struct {
	p     *prog.Program
	lanes int
	pool  sync.Pool
}

type workspace struct {
	x, c []float64
	v, g [][]float64
}

func (m *program) Dims() (inputs, outputs int) {
	return m.p.Nodes[0].N, m.p.Nodes[m.p.Output].N
}

func (m *program) Scores(ctx context.Context, b Batch, y []float64) error {
	return m.run(ctx, b, y, nil, nil)
}

func (m *program) Gradients(ctx context.Context, b Batch, y []float64, pull func(i int, y, dy []float64), dx []float64) error {
	return m.run(ctx, b, y, pull, dx)
}

func (m *program) run(ctx context.Context, b Batch, y []float64, pull func(i int, y, dy []float64), dx []float64) error {
	w, _ := m.pool.Get().(*workspace)
	if w == nil {
		in, out := m.Dims()
		w = &workspace{x: make([]float64, in*m.lanes), c: make([]float64, out*m.lanes), v: m.p.NewValues(m.lanes), g: m.p.NewValues(m.lanes)}
	}
	defer m.pool.Put(w)
	for at := 0; at < b.N; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(m.lanes, b.N-at)
		if err := m.chunk(w, b, at, n, y, pull, dx); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// chunk runs n points from the at-th.
func (m *program) chunk(w *workspace, b Batch, at, n int, y []float64, pull func(i int, y, dy []float64), dx []float64) error {
	in, out := m.Dims()
	R := (n + 7) &^ 7
	x := w.x[:in*R]
	toLanes(x, b.X[at*in:(at+n)*in], n, R)
	v, g := w.cut(m.p, R)
	m.p.Eval(x, R, v)
	y = y[at*out : (at+n)*out]
	fromLanes(y, v[m.p.Output], n, R)
	for k, s := range y {
		if math.IsNaN(s) || math.IsInf(s, 0) {
			return fmt.Errorf("access: output %d of the network is %v", k%out, s)
		}
	}
	if pull == nil {
		return nil
	}
	c := w.c[:out*R]
	clear(c)
	dy := make([]float64, out)
	for i := range n {
		clear(dy)
		pull(at+i, y[i*out:(i+1)*out], dy)
		for j, d := range dy {
			c[j*R+i] = d
		}
	}
	fromLanes(dx[at*in:(at+n)*in], m.p.Gradient(c, R, v, g), n, R)
	return nil
}

// cut returns values for R lanes in the memory of the widest.
func (w *workspace) cut(p *prog.Program, R int) (v, g [][]float64) {
	v, g = make([][]float64, len(w.v)), make([][]float64, len(w.g))
	for k := range v {
		v[k], g[k] = w.v[k][:p.Nodes[k].N*R], w.g[k][:p.Nodes[k].N*R]
	}
	return v, g
}

// toLanes transposes n rows into lanes; lanes without a row repeat the first.
func toLanes(dst, rows []float64, n, R int) {
	d := len(dst) / R
	for r := range R {
		row := rows[:d]
		if r < n {
			row = rows[r*d : (r+1)*d]
		}
		for i, v := range row {
			dst[i*R+r] = v
		}
	}
}

func fromLanes(rows, lanes []float64, n, R int) {
	d := len(rows) / n
	for r := range n {
		row := rows[r*d : (r+1)*d]
		for i := range row {
			row[i] = lanes[i*R+r]
		}
	}
}

// Graph is score access to a network whose operators need not have rigorous bounds or gradients: it is run operator by operator.
func Graph(g *nn.Graph) Scores { return &graph{g} }

type graph struct{ g *nn.Graph }

func (m *graph) Dims() (inputs, outputs int) { return m.g.NumInputs(), m.g.NumOutputs() }

func (m *graph) Scores(ctx context.Context, b Batch, y []float64) error {
	in, out := m.Dims()
	for i := range b.N {
		if err := ctx.Err(); err != nil {
			return err
		}
		v, err := m.g.EvalFlat(b.X[i*in : (i+1)*in])
		if err != nil {
			return err
		}
		copy(y[i*out:(i+1)*out], v)
	}
	return nil
}
