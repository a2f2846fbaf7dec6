package poison

import "math"

// Single operations rounded outward: the nearest float64, then the next one. Go may fuse a product and a sum only where neither
// is converted; every helper returns through a call that rounds first.

func up(x float64) float64   { return math.Nextafter(x, math.Inf(1)) }
func down(x float64) float64 { return math.Nextafter(x, math.Inf(-1)) }

func addUp(a, b float64) float64   { return up(float64(a + b)) }
func addDown(a, b float64) float64 { return down(float64(a + b)) }
func subUp(a, b float64) float64   { return up(float64(a - b)) }
func subDown(a, b float64) float64 { return down(float64(a - b)) }
func divUp(a, b float64) float64   { return up(a / b) }
func divDown(a, b float64) float64 { return down(a / b) }
func sqrtUp(a float64) float64     { return up(math.Sqrt(a)) }
func sqrtDown(a float64) float64   { return max(0, down(math.Sqrt(a))) }

// mulUp and mulDown leave zero alone: a product with an exact zero is exact, and sparse data stay sparse.
func mulUp(a, b float64) float64 {
	if a == 0 || b == 0 {
		return 0
	}
	return up(float64(a * b))
}

func mulDown(a, b float64) float64 {
	if a == 0 || b == 0 {
		return 0
	}
	return down(float64(a * b))
}

// dot returns Σ a_j·b_j as computed, and a bound of its error: γ_n·Σ|a_j·b_j| with γ_n = n·u/(1 − n·u) for n operations in any
// order (Higham 2002, section 3.1), the sum of magnitudes being short itself by at most the same factor, and the smallest
// float64 for every product that may underflow.
func dot(a, b []float64) (s, err float64) {
	mag := 0.0
	for j, v := range a {
		p := float64(v * b[j])
		s += p
		mag += math.Abs(p)
	}
	n := float64(len(a) + 2)
	const u = 1.0 / (1 << 53)
	gamma := mulUp(2*n, u) // ≥ γ_n/(1 − γ_n) for n·u ≤ 1/8
	if n*u > 1.0/8 {
		return s, math.Inf(1)
	}
	return s, addUp(mulUp(gamma, mag), mulUp(n, math.SmallestNonzeroFloat64))
}

// sumSquaresUp returns Σ v_j², rounded upward.
func sumSquaresUp(v []float64) float64 {
	s, e := dot(v, v)
	return addUp(s, e)
}
