package relax

import (
	"math"

	"github.com/spai-project/certify/nn/spec"
)

// SeedObjective adds scale ≥ 0 times row's objective Σ X·x + Σ Y·y − RHS to lane r. What the rounding of the row's decimal
// coefficients can change over f's box is subtracted, so that a bound on the stored objective is one on the decimal row;
// coefficients are charged, because they are added to others.
//
// Soundness: each product with scale is rounded once more, by less than one unit of a charged magnitude.
func (w *Worker) SeedObjective(f *Frame, row *spec.Row, r int, scale float64) {
	out := f.Net.P.Output
	for _, c := range row.X {
		w.seedCharged(0, f.B.L[0][c.Index], f.B.U[0][c.Index], c.Index, r, scale*c.Value)
	}
	for _, c := range row.Y {
		w.seedCharged(out, f.B.L[out][c.Index], f.B.U[out][c.Index], c.Index, r, scale*c.Value)
	}
	w.AddConst(r, -scale*row.RHSUpper)
	if slack := SlackOf(row, f.B, out); slack != 0 { // NaN included: then there is no bound
		w.AddConst(r, -scale*slack)
	}
}

func (w *Worker) seedCharged(k int, l, u float64, j, r int, c float64) {
	w.Seed(k, j, r, c)
	w.Charge(r, math.Abs(c)*max(math.Abs(l), math.Abs(u)))
}

// SlackOf bounds Σ Err·|v| over the box: what the rounding of a row's decimal coefficients can change.
func SlackOf(row *spec.Row, b *Bounds, out int) float64 {
	s := 0.0
	for _, c := range row.X {
		s += c.Err * max(math.Abs(b.L[0][c.Index]), math.Abs(b.U[0][c.Index]))
	}
	for _, c := range row.Y {
		s += c.Err * max(math.Abs(b.L[out][c.Index]), math.Abs(b.U[out][c.Index]))
	}
	return s * (1 + 1e-9)
}

// unsafeDual is the multiplier γ ≥ 0, per lane, of the constraint that a row's objective is ≤ 0: every lane then bounds its own
// objective plus γ times the row's, which is no more than its own on the unsafe set (INVPROP, Kotha et al. 2023).
type unsafeDual struct {
	row        *spec.Row
	gamma      []float64
	rate, m, v []float64
}

// seed adds γ·row to the first lanes of the batch.
func (u *unsafeDual) seed(w *Worker, f *Frame) {
	for r, g := range u.gamma {
		if g > 0 {
			w.SeedObjective(f, u.row, r, g)
		}
	}
}

// update ascends γ: the derivative is the row's objective at the pseudo-primal point.
func (u *unsafeDual) update(w *Worker, rate, c1, ic2 float64) {
	out := w.net.P.Output
	for r := range u.gamma {
		g := -u.row.RHSUpper
		for _, c := range u.row.X {
			g += c.Value * w.val[0][c.Index*w.R+r]
		}
		for _, c := range u.row.Y {
			g += c.Value * w.val[out][c.Index*w.R+r]
		}
		u.gamma[r] = max(u.gamma[r]+adam(&u.m[r], &u.v[r], g, u.rate[r]*rate/c1, ic2), 0)
	}
}
