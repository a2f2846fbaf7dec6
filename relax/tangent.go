package relax

import "math"

// A sigmoid is bounded on the side where it is convex by any of its tangents there: which one is best depends on the
// objective, so a lane may choose its own and ascend it (tangent points as parameters, as in auto_LiRPA, Xu et al. 2020).
// Everything is written for lines below σ; σ(z) = 1 − σ(−z) turns a line below σ on [−u,−l] into one above it on [l,u].

// A tangentRange holds the points d ≤ 0 whose tangents stay below σ on an interval: every d in [lo,hi]. It is empty (lo = hi
// = 0) where one line, the chord, is better than every other.
type tangentRange struct {
	lo, hi float64
	tau    float64 // the default point is lo + tau·(hi−lo)
}

// at returns the point at parameter tau ∈ [0,1].
func (t *tangentRange) at(tau float64) float64 { return min(t.lo+tau*(t.hi-t.lo), t.hi) }

// leastTangent is where tangents start to be of interest: left of it they are 0 to sixteen digits. It also keeps σ and σ'
// away from underflow, so that their errors stay relative.
const leastTangent = -40

// lowerTangents returns the tangent points for lines below σ on [l,u].
//
// Soundness: a tangent at d ≤ 0 is below σ on z ≤ 0, where σ is convex. On [0,u] σ minus a line is concave, so it is enough
// that the tangent is below σ at u; its value there, σ(d) + σ'(d)(u−d), grows with d ≤ 0, so it is enough that the one at hi
// is, which belowAt proves with enclosures.
func lowerTangents(l, u float64) (t tangentRange) {
	if !(u-l > 1e-12) || l >= 0 || u < leastTangent || math.IsInf(u-l, 0) {
		return t
	}
	lo, hi := max(l, leastTangent), u
	if u > 0 {
		su := sigma(u)
		if sl := sigma(l); sl*(1-sl)*(u-l) >= su-sl {
			return t
		}
		hi = leftTangent(l, u, su)
		for step := 0x1p-46; !belowAt(hi, u); step *= 2 {
			hi -= step
			if hi <= lo {
				return t
			}
		}
	}
	if hi-lo < 1e-9 {
		return t
	}
	// the default has the least area between itself and σ: of the lines below σ it is highest over the middle of [l,u]
	d := min(max((l+u)/2, lo), hi)
	return tangentRange{lo, hi, (d - lo) / (hi - lo)}
}

// belowAt reports whether the tangent of σ at d is certainly below σ at u > d.
func belowAt(d, u float64) bool {
	_, s := sigmoidEnclosure(d)
	_, k := sigmaSlopeRange(d)
	lo, _ := sigmoidEnclosure(u)
	v := s + k*up(u-d)
	return v+v*4*unit < lo
}

// tangentLine returns the slope and intercept of a line below σ on an interval of length at most span that contains d, the
// tangent at d ∈ [leastTangent, 0] but for rounding.
//
// Soundness, with u = 2⁻⁵³: s errs by at most 9u·s, k = s(1−s) by 20u·k because s ≤ ½, so the stored slope costs 20u·k·span
// away from d; the intercept's own rounding is below 10u·(s + k|d|). The margin is three times the sum.
func tangentLine(d, span float64) (k, t float64) {
	s := sigma(d)
	k = s * (1 - s)
	t = s - k*d
	return k, t - 64*unit*(s+k*(span-d))
}

// tangentTurn is the derivative of a tangent's slope k by its point d ≤ 0: σ'(d)·(1−2σ(d)) = k·√(1−4k).
func tangentTurn(k float64) float64 { return k * math.Sqrt(max(1-4*k, 0)) }

// backTangents is backSigmoid with the lanes' own tangents.
func (w *Worker) backTangents(sf *sigmFrame, k int, a, nu []float64) {
	R, al := w.R, w.Alpha[k]
	if w.keep {
		w.lines[k] = grow(w.lines[k], 2*len(a))
	}
	for j := range sf.kl {
		if !w.win[k].Contains(j) {
			continue
		}
		o := j * R
		x, y := a[o:o+R], nu[o:o+R]
		for r, v := range x {
			if v == 0 && !w.keep {
				continue
			}
			c, t := sf.line(j, v < 0, al[2*o+r], al[2*o+R+r])
			y[r] += v * c
			t, v = v*t, t
			w.tmp[r] += t
			w.da[r] += math.Abs(t)
			if w.keep {
				w.lines[k][2*(o+r)], w.lines[k][2*(o+r)+1] = c, v
			}
		}
		if w.keep {
			copy(w.save[k][o:o+R], x)
		}
	}
	for r := range w.D {
		w.D[r] += w.tmp[r]
	}
}

// line returns element j's line below σ (above it: with above set) for the tangent parameters of the two sides.
func (sf *sigmFrame) line(j int, above bool, below, over float64) (k, t float64) {
	if !above {
		g := &sf.tan[2*j]
		if g.lo == g.hi {
			return sf.kl[j], sf.tl[j]
		}
		return tangentLine(g.at(below), sf.span[j])
	}
	g := &sf.tan[2*j+1]
	if g.lo == g.hi {
		return sf.ku[j], sf.tu[j]
	}
	k, t = tangentLine(g.at(over), sf.span[j])
	return k, up(1 - t) // σ(z) = 1 − σ(−z) ≤ 1 − (−k·z + t)
}

// gradient returns the derivative by tau of the tangent's value k(d)·z + t(d) at z, where slope is |k| at d = t.at(tau): because
// t' = −k'·d it is k'·(z − d)·(hi − lo).
func (t *tangentRange) gradient(tau, slope, z float64) float64 {
	return tangentTurn(slope) * (z - t.at(tau)) * (t.hi - t.lo)
}

// moveTangents makes one Adam step on the tangent parameters of a sigmoid layer: with x* and the signs of a fixed, the bound
// depends on a neuron's tangent through |a| times its value at ẑ (at −ẑ on the mirrored side).
func (a *Ascent) moveTangents(sf *sigmFrame, k int, rate, ic2 float64) {
	w := a.W
	R := w.R
	z, co := w.val[w.net.P.Nodes[k].Src], w.save[k]
	al, m, v := a.Alpha[k], a.mA[k], a.vA[k]
	for j := range sf.kl {
		if !w.win[k].Contains(j) {
			continue
		}
		o := j * R
		for r, c := range co[o : o+R] {
			zz, side := z[o+r], 0
			if c < 0 {
				zz, side, c = -zz, 1, -c
			}
			g := &sf.tan[2*j+side]
			if g.lo == g.hi || c == 0 {
				continue
			}
			i := (2*j+side)*R + r
			grad := c * g.gradient(al[i], w.lines[k][2*(o+r)], zz)
			al[i] = min(max(al[i]+adam(&m[i], &v[i], grad, rate, ic2), 0), 1)
		}
	}
}
