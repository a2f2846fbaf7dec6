package poison

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// A Filter is a defence that removes items before training. An item (x, y) passes it if every condition that is set holds:
//
//   - sphere: ‖x − μ_y‖₂ ≤ Radius_y
//   - slab: |⟨x − μ_y, μ_− − μ_+⟩| ≤ Width_y·‖μ_− − μ_+‖₂
//   - range: Low ≤ x_j ≤ High for every j
//
// Index 0 of an array is the class −1, index 1 the class +1. The centroids μ are those of the clean data: an oracle knows them,
// and the attacker cannot move them (Steinhardt, Koh and Liang 2017). With Moving, the defender has the radii only, and takes
// the centroids of the clean data and of the poisoned items that pass, together. An item that does not pass must not move them:
// one that is far enough away would carry a centroid, and what passes, anywhere. There is no slab then, whose direction would
// move too.
type Filter struct {
	Moving        bool
	SpherePercent float64 // the percentile of the clean distances that Radius is; 0 without a sphere
	SlabPercent   float64 // likewise for Width; 0 without a slab
	Low, High     float64 // −Inf and +Inf without a range
	Centroid      [2][]float64
	Radius        [2]float64 // +Inf without a sphere
	Width         [2]float64 // +Inf without a slab
}

// radiusRoom is the room that Fit leaves above the percentile it computes, for its own rounding. Check wants the recorded
// radius at or above the percentile, so that the certificate covers it, and at most radiusSlack larger. Both are relative; see
// slack.
const (
	radiusRoom  = 1.0 / (1 << 30)
	radiusSlack = 1.0 / (1 << 20)
)

// Fit fills in the centroids, radii and widths from clean data. Percentiles are interpolated linearly between order statistics.
// An error is returned unless what is left to the attacker is bounded: a sphere, or a range with two ends, is needed.
func (f *Filter) Fit(b *Binary) error {
	if err := f.valid(); err != nil {
		return err
	}
	for k := range 2 {
		f.Centroid[k] = centroid(b, int8(2*k-1))
		f.Radius[k], f.Width[k] = math.Inf(1), math.Inf(1)
	}
	dir, norm := f.direction()
	if f.SlabPercent > 0 && norm == 0 {
		return errors.New("poison: the classes have the same centroid: a slab between them has no direction")
	}
	for k := range 2 {
		var radius, width []float64
		for i, y := range b.Y {
			if class(y) != k {
				continue
			}
			sq, dot := 0.0, 0.0
			for j, v := range b.Row(i) {
				u := v - f.Centroid[k][j]
				sq += u * u
				dot += u * dir[j]
			}
			radius = append(radius, math.Sqrt(sq))
			width = append(width, math.Abs(dot)/norm)
		}
		if f.SpherePercent > 0 {
			f.Radius[k] = percentile(radius, f.SpherePercent)
			f.Radius[k] += f.slack(f.Radius[k], radiusRoom)
		}
		if f.SlabPercent > 0 {
			f.Width[k] = percentile(width, f.SlabPercent)
			f.Width[k] += f.slack(f.Width[k], radiusRoom)
		}
	}
	return nil
}

// valid checks what the user chose.
func (f *Filter) valid() error {
	for _, p := range []float64{f.SpherePercent, f.SlabPercent} {
		if !(p >= 0 && p <= 100) {
			return fmt.Errorf("poison: the percentile %v is not in [0, 100]", p)
		}
	}
	bounded := !math.IsInf(f.Low, 0) && !math.IsInf(f.High, 0)
	switch {
	case !(f.Low <= f.High):
		return fmt.Errorf("poison: the range [%v, %v] is empty", f.Low, f.High)
	case f.Moving && f.SlabPercent > 0:
		return errors.New("poison: no bound is known for a slab between centroids that move: leave it out")
	case f.SpherePercent == 0 && !bounded:
		return errors.New("poison: a slab alone leaves the attacker unbounded: a sphere or a range with two ends is needed")
	}
	return nil
}

// slack is a relative amount of a distance and of the largest value of a centroid, which rounding errors of distances grow with.
func (f *Filter) slack(distance, relative float64) float64 {
	const tiny = 1e-100
	for k := range 2 {
		for _, m := range f.Centroid[k] {
			distance = max(distance, math.Abs(m))
		}
	}
	return relative*distance + tiny
}

// widened returns a filter with fixed centroids that passes whatever f does when εn items are added. With m of them in a class
// of n clean ones, the mean x̄ of the poisoned ones is within the radius r of the moved centroid μ̂, and x̄ − μ̂ = (x̄ −
// μ)·n/(n+m), so ‖μ̂ − μ‖ = ‖x̄ − μ‖·m/(n+m) ≤ r·m/n. A poisoned item is therefore within r·(1 + m/n) of μ. All of them in one
// place reach that.
func (f *Filter) widened(b *Binary, epsilon float64) *Filter {
	out := *f
	if !f.Moving {
		return &out
	}
	out.Moving = false
	count := [2]float64{}
	for _, y := range b.Y {
		count[class(y)]++
	}
	for k, n := range count {
		out.Radius[k] *= 1 + epsilon*float64(b.Len())/n
	}
	return &out
}

// hasRange reports whether values are limited.
func (f *Filter) hasRange() bool { return !math.IsInf(f.Low, -1) || !math.IsInf(f.High, 1) }

// direction returns μ_− − μ_+ and its norm.
func (f *Filter) direction() (dir []float64, norm float64) {
	dir = make([]float64, len(f.Centroid[0]))
	for j := range dir {
		dir[j] = f.Centroid[0][j] - f.Centroid[1][j]
		norm += dir[j] * dir[j]
	}
	return dir, math.Sqrt(norm)
}

// passes reports whether an item passes, up to rounding by the relative slack.
func (f *Filter) passes(x []float64, k int, slack float64) bool {
	dir, norm := f.direction()
	sq, dot := 0.0, 0.0
	for j, v := range x {
		if v < f.Low-slack || v > f.High+slack {
			return false
		}
		u := v - f.Centroid[k][j]
		sq += u * u
		dot += u * dir[j]
	}
	return math.Sqrt(sq) <= f.Radius[k]*(1+slack) && (math.IsInf(f.Width[k], 1) || math.Abs(dot)/norm <= f.Width[k]*(1+slack))
}

// centroid is the mean of a class, in twice the digits.
func centroid(b *Binary, y int8) []float64 {
	sum, low := make([]float64, b.D), make([]float64, b.D)
	n := 0.0
	for i, l := range b.Y {
		if l != y {
			continue
		}
		n++
		for j, v := range b.Row(i) {
			s, e := twoSum(sum[j], v)
			sum[j] = s
			low[j] += e
		}
	}
	for j := range sum {
		sum[j] = (sum[j] + low[j]) / n
	}
	return sum
}

// twoSum returns the rounded sum and its error, which is exact (Knuth).
func twoSum(a, b float64) (s, e float64) {
	s = a + b
	t := s - a
	return s, (a - (s - t)) + (b - t)
}

// percentile interpolates linearly between the order statistics of v, which it sorts.
func percentile(v []float64, percent float64) float64 {
	slices.Sort(v)
	at := float64(len(v)-1) * percent / 100
	i := min(int(at), len(v)-1)
	next := min(i+1, len(v)-1)
	return v[i] + (v[next]-v[i])*(at-float64(i))
}
