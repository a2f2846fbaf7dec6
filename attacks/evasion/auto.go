package evasion

import (
	"math"

	"github.com/spai-project/certify/attacks/access"
)

// The ensemble, in the manner of AutoAttack (Croce and Hein, 2020): attacks that fail for different reasons, one after the other, each
// only on what withstood the ones before. Which run depends on what the model shows.

// stage is an attack of the ensemble with its parameters.
type stage struct {
	name   string
	params map[string]float64
}

var autoStages = map[access.Level][]stage{
	access.NeedGradients: {
		{"pgd", map[string]float64{"steps": 20, "loss": float64(Margin)}}, // most of what falls, falls to a few steps
		{"apgd", map[string]float64{"loss": float64(CrossEntropy)}},
		{"apgd", map[string]float64{"loss": float64(DLR)}},
		{"apgd-t", nil},
		{"fab", map[string]float64{"targets": 9}},
		{"square", map[string]float64{"steps": 5000}},
	},
	access.NeedScores: {{"square", map[string]float64{"steps": 10000}}, {"nes", nil}, {"zoo", nil}},
	access.NeedLabels: {{"hopskipjump", nil}, {"boundary", nil}},
}

var _ = register(&Method{Name: "auto", Doc: "an ensemble chosen by what the model shows: PGD, Auto-PGD on two losses and towards every class, FAB, Square; Square, NES and ZOO on scores; HopSkipJump and Boundary on labels",
	Source: "Croce, Hein: Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks, 2020",
	Needs:  access.NeedLabels, Norms: []Norm{Linf, L2, L1},
	run: func(p *Probe) { p.stages(autoStages[p.Level]) }})

// stages runs attacks one after the other on this probe. Attacks that the registry lacks, or that do not fit norm and goal, are left out.
func (p *Probe) stages(list []stage) {
	own, lo, hi := p.params, p.Lo, p.Hi
	defer func() { p.params = own; p.Lo, p.Hi = lo, hi }()
	for _, s := range list {
		m, ok := Lookup(s.name)
		if !ok || !m.fits(p) {
			continue
		}
		p.params = map[string]float64{}
		for _, q := range m.Params {
			p.params[q.Name] = q.Default
		}
		for k, v := range s.params {
			p.params[k] = v
		}
		p.confine(m)
		m.run(p)
		if p.stop {
			return
		}
	}
}

func (m *Method) fits(p *Probe) bool {
	for _, n := range m.Norms {
		if n == p.Norm {
			return (!m.ClassesOnly || p.Goal.Classes()) && (m.Minimal || !math.IsInf(p.Eps, 1))
		}
	}
	return false
}
