package poison

// The nearest-neighbour defence (Koh, Steinhardt and Liang 2018) removes what is far from the nearest items of its class. Copies
// of one poisoned point are near each other: attacks that insert copies pass it.
var knnFilter = &Defence{
	Name:   "knn",
	Doc:    "removes items far from their nearest neighbours of the same class",
	Source: "Koh, Steinhardt and Liang 2018",
	Params: []Param{keep(0.95), space, {Name: "k", Default: 5, Doc: "neighbours whose distances are added up"}},
	run: func(d *defending) error {
		k, err := d.neighbours()
		if err != nil {
			return err
		}
		set, reference, err := d.views()
		if err != nil {
			return err
		}
		score := func(v *view) ([]float64, error) {
			s := make([]float64, len(v.labels))
			return s, d.perClass(v, reference, k, func(_ int, rows []int, near [][]neighbour) error {
				for q, i := range rows {
					for _, x := range near[q] {
						s[i] += x.distance
					}
				}
				return nil
			})
		}
		s, err := score(set)
		if err != nil {
			return err
		}
		r := s
		if reference != set {
			if r, err = score(reference); err != nil {
				return err
			}
		}
		return d.remove(set, s, reference, r, d.num("keep"))
	},
}
