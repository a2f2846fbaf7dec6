package poison

import (
	"errors"
	"fmt"

	"github.com/spai-project/certify/nn/train"
)

// Fine-pruning (Liu, Dolan-Gavitt and Garg 2018) repairs a network: units of the last hidden layer that clean data do not excite
// may serve a backdoor. They are pruned in the order of their mean activation on trusted data until the accuracy there has
// dropped by as much as is allowed, and the rest is trained a little on those data. A pruned unit has no weights into it: its
// ReLU is 0 and stays so, as no gradient passes.
var finePruning = &Defence{
	Name:    "fineprune",
	Doc:     "prunes units that trusted data do not excite from a network, and trains the rest on those data",
	Source:  "Liu, Dolan-Gavitt and Garg 2018",
	Net:     true,
	Trusted: true,
	Repairs: true,
	Params: []Param{
		{Name: "drop", Default: 0.02, Doc: "accuracy on trusted data that pruning may cost"},
		{Name: "epochs", Default: 3, Doc: "of training afterwards"},
		{Name: "lr", Default: 1e-3, Doc: "its rate"},
	},
	run: runFinePruning,
}

func runFinePruning(d *defending) error {
	epochs := d.int("epochs")
	if !(d.num("drop") >= 0) || epochs < 0 || epochs > 1<<16 || !(d.num("lr") > 0) {
		return fmt.Errorf("poison: %s: drop=%v, epochs=%d, lr=%v", d.name, d.num("drop"), epochs, d.num("lr"))
	}
	net := d.Net.Clone()
	d.out.Net = net
	last, err := lastHidden(net)
	if err != nil {
		return err
	}
	before, err := net.Accuracy(d.ctx, d.Trusted, d.Workers)
	if err != nil {
		return err
	}
	features, err := net.featureRows(d.ctx, d.Trusted.X, d.Workers)
	if err != nil {
		return err
	}
	units, width := last.units(), net.Features.Classes()
	excited := make([]float64, units)
	for i, v := range features {
		excited[i%width/(width/units)] += v
	}
	accuracy, pruned := before, 0
	for _, u := range byScore(units, func(u int) float64 { return excited[u] }) {
		d.progress(pruned, units)
		saved := last.prune(u)
		net.Sync()
		now, err := net.Accuracy(d.ctx, d.Trusted, d.Workers)
		if err != nil {
			return err
		}
		if before-now > d.num("drop") {
			last.restore(u, saved)
			net.Sync()
			break
		}
		accuracy = now
		pruned++
	}
	if epochs > 0 {
		if _, err := net.Fit(d.ctx, d.Trusted, train.Recipe{Epochs: epochs, LR: d.num("lr"), Seed: d.Seed, Workers: d.Workers},
			train.Hooks[float32]{}); err != nil {
			return err
		}
	}
	after, err := net.Accuracy(d.ctx, d.Trusted, d.Workers)
	if err != nil {
		return err
	}
	d.out.Notes = append(d.out.Notes,
		fmt.Sprintf("%d of %d units pruned; accuracy on trusted data %.2f %%, then %.2f %%, after training %.2f %%",
			pruned, units, 100*before, 100*accuracy, 100*after))
	return nil
}

// A hiddenLayer is the last layer of the features, dense [in out] or a convolution [out in k k]; a unit is an output or a
// channel.
type hiddenLayer struct{ weight, bias train.Param[float32] }

// lastHidden returns it as a part of Full.
func lastHidden(s *Split) (*hiddenLayer, error) {
	n := len(s.Features.Params())
	if n < 2 {
		return nil, errors.New("poison: a network without hidden layers has no units to prune")
	}
	p := s.Full.Params()
	return &hiddenLayer{p[n-2], p[n-1]}, nil
}

func (h *hiddenLayer) units() int { return len(h.bias.Data) }

// each calls f for the weights into a unit.
func (h *hiddenLayer) each(u int, f func(w *float32)) {
	f(&h.bias.Data[u])
	units := h.units()
	if len(h.weight.Shape) == 4 {
		per := len(h.weight.Data) / units
		for k := range per {
			f(&h.weight.Data[u*per+k])
		}
		return
	}
	for k := u; k < len(h.weight.Data); k += units {
		f(&h.weight.Data[k])
	}
}

// prune makes a unit's weights 0 and returns what they were.
func (h *hiddenLayer) prune(u int) (saved []float32) {
	h.each(u, func(w *float32) { saved, *w = append(saved, *w), 0 })
	return saved
}

func (h *hiddenLayer) restore(u int, saved []float32) {
	h.each(u, func(w *float32) { *w, saved = saved[0], saved[1:] })
}
