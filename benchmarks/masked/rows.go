package masked

import (
	"context"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/attacks/defense"
	"github.com/spai-project/certify/nn/train"
)

// A Defence is a row of the table.
type Defence struct {
	Name   string
	Hides  string // how the gradient is hidden
	Sees   string // how it is found again
	Paper  string // what Athalye, Carlini and Wagner report
	Random bool
	// build returns the defended model as it is and as the second attack sees it, and the two attacks.
	build func(ctx context.Context, l *Lab) (*subject, error)
}

// subject is a defended network under two attacks.
type subject struct {
	plain, seen             access.Gradients
	plainAttack, seenAttack string
}

// The attacks: what is commonly run, and what is run on the model as it is seen.
const (
	common = "pgd:steps=40,loss=ce"
	strong = "apgd:steps=100,loss=margin"
	noisy  = "apgd:steps=40,loss=margin" // every step is an average
	many   = "auto"
)

// draws is how many are averaged.
const draws = 8

// Defences returns the rows in their order.
func Defences() []Defence {
	return []Defence{
		{Name: "none", Hides: "–", Sees: "margin loss", Paper: "–", build: func(ctx context.Context, l *Lab) (*subject, error) {
			return l.plain(l.undefended(ctx))
		}},
		{Name: "8 grey levels", Hides: "rounding", Sees: "BPDA, identity",
			Paper: "input transformations: 0 % (ImageNet, L2 0.05)",
			build: func(ctx context.Context, l *Lab) (*subject, error) { return l.rounded(ctx, bits(l, 3)) }},
		{Name: "2 grey levels", Hides: "rounding", Sees: "BPDA, identity", Paper: "–",
			build: func(ctx context.Context, l *Lab) (*subject, error) { return l.rounded(ctx, bits(l, 1)) }},
		{Name: "JPEG, quality 50", Hides: "rounding", Sees: "BPDA, identity",
			Paper: "input transformations: 0 % (ImageNet, L2 0.05)",
			build: func(ctx context.Context, l *Lab) (*subject, error) {
				return l.rounded(ctx, func() (access.Transform, error) { return defense.JPEG(l.Train.Shape, 50) })
			}},
		{Name: "thermometer, 12 levels", Hides: "rounding", Sees: "BPDA, ramps", Paper: "0 % (CIFAR-10, L∞ 0.031)",
			build: thermometer},
		{Name: "total variation, half the pixels", Hides: "randomness, small slopes", Sees: "BPDA, identity, and EOT",
			Random: true,
			Paper:  "input transformations: 0 % (ImageNet, L2 0.05)", build: func(ctx context.Context, l *Lab) (*subject, error) {
				t, err := defense.TotalVariation(l.Train.Shape, defense.TV{Keep: 0.5, Weight: 0.1, Bend: 0.05, Steps: 10})
				if err != nil {
					return nil, err
				}
				n, err := l.behind(ctx, "total variation", t)
				return l.averaged(n, err, t, true)
			}},
		{Name: "random crops, 24 of 28", Hides: "randomness", Sees: "EOT", Random: true,
			Paper: "input transformations: 0 % (ImageNet, L2 0.05)",
			build: func(ctx context.Context, l *Lab) (*subject, error) {
				t, err := defense.RandomCrop(l.Train.Shape, l.Train.Shape[1]*6/7)
				if err != nil {
					return nil, err
				}
				n, err := l.behind(ctx, "crops", t)
				return l.averaged(n, err, t, false)
			}},
		{Name: "random resize and pad, 22 to 28", Hides: "randomness", Sees: "EOT", Random: true,
			Paper: "0 % (ImageNet, L∞ 0.031)",
			build: func(ctx context.Context, l *Lab) (*subject, error) {
				side := l.Train.Shape[1]
				t, err := defense.RandomResizePad(l.Train.Shape, side*11/14, side)
				if err != nil {
					return nil, err
				}
				n, err := l.behind(ctx, "resize and pad", t)
				return l.averaged(n, err, t, false)
			}},
		{Name: "stochastic activation pruning", Hides: "randomness", Sees: "EOT", Random: true,
			Paper: "0 % (CIFAR-10, L∞ 0.031)", build: pruned},
		{Name: "Gaussian noise, σ 0.3", Hides: "randomness", Sees: "EOT", Random: true, Paper: "–",
			build: func(ctx context.Context, l *Lab) (*subject, error) {
				t, err := defense.Noise(l.Train.Dim(), 0.3)
				if err != nil {
					return nil, err
				}
				n, err := l.behind(ctx, "noise", t)
				return l.averaged(n, err, t, false)
			}},
		{Name: "distillation, T 100", Hides: "saturation", Sees: "margin loss", Paper: "– (Carlini and Wagner 2017: 0 %)",
			build: distilled},
		{Name: "ensemble adversarial training, ε 0.1", Hides: "–", Sees: "margin loss", Paper: "–", build: ensemble},
		{Name: "adversarial training, ε 0.1", Hides: "–", Sees: "margin loss", Paper: "47 % (CIFAR-10, L∞ 0.031)",
			build: func(ctx context.Context, l *Lab) (*subject, error) {
				h, err := defense.AdversarialTraining[float32](defense.Perturb{Eps: 0.1, Steps: 7, Seed: l.Seed,
					Workers: l.Workers})
				if err != nil {
					return nil, err
				}
				return l.plain(l.fit(ctx, "adversarial training", 2*l.Epochs, h))
			}},
	}
}

func bits(l *Lab, n int) func() (access.Transform, error) {
	return func() (access.Transform, error) { return defense.BitDepth(l.Train.Dim(), n) }
}

// plain is a network without anything in front.
func (l *Lab) plain(n *train.Net[float32], err error) (*subject, error) {
	if err != nil {
		return nil, err
	}
	m, err := defense.Model(n)
	return &subject{m, m, common, many}, err
}

// rounded is the undefended network behind a transform that rounds.
func (l *Lab) rounded(ctx context.Context, make func() (access.Transform, error)) (*subject, error) {
	t, err := make()
	if err != nil {
		return nil, err
	}
	n, err := l.undefended(ctx)
	if err != nil {
		return nil, err
	}
	return behindBPDA(n, t, nil)
}

func behindBPDA(n *train.Net[float32], t, standIn access.Transform) (*subject, error) {
	m, err := defense.Model(n)
	if err != nil {
		return nil, err
	}
	s := &subject{plainAttack: common, seenAttack: strong}
	if s.plain, err = access.Compose(m, t); err != nil {
		return nil, err
	}
	b, err := access.BPDA(t, standIn)
	if err != nil {
		return nil, err
	}
	s.seen, err = access.Compose(m, b)
	return s, err
}

// averaged is a network behind a randomised transform.
func (l *Lab) averaged(n *train.Net[float32], err error, t access.Transform, identity bool) (*subject, error) {
	if err != nil {
		return nil, err
	}
	s := &subject{plainAttack: common, seenAttack: noisy}
	m, err := defense.Model(n)
	if err != nil {
		return nil, err
	}
	if s.plain, err = access.Compose(m, t); err != nil {
		return nil, err
	}
	if identity {
		if t, err = access.BPDA(t, nil); err != nil {
			return nil, err
		}
	}
	one, err := access.Compose(m, t)
	if err != nil {
		return nil, err
	}
	s.seen, err = access.EOT(one, draws)
	return s, err
}

func thermometer(ctx context.Context, l *Lab) (*subject, error) {
	const levels = 12
	t, err := defense.Thermometer(l.Train.Dim(), levels, defense.UpToLevel)
	if err != nil {
		return nil, err
	}
	r, err := defense.Ramp(l.Train.Dim(), levels, defense.UpToLevel, 0.2)
	if err != nil {
		return nil, err
	}
	n, err := l.behind(ctx, "thermometer", t)
	if err != nil {
		return nil, err
	}
	return behindBPDA(n, t, r)
}

func pruned(ctx context.Context, l *Lab) (*subject, error) {
	n, err := l.undefended(ctx)
	if err != nil {
		return nil, err
	}
	p, err := defense.Program(n)
	if err != nil {
		return nil, err
	}
	s := &subject{plainAttack: common, seenAttack: noisy}
	if s.plain, err = defense.ActivationPruning(p, 1); err != nil {
		return nil, err
	}
	s.seen, err = access.EOT(s.plain, draws)
	return s, err
}

func distilled(ctx context.Context, l *Lab) (*subject, error) {
	teacher, err := l.net(l.Train.Dim(), "teacher")
	if err != nil {
		return nil, err
	}
	student, err := l.net(l.Train.Dim(), "student")
	if err != nil {
		return nil, err
	}
	r := l.recipe()
	r.Temperature, r.LR = 100, 10*rate // logits a hundred times as large are a longer way
	var last train.Progress
	if err := defense.Distill(ctx, teacher, student, l.samples(), r, func(p train.Progress) { last = p }); err != nil {
		return nil, err
	}
	l.report("student: trained in %.1f s, loss %.4f", last.Elapsed.Seconds(), last.Loss)
	return l.plain(student, nil)
}

func ensemble(ctx context.Context, l *Lab) (*subject, error) {
	var static []*train.Net[float32]
	for _, name := range []string{"first source", "second source"} {
		n, err := l.fit(ctx, name, max(1, l.Epochs/2), nil)
		if err != nil {
			return nil, err
		}
		static = append(static, n)
	}
	h, err := defense.EnsembleAdversarialTraining(defense.Perturb{Eps: 0.1, Steps: 1, Alpha: 0.1, Still: true, Mix: 1,
		Seed: l.Seed, Workers: l.Workers}, static...)
	if err != nil {
		return nil, err
	}
	return l.plain(l.fit(ctx, "ensemble adversarial training", l.Epochs, h))
}
