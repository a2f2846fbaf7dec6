package poison

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// The slab defence (Steinhardt, Koh and Liang 2017) removes what is far from the centroid of its class along the line to the
// other class: |⟨x − μ_y, v⟩| with the unit vector v between the centroids. With more than two classes v goes from the mean of
// the other centroids to the class' own.
var slab = &Defence{
	Name:   "slab",
	Doc:    "removes items far from the centroid of their class along the line between centroids",
	Source: "Steinhardt, Koh and Liang 2017",
	Params: []Param{keep(0.95), space},
	run: func(d *defending) error {
		set, reference, err := d.views()
		if err != nil {
			return err
		}
		mean := reference.centroids()
		axis := make([][]float64, len(mean))
		for c := range mean {
			if axis[c], err = towards(mean, c); err != nil {
				return fmt.Errorf("poison: %s: %w", d.name, err)
			}
		}
		score := func(v *view) []float64 {
			s := make([]float64, len(v.labels))
			for i, y := range v.labels {
				if axis[y] != nil {
					s[i] = math.Abs(kernel.Dot(v.row(i), axis[y]) - kernel.Dot(mean[y], axis[y]))
				}
			}
			return s
		}
		return d.remove(set, score(set), reference, score(reference), d.num("keep"))
	},
}

// towards returns the unit vector from the mean of the other centroids to that of class c, nil for a class without items.
func towards(mean [][]float64, c int) ([]float64, error) {
	if mean[c] == nil {
		return nil, nil
	}
	others := 0
	for k, m := range mean {
		if k != c && m != nil {
			others++
		}
	}
	if others == 0 {
		return nil, fmt.Errorf("class %d is the only one with items", c)
	}
	v := append([]float64{}, mean[c]...)
	for k, m := range mean {
		if k != c && m != nil {
			kernel.Axpy(v, m, -1/float64(others))
		}
	}
	size := norm(v)
	if size == 0 {
		return nil, fmt.Errorf("the centroid of class %d is that of the others", c)
	}
	for k := range v {
		v[k] /= size
	}
	return v, nil
}
