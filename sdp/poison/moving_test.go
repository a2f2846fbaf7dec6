package poison

import (
	"math"
	"strings"
	"testing"
)

// TestMovingNeedsConsistency drags a centroid away with an item that the defence then removes, so that poison passes far from the
// clean data. The loss after training is then above the bound, so a certificate for centroids that move must say that removed
// items move none.
func TestMovingNeedsConsistency(t *testing.T) {
	b := &Binary{D: 1}
	for i := range 40 {
		y := int8(2*(i%2) - 1)
		b.X, b.Y = append(b.X, float64(y)*(1+0.01*float64(i/2%3))), append(b.Y, y)
	}
	f := &Filter{SpherePercent: 70, Moving: true, Low: math.Inf(-1), High: math.Inf(1)}
	if err := f.Fit(b); err != nil {
		t.Fatal(err)
	}
	c, _ := certified(t, b, f, Options{Epsilon: 0.1, NormSquared: 4})
	if _, err := c.Check(b); err != nil {
		t.Fatal(err)
	}
	// Four items of class +1: one at far, three at the centroid of all 24 of that class.
	far := -21000.0
	centroid := (20*f.Centroid[1][0] + far) / 21
	if math.Abs(far-centroid) <= f.Radius[1] {
		t.Fatal("the far item is not removed")
	}
	least, clean := math.Inf(1), 0.0
	hinge := func(w, v, x float64, y int8) float64 { return max(0, 1-float64(y)*(w*x+v)) }
	const grid = 1000
	for i := -grid; i <= grid; i++ {
		for j := -grid; j <= grid; j++ {
			w, v := 2*float64(i)/grid, 2*float64(j)/grid
			if w*w+v*v > 4 {
				continue
			}
			sum := 0.0
			for k, y := range b.Y {
				sum += hinge(w, v, b.X[k], y)
			}
			if total := sum + 3*hinge(w, v, centroid, 1); total < least {
				least, clean = total, sum/float64(b.Len())
			}
		}
	}
	if clean <= c.Bound {
		t.Fatalf("the clean loss %v after the attack is within the bound %v: the example shows nothing", clean, c.Bound)
	}
	if says := strings.Join(c.Assumptions(), "\n"); !strings.Contains(says, "an item that it removes moves no centroid") {
		t.Errorf("a clean loss of %v with the bound %v is not ruled out by:\n%s", clean, c.Bound, says)
	}
}
