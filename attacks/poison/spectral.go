package poison

import (
	"fmt"

	"github.com/spai-project/certify/internal/kernel"
)

// Spectral signatures (Tran, Li and Madry 2018): in the features of the items of one label, poison is a second group, which the
// covariance shows. With R the centred features and v the first right singular vector of R, the score of an item is ((r −
// r̄)·v)², and the 1.5·ε·n highest of the n items of each label go.
var spectral = &Defence{
	Name:   "spectral",
	Doc:    "removes the items of each label that stand out along the first singular vector of their features",
	Source: "Tran, Li and Madry 2018",
	Net:    true,
	Params: []Param{{Name: "eps", Default: 0.1, Doc: "ε, a bound on the poisoned share of a label"}},
	run: func(d *defending) error {
		eps := d.num("eps")
		if !(eps >= 0 && eps <= 2.0/3) {
			return fmt.Errorf("poison: %s: eps=%v: want at most 2/3, as 1.5·ε of a label is removed", d.name, eps)
		}
		v, err := d.view(d.set, true)
		if err != nil {
			return err
		}
		d.out.Scores = make([]float64, len(v.labels))
		for c, at := range v.class {
			d.progress(c, len(v.class))
			if len(at) < 2 {
				continue
			}
			x, mean := v.rows(at), v.mean(at)
			cov, err := moments(d.ctx, x, mean, v.width, d.Workers)
			if err != nil {
				return err
			}
			axis, _, err := principal(d.ctx, cov, v.width, 1, d.stream())
			if err != nil {
				return err
			}
			for _, i := range at {
				s := kernel.Dot(v.row(i), axis) - kernel.Dot(mean, axis)
				d.out.Scores[i] = s * s
			}
			order := byScore(len(at), func(k int) float64 { return -d.out.Scores[at[k]] })
			for _, k := range order[:int(1.5*eps*float64(len(at)))] {
				d.out.Suspect[at[k]] = true
			}
		}
		return nil
	},
}
