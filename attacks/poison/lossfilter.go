package poison

// The loss defence (Koh, Steinhardt and Liang 2018) trains on everything and removes what fits the model worst.
var lossFilter = &Defence{
	Name:   "loss",
	Doc:    "removes items with a high loss under a regression trained on all of them",
	Source: "Koh, Steinhardt and Liang 2018",
	Params: []Param{keep(0.95), space, {Name: "l2", Default: 0.01, Doc: "regularisation of the regression"}},
	run: func(d *defending) error {
		set, reference, err := d.views()
		if err != nil {
			return err
		}
		m := &Learner{Inputs: set.width, Classes: d.Classes, L2: d.num("l2")}
		theta, err := m.Fit(d.ctx, &Examples{X: reference.x, Labels: reference.labels}, Training{Tolerance: 1e-4,
			Workers: d.Workers})
		if err != nil {
			return err
		}
		score := func(v *view) ([]float64, error) {
			p := m.pass(&Examples{X: v.x, Labels: v.labels}, d.Workers)
			_, err := p.gradient(d.ctx, theta)
			return p.losses, err
		}
		s, err := score(set)
		if err != nil {
			return err
		}
		r, err := score(reference)
		if err != nil {
			return err
		}
		return d.remove(set, s, reference, r, d.num("keep"))
	},
}
