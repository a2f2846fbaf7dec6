package kernel

import "math"

// The forward passes through a relaxation at the point where it attains its bound, and the step that its gradient gives.
// Nothing here needs to be exact: any point may be tried and any slope is valid.

// PrimalRows evaluates the relaxation of the unstable ReLUs idx of a layer where their coefficients a put it: v = slope·z where
// a >= 0 and s·z + t elsewhere. Neuron idx[i] has its R lanes at idx[i]*R of v and z, its coefficients at i*R of a, and
// slope[i], s[i] and t[i]. It panics on anything outside the slices.
func PrimalRows[T Float](v, a, z []T, idx []int32, R int, slope, s, t []T) {
	n := len(idx)
	if n == 0 || R <= 0 {
		return
	}
	if len(a) < n*R || len(slope) < n || len(s) < n || len(t) < n {
		tooShort()
	}
	inside(idx, min(len(v), len(z)), R)
	done := primalSharedVec(v, z, a, idx, R, slope, s, t)
	if done == R {
		return
	}
	for i, j := range idx {
		for r := done; r < R; r++ {
			o := int(j)*R + r
			v[o] = line(a[i*R+r], z[o], slope[i], 0, s[i], t[i])
		}
	}
}

// PrimalLanesRows is PrimalRows with a lower slope per lane: slope[i*R+r].
func PrimalLanesRows[T Float](v, a, z, slope []T, idx []int32, R int, s, t []T) {
	n := len(idx)
	if n == 0 || R <= 0 {
		return
	}
	if len(a) < n*R || len(slope) < n*R || len(s) < n || len(t) < n {
		tooShort()
	}
	inside(idx, min(len(v), len(z)), R)
	done := primalLanesVec(v, z, a, slope, idx, R, s, t)
	if done == R {
		return
	}
	for i, j := range idx {
		for r := done; r < R; r++ {
			o := int(j)*R + r
			v[o] = line(a[i*R+r], z[o], slope[i*R+r], 0, s[i], t[i])
		}
	}
}

// line evaluates the lower line where a >= 0 and the upper line elsewhere.
func line[T Float](a, z, kl, tl, ku, tu T) T {
	if a >= 0 {
		return kl*z + tl
	}
	return ku*z + tu
}

// PrimalLinesRows evaluates the lower line of neuron i where a[i*R+r] >= 0 and its upper line elsewhere at z[i*R+r], for
// consecutive neurons with the lines l. It panics on anything outside the slices.
func PrimalLinesRows[T Float](v, a, z []T, R int, l Lines[T]) {
	n := l.rows()
	if n == 0 || R <= 0 {
		return
	}
	if len(v) < n*R || len(a) < n*R || len(z) < n*R {
		tooShort()
	}
	done := primalLinesVec(v, z, a, R, l)
	if done == R {
		return
	}
	for i := range n {
		for o := i*R + done; o < i*R+R; o++ {
			v[o] = line(a[o], z[o], l.KL[i], l.TL[i], l.KU[i], l.TU[i])
		}
	}
}

// CornerRows writes the ends of consecutive intervals that minimise a·x: x = lo where a >= 0 and hi elsewhere. Interval i is
// lo[i], hi[i] and has its R lanes at i*R of x and a. It panics on anything outside the slices.
func CornerRows[T Float](x, a []T, R int, lo, hi []T) {
	n := len(lo)
	if n == 0 || R <= 0 {
		return
	}
	if len(hi) < n || len(x) < n*R || len(a) < n*R {
		tooShort()
	}
	done := cornerRows(x, a, R, lo, hi)
	if done == R {
		return
	}
	for i := range n {
		for o := i*R + done; o < i*R+R; o++ {
			x[o] = hi[i]
			if a[o] >= 0 {
				x[o] = lo[i]
			}
		}
	}
}

// An AdamStep holds the numbers of one step of Adam (Kingma and Ba 2015): the decay rates of both moments, the rate divided
// by 1−Beta1^t, Correct2 = 1/(1−Beta2^t), and what keeps the quotient finite.
type AdamStep[T Float] struct{ Beta1, Beta2, Rate, Correct2, Epsilon T }

// AdamRows moves the lower slopes of the neurons idx of a layer upwards along the gradient g = max(a,0)·z: m and v are the
// moments, and where m is not 0 then, alpha += Rate·m/(√(v·Correct2) + Epsilon), clamped to [0,1]. Neuron idx[i] has its R lanes
// at idx[i]*R of z and at i*R of the other slices. It panics on anything outside the slices.
func AdamRows[T Float](alpha, m, v, a, z []T, idx []int32, R int, step AdamStep[T]) {
	n := len(idx)
	if n == 0 || R <= 0 {
		return
	}
	if k := n * R; len(alpha) < k || len(m) < k || len(v) < k || len(a) < k {
		tooShort()
	}
	inside(idx, len(z), R)
	par := [8]T{step.Beta1, 1 - step.Beta1, step.Beta2, 1 - step.Beta2, step.Rate, step.Correct2, step.Epsilon, 1}
	done := adamRows(alpha, m, v, a, z, idx, R, &par)
	if done == R {
		return
	}
	for i, j := range idx {
		for r := done; r < R; r++ {
			o := i*R + r
			adamOne(&alpha[o], &m[o], &v[o], max(a[o], 0)*z[int(j)*R+r], &par)
		}
	}
}

func adamOne[T Float](alpha, m, v *T, g T, par *[8]T) {
	*m = par[0]**m + par[1]*g
	*v = par[2]**v + par[3]*g*g
	if *m != 0 {
		root := T(math.Sqrt(float64(*v * par[5])))
		*alpha = min(max(*alpha+par[4]**m/(root+par[6]), 0), 1)
	}
}
