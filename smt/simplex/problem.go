package simplex

import (
	"errors"
	"fmt"
	"math"
)

// A Problem is: minimise C·x subject to G·x ≤ H, Lo ≤ x ≤ Hi. Every number is finite; rows of G have len(C) entries.
type Problem struct {
	C      []float64
	G      [][]float64
	H      []float64
	Lo, Hi []float64
}

// ErrBadProblem is wrapped by the errors about problems with mismatched lengths, an empty box, NaN or infinities.
var ErrBadProblem = errors.New("simplex: malformed problem")

// Check returns an error wrapping ErrBadProblem unless p is well formed.
func (p *Problem) Check() error {
	n := len(p.C)
	if len(p.Lo) != n || len(p.Hi) != n || len(p.G) != len(p.H) {
		return fmt.Errorf("%w: %d costs, %d and %d bounds, %d rows, %d right-hand sides", ErrBadProblem, n, len(p.Lo), len(p.Hi), len(p.G), len(p.H))
	}
	for j := range p.C {
		if !finite(p.C[j]) || !finite(p.Lo[j]) || !finite(p.Hi[j]) || !(p.Lo[j] <= p.Hi[j]) {
			return fmt.Errorf("%w: variable %d: cost %v in [%v,%v]", ErrBadProblem, j, p.C[j], p.Lo[j], p.Hi[j])
		}
	}
	for i, g := range p.G {
		if len(g) != n || !finite(p.H[i]) {
			return fmt.Errorf("%w: row %d: %d entries, right-hand side %v", ErrBadProblem, i, len(g), p.H[i])
		}
		for j, v := range g {
			if !finite(v) {
				return fmt.Errorf("%w: row %d: entry %d is %v", ErrBadProblem, i, j, v)
			}
		}
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Status is the outcome of a solve, as the floating-point method sees it.
type Status uint8

const (
	// Optimal: X is a minimiser and Mu an optimal dual, both within tolerances.
	Optimal Status = iota
	// Infeasible: Mu is a Farkas ray; DualBound with zero costs was evaluated and is positive, so this status is proved.
	Infeasible
	// Cutoff: Mu gives a dual bound of at least Options.Cutoff, as DualBound evaluated.
	Cutoff
	// Limit: stopped by the pivot or tick budget or by rounding; Mu ≥ 0 is the best dual so far and still gives a valid bound.
	Limit
	// Unbounded: the objective of a System decreases without end, as the float method sees it.
	Unbounded
)

func (s Status) String() string {
	return [...]string{"optimal", "infeasible", "cutoff", "limit", "unbounded"}[s]
}

// Options bound a solve. The zero value works.
type Options struct {
	MaxPivots int    // 0: 100 + 20·(rows + variables)
	MaxTicks  int64  // multiply-adds in inner loops, 0: no limit; deterministic
	Warm      *Basis // start, nil: the corner of the box that minimises C; need not fit (rows may have been added)
	// UseCutoff stops as soon as the rigorous dual bound reaches Cutoff.
	UseCutoff bool
	Cutoff    float64
}

// A Basis is where a solve ended: the active rows, the variables between their bounds, and the bounds the others sit at.
// It is immutable and may be used with another problem of the same number of variables.
type Basis struct {
	Rows  []int32 // active rows
	Cols  []int32 // basic variables, as many
	Upper []bool  // per variable: at its upper bound, unless basic
}

// A Solution is the outcome of a solve; its slices are fresh.
type Solution struct {
	Status    Status
	X         []float64 // in the box; a minimiser when Optimal, otherwise only the last point visited
	Mu        []float64 // ≥ 0, one per row
	Objective float64   // C·X rounded
	Bound     float64   // DualBound(C, …, Mu), or of zero costs when Infeasible: rigorous
	Basis     *Basis
	Pivots    int
	Ticks     int64
}
