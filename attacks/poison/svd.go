package poison

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// The SVD defence (Koh, Steinhardt and Liang 2018, after Rubinstein et al. 2009) takes clean data to lie near a subspace and
// removes what is far from that of the first right singular vectors of the data.
var svdFilter = &Defence{
	Name:   "svd",
	Doc:    "removes items far from the subspace of the first singular vectors",
	Source: "Koh, Steinhardt and Liang 2018",
	Params: []Param{keep(0.95), space, {Name: "rank", Default: 10, Doc: "dimension of the subspace"}},
	run: func(d *defending) error {
		set, reference, err := d.views()
		if err != nil {
			return err
		}
		if rank := d.int("rank"); rank < 1 || rank > set.width {
			return fmt.Errorf("poison: %s: rank=%d of %d numbers", d.name, rank, set.width)
		}
		a, err := moments(d.ctx, reference.x, nil, reference.width, d.Workers)
		if err != nil {
			return err
		}
		axes, _, err := principal(d.ctx, a, reference.width, d.int("rank"), d.stream())
		if err != nil {
			return err
		}
		score := func(v *view) []float64 {
			s := make([]float64, len(v.labels))
			for i := range s {
				rest := append([]float64{}, v.row(i)...)
				for k := 0; k < len(axes); k += v.width {
					axis := axes[k : k+v.width]
					kernel.Axpy(rest, axis, -kernel.Dot(rest, axis))
				}
				s[i] = math.Sqrt(kernel.Dot(rest, rest))
			}
			return s
		}
		return d.remove(set, score(set), reference, score(reference), d.num("keep"))
	},
}
