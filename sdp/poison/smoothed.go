package poison

import (
	"math"
	"sort"
)

// A Smoothed is what is known of the smoothed version of sign(Σ α_i·y_i), which answers what the classifier answers most often
// when every training label is flipped with probability q, independently (Rosenfeld et al. 2020). No label is drawn: the
// probability is bounded by Chernoff's inequality.
type Smoothed struct {
	Positive bool    // the answer
	LogError float64 // the logarithm of an upper bound of the probability of the other answer
	// Flips is how many labels may be flipped without changing the answer, by the lemma of Neyman and Pearson; −1 when even the
	// answer is not certain. Divergence is the smaller number of the paper's closed form, likewise.
	Flips, Divergence int
}

// smooth bounds what the contributions α_i·y_i decide under flips with probability q in (0, 1/2).
//
// For every t ≥ 0, P(Σ ξ_i·g_i ≤ 0) ≤ exp(Σ_i log((1−q)·e^{−t·g_i} + q·e^{t·g_i})), with g_i the contributions to the answer and
// ξ_i = −1 with probability q, so it does not matter how good the t is that Newton's method finds.
func smooth(contributions []float64, q float64) Smoothed {
	sum := 0.0
	for _, g := range contributions {
		sum += g
	}
	s := Smoothed{Positive: sum > 0, LogError: 0, Flips: -1, Divergence: -1}
	side := -1.0
	if s.Positive {
		side = 1
	}
	t := 0.0
	for range 30 {
		value, slope, curve := logMGF(contributions, side, q, t)
		s.LogError = min(s.LogError, value)
		if !(curve > 0) || math.Abs(slope) <= 1e-6*curve*(t+1e-300) {
			break
		}
		step := -slope / curve
		if t > 0 {
			step = min(max(step, -t/2), t)
		}
		if t += step; !(t > 0) || math.IsInf(t, 1) {
			break
		}
	}
	if s.LogError < -math.Ln2 {
		n := len(contributions)
		s.Flips = sort.Search(n, func(r int) bool { return !withstands(r+1, s.LogError, q) })
		s.Divergence = min(n, divergence(s.LogError, q))
	}
	return s
}

// logMGF returns the exponent of Chernoff's bound, rounded upward, with its two derivatives. Each term is log(1−q) − tg +
// log1p(ρ·e^{2tg}), ρ = q/(1−q), and is computed to within 32 roundings of the sum of their magnitudes, given functions
// of package math that err by at most 8 units in the last place; the sum of n adds n roundings of all.
func logMGF(contributions []float64, side, q, t float64) (value, slope, curve float64) {
	stay, rho, mag := math.Log1p(-q), q/(1-q), 0.0
	for _, g := range contributions {
		g *= side
		e := rho * math.Exp(2*t*g)
		l := 0.0
		if math.IsInf(e, 1) {
			l, e = math.Log(rho)+2*t*g, math.MaxFloat64
			mag += math.Abs(math.Log(rho)) + 4*math.Abs(t*g)
		} else {
			l = math.Log1p(e)
		}
		value += stay - t*g + l
		mag += math.Abs(stay) + math.Abs(t*g)*(1+4*min(e, 1)) + l
		flipped := e / (1 + e) // the tilted probability of a flip
		slope += g * (2*flipped - 1)
		curve += 4 * g * g * flipped * (1 - flipped)
	}
	const u = 1.0 / (1 << 53)
	return value + 2*(float64(len(contributions))+32)*u*mag, slope, curve
}

// withstands reports whether a probability of error below exp(logErr) stays below 1/2 when the attacker has flipped r labels.
// Of those r, let k be flipped by the smoothing: k is Binomial(r, q) before and Binomial(r, 1−q) after the attack. By Neyman
// and Pearson the worst event of a given probability before takes the largest k first. guard exceeds the rounding errors by
// far: logarithms of binomials with r ≤ 10^7, sums of three numbers below 2^28, are right to 10^−7.
func withstands(r int, logErr, q float64) bool {
	const guard = 1e-7
	if r > 1e7 {
		return false
	}
	logErr += guard
	left, after := 1.0, 0.0 // of the event before, in units of exp(logErr)
	lq, lp := math.Log(q), math.Log1p(-q)
	top, _ := math.Lgamma(float64(r + 1))
	for k := r; k >= 0; k-- {
		a, _ := math.Lgamma(float64(k + 1))
		b, _ := math.Lgamma(float64(r - k + 1))
		choose := top - a - b
		before := math.Exp(choose + float64(k)*lq + float64(r-k)*lp - logErr - guard)
		p := math.Exp(choose + float64(k)*lp + float64(r-k)*lq)
		if before >= left {
			after += p * left / before
			break
		}
		left -= before
		if after += p; after > 0.5 {
			return false
		}
	}
	return after < 0.5-10*guard
}

// divergence is the radius of Rosenfeld et al.: the largest r < log(4p(1−p))/(2(1−2q)·log(q/(1−q))) with p = 1 − exp(logErr),
// where r times the Kullback-Leibler divergence of a flipped from an unflipped label stays below that of p from 1/2.
func divergence(logErr, q float64) int {
	bound := -(2*math.Ln2 + logErr + math.Log1p(-math.Exp(logErr))) / (2 * (1 - 2*q) * (math.Log1p(-q) - math.Log(q)))
	bound *= 1 - 1e-9
	return max(0, int(math.Ceil(bound))-1)
}
