package relax

// EachMultiplier calls visit for the ReLUs that bear on the bound of lane r after Run: a is the coefficient on the output, nu
// the multiplier on the input, of the term a·x − ν·z of the package comment. What is not visited has a = ν = 0. With D, Err and
// the coefficients of the input they make up the bound, and, since any ν is valid, a bound on every other set too on which the
// frame's scale holds: take the least value of each term there.
//
// Where something else reads z as well, ν·z is one of several parts of a sum whose rounding Err covers, up to one unit of |ν·z|.
func (w *Worker) EachMultiplier(f *Frame, r int, visit func(act, elem int32, a, nu float64)) {
	R := w.R
	for k, rf := range f.relu {
		if rf == nil || !w.live[k] {
			continue
		}
		L := f.B.L[w.net.P.Nodes[k].Src]
		for j, i := range rf.pos {
			a := w.coef[k][j*R+r]
			slope := 0.0
			switch {
			case a == 0:
				continue
			case i < 0 && L[j] >= 0:
				slope = 1
			case i < 0: // inactive: the coefficient is without effect here, but not on a larger set
			case a < 0:
				slope = rf.s[i]
			case w.Alpha != nil:
				slope = w.Alpha[k][int(i)*R+r]
			default:
				slope = rf.a0[i]
			}
			visit(int32(k), int32(j), a, a*slope)
		}
	}
	if w.Splits == nil {
		return
	}
	for i, s := range w.Splits[r] {
		if !w.live[s.Act] {
			continue
		}
		a, nu := w.saveSp[r][i], w.Beta[r][i]
		if s.Sign > 0 {
			nu = a - nu
		}
		visit(s.Act, s.Elem, a, nu)
	}
}

// Multipliers returns the multipliers of EachMultiplier per Relu node of the network, in order; an entry is nil where all are 0.
func (w *Worker) Multipliers(f *Frame, r int) [][]float64 {
	at, nu := make([]int, len(f.relu)), [][]float64{}
	for k, rf := range f.relu {
		if rf != nil {
			at[k] = len(nu)
			nu = append(nu, nil)
		}
	}
	w.EachMultiplier(f, r, func(act, elem int32, _, v float64) {
		if nu[at[act]] == nil {
			nu[at[act]] = make([]float64, w.net.P.Nodes[act].N)
		}
		nu[at[act]][elem] = v
	})
	return nu
}
