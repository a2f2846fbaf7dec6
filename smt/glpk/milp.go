//go:build glpk

package glpk

import (
	"fmt"
	"math"
	"runtime"

	"github.com/lukpank/go-glpk/glpk"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/smt/simplex"
)

// Mixed-integer encoding of a network (Lomuscio and Maganti 2017; Tjeng, Xiao and Tedrake 2019). Every element of every node is
// a column. A ReLU f = max(0, z) whose z is known to lie in [l, u], l < 0 < u, has one binary column d, 1 where it is active:
//
//	f ≥ 0,  f ≥ z,  f ≤ u·d,  f ≤ z − l·(1 − d).
//
// The bounds, here those of interval arithmetic, are the "big M".

// Margin maximises over the box lo ≤ x ≤ hi the least slack RHSUpper − (left-hand side) of the rows, coefficients taken at
// Value: the rows can be met where it is at least 0. It is +Inf without rows. It is a number of GLPK's, whose bounds hold up to
// 1e-7 and whose integers hold up to 1e-5, which the bounds of a ReLU multiply: a margin near 0 says nothing. Nodes must be
// inputs, affine or ReLU; anything else is an error, and so is GLPK giving up. There is no time limit: the binding has none.
func Margin(p *prog.Program, lo, hi []float64, rows []spec.Row) (float64, error) {
	if len(rows) == 0 {
		return math.Inf(1), nil
	}
	m, err := encode(p, lo, hi)
	if err != nil {
		return 0, err
	}
	t := m.column(math.Inf(-1), math.Inf(1))
	m.cost[t] = -1
	for _, r := range rows {
		row := map[int]float64{t: 1}
		for _, c := range r.X {
			row[m.at[0][c.Index]] += c.Value
		}
		for _, c := range r.Y {
			row[m.at[p.Output][c.Index]] += c.Value
		}
		m.row(row, math.Inf(-1), r.RHSUpper)
	}
	least, err := m.minimize()
	return -least, err
}

// A model is a mixed-integer program in the making: bounds by column and by row apart.
type model struct {
	at           [][]int // columns of the elements of nodes
	lo, hi, cost []float64
	binary       []int
	rows         []simplex.Row
	rowLo, rowHi []float64
}

func (m *model) column(lo, hi float64) int {
	m.lo, m.hi, m.cost = append(m.lo, lo), append(m.hi, hi), append(m.cost, 0)
	return len(m.lo) - 1
}

func (m *model) row(entries map[int]float64, lo, hi float64) {
	var r simplex.Row
	for j := range m.lo { // in order, so that equal questions give equal programs
		if v := entries[j]; v != 0 {
			r.Idx, r.Val = append(r.Idx, int32(j)), append(r.Val, v)
		}
	}
	m.rows, m.rowLo, m.rowHi = append(m.rows, r), append(m.rowLo, lo), append(m.rowHi, hi)
}

// encode returns the model of a network on a box.
func encode(p *prog.Program, lo, hi []float64) (*model, error) {
	m := &model{at: make([][]int, len(p.Nodes))}
	L, U := p.Enclose(lo, hi, prog.UnitReal)
	for k := range p.Nodes {
		n := &p.Nodes[k]
		if n.Kind != prog.Input && n.Kind != prog.Affine && n.Kind != prog.Relu {
			return nil, fmt.Errorf("glpk: node %d is neither affine nor a ReLU", k)
		}
		for i := range n.N {
			if math.IsInf(L[k][i], 0) || math.IsInf(U[k][i], 0) {
				return nil, fmt.Errorf("glpk: node %d has no finite bounds", k)
			}
			m.at[k] = append(m.at[k], m.column(L[k][i], U[k][i]))
		}
		switch n.Kind {
		case prog.Affine:
			m.affine(p, k)
		case prog.Relu:
			for i, f := range m.at[k] {
				m.relu(m.at[n.Src][i], f, L[n.Src][i], U[n.Src][i])
			}
		}
	}
	return m, nil
}

// affine adds Σ M·x − z = −bias.
func (m *model) affine(p *prog.Program, k int) {
	n := &p.Nodes[k]
	entries := make([]map[int]float64, n.N)
	for i := range entries {
		entries[i] = map[int]float64{m.at[k][i]: -1}
	}
	for _, t := range n.Terms {
		t.Map.Each(func(i, j int, v float64) { entries[i][m.at[t.Src][j]] += v })
	}
	for i, e := range entries {
		bias := 0.0
		if n.Bias != nil {
			bias = n.Bias[i]
		}
		m.row(e, -bias, -bias)
	}
}

func (m *model) relu(z, f int, l, u float64) {
	switch {
	case l >= 0:
		m.row(map[int]float64{f: 1, z: -1}, 0, 0)
	case u <= 0:
		m.lo[f], m.hi[f] = 0, 0
	default:
		d := m.column(0, 1)
		m.binary = append(m.binary, d)
		m.row(map[int]float64{f: 1, z: -1}, 0, math.Inf(1))
		m.row(map[int]float64{f: 1, d: -u}, math.Inf(-1), 0)
		m.row(map[int]float64{f: 1, z: -1, d: -l}, math.Inf(-1), -l)
	}
}

// minimize solves the model by GLPK's branch and cut.
func (m *model) minimize() (float64, error) {
	runtime.LockOSThread() // GLPK's environment belongs to a thread
	defer runtime.UnlockOSThread()
	g := load(m.rows, append(m.lo, m.rowLo...), append(m.hi, m.rowHi...), m.cost)
	defer g.Delete()
	for _, j := range m.binary {
		g.SetColKind(j+1, glpk.BV)
	}
	// Without GLPK's presolver, which wants no solved relaxation but moves margins: by up to 0.055 on the questions of the test.
	quiet := glpk.NewSmcp()
	quiet.SetMsgLev(glpk.MSG_OFF)
	if err := g.Simplex(quiet); err != nil {
		return 0, fmt.Errorf("glpk: relaxation: %w", err)
	}
	if s := g.Status(); s != glpk.OPT {
		return 0, fmt.Errorf("glpk: relaxation: status %v", s)
	}
	parm := glpk.NewIocp()
	parm.SetMsgLev(glpk.MSG_OFF)
	if err := g.Intopt(parm); err != nil {
		return 0, fmt.Errorf("glpk: %w", err)
	}
	if s := g.MipStatus(); s != glpk.OPT {
		return 0, fmt.Errorf("glpk: status %v", s)
	}
	return g.MipObjVal(), nil
}
