package poison

import "fmt"

// Inspection by influence (Koh and Liang 2017, section 5.4) puts the items first whose weight raises the loss on trusted data
// most.
var influenceRank = &Defence{
	Name:    "influence",
	Doc:     "flags the items that raise the loss on trusted data most, by influence functions of a regression",
	Source:  "Koh and Liang 2017",
	Trusted: true,
	Params: []Param{{Name: "rate", Default: 0.05, Doc: "share of the items to flag"}, space,
		{Name: "l2", Default: 0.01, Doc: "regularisation of the regression"}},
	run: func(d *defending) error {
		rate := d.num("rate")
		if !(rate >= 0 && rate <= 1) || !(d.num("l2") > 0) {
			return fmt.Errorf("poison: %s: rate=%v, l2=%v", d.name, rate, d.num("l2"))
		}
		set, trusted, err := d.views()
		if err != nil {
			return err
		}
		m := &Learner{Inputs: set.width, Classes: d.Classes, L2: d.num("l2")}
		e := &Examples{X: set.x, Labels: set.labels}
		theta, err := m.Fit(d.ctx, e, Training{Tolerance: stationary / 2, Workers: d.Workers})
		if err != nil {
			return err
		}
		up, err := m.Influence(d.ctx, theta, e, &Examples{X: trusted.x, Labels: trusted.labels},
			InfluenceOptions{Tolerance: 1e-4, Workers: d.Workers})
		if err != nil {
			return err
		}
		d.out.Scores = up
		for _, i := range byScore(len(up), func(i int) float64 { return -up[i] })[:int(rate*float64(len(up)))] {
			d.out.Suspect[i] = true
		}
		return nil
	},
}
