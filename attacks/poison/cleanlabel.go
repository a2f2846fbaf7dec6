package poison

import (
	"fmt"
	"math"
	"slices"

	"github.com/spai-project/certify/nn/train"
)

// The clean-label backdoor (Turner, Tsipras and Madry 2019) stamps the trigger on items of the target class alone and leaves their
// labels. They are first made hard to classify, by adversarial perturbations against a surrogate inside the ball ‖δ‖_∞ ≤ ε, so that
// the victim leans on the trigger.
var cleanLabel = &Attack{
	Name:     "cleanlabel",
	Doc:      "stamps a trigger on items of the target class that were made hard, and leaves their labels",
	Source:   "Turner, Tsipras and Madry 2019",
	Nets:     1,
	Backdoor: true,
	Params: append([]Param{
		{Name: "rate", Default: 0.5, Doc: "share of the items of the target class"},
		{Name: "eps", Default: 0.3, Doc: "ε, how far a value may move"},
		{Name: "steps", Default: 40, Doc: "steps of projected gradient ascent"},
	}, slices.DeleteFunc(slices.Clone(badNets.Params), func(p Param) bool { return p.Name == "rate" || p.Name == "mode" })...),
	run: runCleanLabel,
}

func runCleanLabel(a *attacking) error {
	rate, eps := a.num("rate"), a.num("eps")
	if !(rate >= 0 && rate <= 1) || !(eps >= 0) {
		return fmt.Errorf("poison: %s: rate=%v, eps=%v", a.name, rate, eps)
	}
	t, err := newTrigger(a.params, a.set.Shape, a.Classes, a.Upper)
	if err != nil {
		return err
	}
	var own []int
	for _, i := range a.stream().Perm(a.set.Len()) {
		if a.set.Labels[i] == t.target {
			own = append(own, i)
		}
	}
	own = own[:int(rate*float64(len(own)))]
	const batch = 256
	for k := 0; k < len(own); k += batch {
		a.progress(k, len(own))
		if err := a.harden(own[k:min(k+batch, len(own))], eps, t); err != nil {
			return err
		}
	}
	return nil
}

// harden climbs the surrogate's loss at some items and stamps them.
func (a *attacking) harden(items []int, eps float64, t *Trigger) error {
	net := a.Nets[0].Full
	pass, s := net.NewPass(a.Workers), &train.Samples[float32]{}
	d := a.set.Dim()
	var start []float64
	for _, i := range items {
		start, s.Labels = append(start, a.set.Item(i)...), append(s.Labels, a.set.Labels[i])
	}
	x, dx, dz := narrow(start), make([]float32, len(start)), make([]float32, len(items)*net.Classes())
	step := 2.5 * eps / math.Max(a.num("steps"), 1)
	for range a.int("steps") {
		z, err := pass.Forward(a.ctx, x)
		if err != nil {
			return err
		}
		train.CrossEntropy(dz, z, net.Classes(), s, 1)
		if err := pass.BackwardInput(a.ctx, dz, dx); err != nil {
			return err
		}
		for k, g := range dx {
			v := float64(x[k])
			if g > 0 {
				v += step
			} else if g < 0 {
				v -= step
			}
			x[k] = float32(min(max(v, start[k]-eps, a.Lower), start[k]+eps, a.Upper))
		}
	}
	for k, i := range items {
		item := widen(x[k*d:][:d])
		t.Stamp(item)
		a.out.rewrite(i, item)
	}
	return nil
}
