package train

import "math"

// A Schedule returns the factor by which the learning rate of a Recipe is multiplied when the part t of the steps, 0 ≤ t < 1,
// is done. nil is constant.
type Schedule func(t float64) float64

// StepDecay multiplies the rate by factor at each of the given parts of the training.
func StepDecay(factor float64, at ...float64) Schedule {
	return func(t float64) float64 {
		f := 1.0
		for _, a := range at {
			if t >= a {
				f *= factor
			}
		}
		return f
	}
}

// Cosine lets the rate fall to 0 along half a cosine (Loshchilov and Hutter 2017, without restarts).
func Cosine() Schedule {
	return func(t float64) float64 { return cosine(1, 0, t) }
}

// OneCycle raises the rate from 1/25 to 1 in the first 30 % of the training and lets it fall to 1/250,000 in the rest, both
// along half a cosine (Smith and Topin 2018).
func OneCycle() Schedule {
	const up, first, last = 0.3, 1.0 / 25, 1.0 / 250_000
	return func(t float64) float64 {
		if t < up {
			return cosine(first, 1, t/up)
		}
		return cosine(1, last, (t-up)/(1-up))
	}
}

// cosine goes from one value to another while t goes from 0 to 1.
func cosine(from, to, t float64) float64 {
	return to + (from-to)*(1+math.Cos(math.Pi*t))/2
}
