package poison

import "math"

// value returns the loss of logits z for label y, and writes its gradient times w to dz and, for Logistic, the probabilities to
// p.
func (l Loss) value(z []float64, y int, w float64, dz, p []float64) float64 {
	if l == Hinge {
		return hinge(z, y, w, dz)
	}
	top := z[argmax(z)]
	sum := 0.0
	for j, v := range z {
		p[j] = math.Exp(v - top)
		sum += p[j]
	}
	others := 0.0
	for j := range p {
		p[j] /= sum
		dz[j] = w * p[j]
		if j != y {
			others += p[j]
		}
	}
	dz[y] = -w * others // p−1 would lose all digits when p is near 1
	return math.Log(sum) + top - z[y]
}

func hinge(z []float64, y int, w float64, dz []float64) float64 {
	clear(dz)
	rival := -1
	for j, v := range z {
		if j != y && (rival < 0 || v > z[rival]) {
			rival = j
		}
	}
	loss := 1 + z[rival] - z[y]
	if loss <= 0 {
		return 0
	}
	dz[rival], dz[y] = w, -w
	return loss
}

// curve writes w·(Hessian of the loss in the logits)·rz to rdz. The hinge loss is piecewise linear: its Hessian is 0 where there
// is one.
func (l Loss) curve(p, rz []float64, w float64, rdz []float64) {
	if l == Hinge {
		clear(rdz)
		return
	}
	mean := 0.0
	for j, v := range rz {
		mean += p[j] * v
	}
	for j, v := range rz {
		rdz[j] = w * p[j] * (v - mean)
	}
}
