package poison

import "fmt"

// Label sanitisation (Paudice, Muñoz-González and Lupu 2018) gives an item the label that most of its k nearest neighbours have,
// if their share is at least η. Neighbours are those of the set as it came, in any order, or of trusted data.
var sanitise = &Defence{
	Name:   "relabel",
	Doc:    "relabels items whose nearest neighbours agree on another class",
	Source: "Paudice, Muñoz-González and Lupu 2018",
	Params: []Param{space, {Name: "k", Default: 10, Doc: "neighbours"}, {Name: "eta", Default: 0.5,
		Doc: "η, the share of them that must agree"}},
	run: func(d *defending) error {
		k, err := d.neighbours()
		if err != nil {
			return err
		}
		eta := d.num("eta")
		if !(eta >= 0 && eta <= 1) {
			return fmt.Errorf("poison: %s: eta=%v", d.name, eta)
		}
		set, reference, err := d.views()
		if err != nil {
			return err
		}
		var self func(int) int
		if set == reference {
			self = func(i int) int { return i }
		}
		near, err := neighbours(d.ctx, set.x, reference.x, set.width, k, self, d.Workers)
		if err != nil {
			return err
		}
		d.out.Labels = append([]int{}, set.labels...)
		d.out.Scores = make([]float64, len(set.labels))
		votes := make([]int, d.Classes)
		for i, list := range near {
			clear(votes)
			for _, x := range list {
				votes[reference.labels[x.row]]++
			}
			top := 0
			for c, v := range votes {
				if v > votes[top] || v == votes[top] && c == set.labels[i] { // a tie does not relabel
					top = c
				}
			}
			if len(list) > 0 {
				d.out.Scores[i] = 1 - float64(votes[set.labels[i]])/float64(len(list))
				if float64(votes[top]) >= eta*float64(len(list)) {
					d.out.Labels[i] = top
				}
			}
		}
		return nil
	},
}
