//go:build glpk

package glpk

import (
	"fmt"
	"math"
	"runtime"

	"github.com/lukpank/go-glpk/glpk"

	"github.com/spai-project/certify/smt/simplex"
)

// Minimize finds the least c·x for s = A·x, lo ≤ (x,s) ≤ hi: rows are those of simplex.NewSystem, lo and hi have one number per column
// and then one per row, infinities included. value is meaningful when the status is Optimal. Limit: GLPK gave up, or could not tell.
// It panics on lengths that do not fit.
func Minimize(rows []simplex.Row, lo, hi, c []float64) (status simplex.Status, value float64, err error) {
	n := len(c)
	if len(lo) != n+len(rows) || len(hi) != len(lo) {
		panic("glpk: length mismatch")
	}
	runtime.LockOSThread() // GLPK's environment belongs to a thread
	defer runtime.UnlockOSThread()
	p := load(rows, lo, hi, c)
	defer p.Delete()
	parm := glpk.NewSmcp()
	parm.SetMsgLev(glpk.MSG_OFF)
	if err := p.Simplex(parm); err != nil {
		return simplex.Limit, 0, fmt.Errorf("glpk: %w", err)
	}
	switch p.Status() {
	case glpk.OPT:
		return simplex.Optimal, p.ObjVal(), nil
	case glpk.NOFEAS:
		return simplex.Infeasible, 0, nil
	case glpk.UNBND:
		return simplex.Unbounded, 0, nil
	}
	return simplex.Limit, 0, nil
}

// load returns GLPK's copy of a program that minimises c·x; the caller deletes it.
func load(rows []simplex.Row, lo, hi, c []float64) *glpk.Prob {
	n := len(c)
	p := glpk.New()
	p.SetObjDir(glpk.MIN)
	p.AddCols(n)
	for j := range n {
		p.SetObjCoef(j+1, c[j])
		p.SetColBnds(j+1, kind(lo[j], hi[j]), lo[j], hi[j])
	}
	if len(rows) > 0 {
		p.AddRows(len(rows))
	}
	for r, row := range rows {
		idx, val := []int32{0}, []float64{0} // GLPK counts from 1 and ignores the first
		for k, j := range row.Idx {
			idx, val = append(idx, j+1), append(val, row.Val[k])
		}
		p.SetMatRow(r+1, idx, val)
		p.SetRowBnds(r+1, kind(lo[n+r], hi[n+r]), lo[n+r], hi[n+r])
	}
	return p
}

// kind is GLPK's name for a pair of bounds.
func kind(lo, hi float64) glpk.BndsType {
	switch below, above := math.IsInf(lo, -1), math.IsInf(hi, 1); {
	case below && above:
		return glpk.FR
	case below:
		return glpk.UP
	case above:
		return glpk.LO
	case lo == hi:
		return glpk.FX
	}
	return glpk.DB
}
