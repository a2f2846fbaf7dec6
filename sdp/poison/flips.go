package poison

import (
	"math"
	"math/big"
	"slices"
)

// flipsToChange returns whether Σ contributions > 0, and how many contributions may change sign without changing that: those of
// flipped labels in Σ_i α_i·y_i, whose flip takes 2·α_i·y_i away. The largest go first, which is best for the attacker, so the
// number is exact. Sums are decided in float64 where an a-priori bound of the error allows, else exactly.
func flipsToChange(contributions []float64) (positive bool, radius int) {
	total := newExactSum(contributions, 1)
	positive = total.sign() > 0
	helping := make([]float64, 0, len(contributions))
	for _, g := range contributions {
		if !positive {
			g = -g
		}
		if g > 0 {
			helping = append(helping, g)
		}
	}
	slices.SortFunc(helping, func(a, b float64) int {
		switch {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	for i, g := range helping {
		if positive {
			g = -g
		}
		if total.add(2 * g); (total.sign() > 0) != positive {
			return positive, i
		}
	}
	return positive, len(contributions)
}

// An exactSum is a sum whose sign is always right.
type exactSum struct {
	s, mag float64
	terms  []float64
}

func newExactSum(v []float64, room int) *exactSum {
	e := &exactSum{terms: make([]float64, 0, len(v)+room)}
	for _, x := range v {
		e.add(x)
	}
	return e
}

func (e *exactSum) add(x float64) {
	e.s += x
	e.mag += math.Abs(x)
	e.terms = append(e.terms, x)
}

// sign returns the sign of the exact sum. The float64 sum of n terms is off by at most (n−1)·u/(1 − (n−1)·u)·Σ|terms|.
func (e *exactSum) sign() int {
	const u = 1.0 / (1 << 53)
	if math.Abs(e.s) > 2*float64(len(e.terms)+2)*u*e.mag {
		return int(math.Copysign(1, e.s))
	}
	sum, v := new(big.Float).SetPrec(2200), new(big.Float) // holds the sum of 2^50 float64 exactly
	for _, x := range e.terms {
		sum.Add(sum, v.SetFloat64(x))
	}
	return sum.Sign()
}
