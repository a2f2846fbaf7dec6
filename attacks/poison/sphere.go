package poison

import "math"

// The sphere defence (Steinhardt, Koh and Liang 2017) removes what is far from the centroid of its class.
var sphere = &Defence{
	Name:   "sphere",
	Doc:    "removes items far from the centroid of their class",
	Source: "Steinhardt, Koh and Liang 2017",
	Params: []Param{keep(0.95), space},
	run: func(d *defending) error {
		set, reference, err := d.views()
		if err != nil {
			return err
		}
		mean := reference.centroids()
		score := func(v *view) []float64 {
			s := make([]float64, len(v.labels))
			for i, y := range v.labels {
				if mean[y] != nil {
					s[i] = math.Sqrt(squares(v.row(i), mean[y]))
				}
			}
			return s
		}
		return d.remove(set, score(set), reference, score(reference), d.num("keep"))
	},
}
