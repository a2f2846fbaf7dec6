package poison

import "math"

// Outlier detection by class (Paudice et al. 2018) with the local outlier factor (Breunig et al. 2000): the mean density of an
// item's k nearest neighbours over its own, where density is the inverse of the mean reachability distance max(k-distance(o),
// d(p, o)). Detectors are fitted to trusted data if there are any, whose quantile is the threshold.
var outlierFactor = &Defence{
	Name:   "lof",
	Doc:    "removes local outliers of each class",
	Source: "Paudice et al. 2018; Breunig et al. 2000",
	Params: []Param{keep(0.95), space, {Name: "k", Default: 20, Doc: "neighbours"}},
	run: func(d *defending) error {
		k, err := d.neighbours()
		if err != nil {
			return err
		}
		set, reference, err := d.views()
		if err != nil {
			return err
		}
		f := &factors{reach: make([][]float64, d.Classes), density: make([][]float64, d.Classes)}
		r := make([]float64, len(reference.labels))
		err = d.perClass(reference, reference, k, func(c int, rows []int, near [][]neighbour) error {
			f.fit(c, near)
			for q, i := range rows {
				r[i] = f.factor(c, near[q])
			}
			return nil
		})
		if err != nil {
			return err
		}
		s := r
		if reference != set {
			s = make([]float64, len(set.labels))
			err = d.perClass(set, reference, k, func(c int, rows []int, near [][]neighbour) error {
				for q, i := range rows {
					s[i] = f.factor(c, near[q])
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return d.remove(set, s, reference, r, d.num("keep"))
	},
}

// factors hold the k-distance and the density of every item of the reference, by class.
type factors struct{ reach, density [][]float64 }

func (f *factors) fit(c int, near [][]neighbour) {
	f.reach[c], f.density[c] = make([]float64, len(near)), make([]float64, len(near))
	for i, list := range near {
		if len(list) > 0 {
			f.reach[c][i] = list[len(list)-1].distance
		}
	}
	for i, list := range near {
		f.density[c][i] = f.of(c, list)
	}
}

// of returns the local reachability density; +Inf among copies.
func (f *factors) of(c int, list []neighbour) float64 {
	sum := 0.0
	for _, x := range list {
		sum += max(f.reach[c][x.row], x.distance)
	}
	return float64(len(list)) / sum
}

// factor returns the local outlier factor, 1 for an item like its neighbours and for copies of them.
func (f *factors) factor(c int, list []neighbour) float64 {
	own := f.of(c, list)
	if len(list) == 0 || math.IsInf(own, 1) {
		return 1
	}
	sum := 0.0
	for _, x := range list {
		sum += f.density[c][x.row]
	}
	return sum / float64(len(list)) / own
}
