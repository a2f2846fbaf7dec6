package loss

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/tape"
	"github.com/spai-project/certify/nn/train"
)

// Settings steer a loss. A loss uses what its method has; the others must be left 0.
type Settings struct {
	// Method is one of Methods.
	Method string
	// Eps is the radius of the ball at the end of the ramp, Lower and Upper the range of valid inputs (both 0: no limits).
	Eps, Lower, Upper float64
	// Norm is 2 for balls in L2, which only wong-kolter knows, without limits; 0 for L∞.
	Norm int
	// Ramp says in which epochs the radius grows from 0 to Eps: not before Ramp[0], and it is there at Ramp[1]. The first quarter
	// of the ramp grows like the fourth power of time, the rest linearly.
	Ramp [2]float64
	// Kappa is the weight of the clean cross-entropy beside the robust one, before and after the ramp; between, it follows the
	// radius.
	Kappa [2]float64
	// Alpha is the weight of the bound against the attack: MTL-IBP, CC-IBP, EXP-IBP and, as a part of the gradient, TAPS.
	Alpha float64
	// Part is the size of SABR's box as a part of the ball.
	Part float64
	// Steps is the number of steps of an attack, 0: 1. Reach is the radius of the attack as a multiple of that of the bound, 0: 1.
	Steps int
	Reach float64
	// Beta is the weight of CROWN against IBP in CROWN-IBP, before and after the ramp; between, it follows the radius.
	Beta [2]float64
	// Split is the number of layers whose box TAPS propagates; the attacks are on the rest.
	Split int
	Seed  uint64
}

// Methods lists the names of the losses with what they are.
func Methods() []Method { return slices.Clone(methods) }

// A Method is a loss that can be asked for by name.
type Method struct{ Name, About string }

var methods = []Method{
	{"natural", "cross-entropy of the clean inputs"},
	{"pgd", "cross-entropy at the point that PGD finds (Madry et al. 2018)"},
	{"ibp", "interval bound propagation (Gowal et al. 2018)"},
	{"wong-kolter", "the dual network of Wong and Kolter (2018), in the norm L∞ or L2"},
	{"crown-ibp", "one backward pass of CROWN on interval bounds, mixed with these (Zhang et al. 2020)"},
	{"sabr", "intervals on a small box around an adversarial example (Müller et al. 2023)"},
	{"mtl-ibp", "weighted sum of the interval and the adversarial loss (De Palma et al. 2024)"},
	{"cc-ibp", "cross-entropy of a weighted sum of interval bounds and adversarial margins (De Palma et al. 2024)"},
	{"exp-ibp", "weighted geometric mean of the interval and the adversarial loss (De Palma et al. 2024)"},
	{"taps", "intervals through the first layers, attacks in their box on the rest (Mao et al. 2023)"},
}

// New returns the loss of the settings.
func New[T kernel.Float](s Settings) (train.Objective[T], error) {
	if s.Steps == 0 {
		s.Steps = 1
	}
	if s.Reach == 0 {
		s.Reach = 1
	}
	if s.Lower == 0 && s.Upper == 0 {
		s.Lower, s.Upper = math.Inf(-1), math.Inf(1)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return &objective[T]{s}, nil
}

// bounded reports whether the range of valid inputs has ends.
func (s *Settings) bounded() bool { return !math.IsInf(s.Lower, -1) || !math.IsInf(s.Upper, 1) }

func (s *Settings) check() error {
	if !slices.ContainsFunc(methods, func(m Method) bool { return m.Name == s.Method }) {
		names := make([]string, len(methods))
		for i, m := range methods {
			names[i] = m.Name
		}
		return fmt.Errorf("loss: %q is no method: want one of %s", s.Method, strings.Join(names, ", "))
	}
	if s.Eps < 0 || math.IsNaN(s.Eps) || math.IsInf(s.Eps, 1) || !(s.Lower < s.Upper) || !(s.Ramp[0] >= 0 && s.Ramp[1] >= s.Ramp[0]) {
		return fmt.Errorf("loss: radius %v from epoch %v to %v in the range %v to %v: want numbers that make sense in this order",
			s.Eps, s.Ramp[0], s.Ramp[1], s.Lower, s.Upper)
	}
	if s.Norm != 0 && (s.Norm != 2 || s.Method != "wong-kolter" || s.bounded()) {
		return fmt.Errorf("loss: norm %d with %s: want 2 with wong-kolter and no range of valid inputs, or 0", s.Norm, s.Method)
	}
	for _, v := range []struct {
		name  string
		value float64
	}{{"kappa", s.Kappa[0]}, {"kappa", s.Kappa[1]}, {"alpha", s.Alpha}, {"part", s.Part}, {"beta", s.Beta[0]}, {"beta", s.Beta[1]}} {
		if !(v.value >= 0 && v.value <= 1) {
			return fmt.Errorf("loss: %s is %v: want a number from 0 to 1", v.name, v.value)
		}
	}
	if s.Steps < 0 || s.Split < 0 || !(s.Reach > 0) || math.IsInf(s.Reach, 1) {
		return errors.New("loss: the steps of the attack and the split may not be negative, and its reach must be positive")
	}
	return nil
}

// Ramped returns the part of the radius that a training has after so many epochs.
func (s *Settings) Ramped(epochs float64) float64 {
	from, to := s.Ramp[0], s.Ramp[1]
	switch {
	case epochs >= to:
		return 1
	case epochs <= from:
		return 0
	}
	// a·t⁴ up to t = q, then a line to 1, with the same slope at q.
	const q = 0.25
	t := (epochs - from) / (to - from)
	slope := 4 / (4 - 3*q) // of the line: a·q⁴ + slope·(1−q) = 1 and 4a·q³ = slope
	if t <= q {
		return slope / (4 * q * q * q) * t * t * t * t
	}
	return 1 - slope*(1-t)
}

// between follows the radius from one value to another.
func between(v [2]float64, part float64) float64 { return v[0] + (v[1]-v[0])*part }

type objective[T kernel.Float] struct{ Settings }

// recorder holds what the losses are put together from.
type recorder[T kernel.Float] struct {
	*tape.Tape[T]
	*Settings
	net                         *train.Net[T]
	stages                      []train.Stage
	norms                       []tape.Value // of the stages, where they are a BatchNorm
	x                           tape.Value
	one, eps, reach, part       tape.Scalar
	alpha, beta, kappa          tape.Scalar
	notAlpha, notBeta, notKappa tape.Scalar
}

// Record records the loss on a tape.
func (o *objective[T]) Record(t *tape.Tape[T], net *train.Net[T]) (train.Recorded, error) {
	r := &recorder[T]{Tape: t, Settings: &o.Settings, net: net, stages: net.Stages(), x: t.Input()}
	for _, s := range []*tape.Scalar{&r.one, &r.eps, &r.reach, &r.part, &r.alpha, &r.beta, &r.kappa,
		&r.notAlpha, &r.notBeta, &r.notKappa} {
		*s = t.Scalar()
	}
	clean, norms := net.RecordBatch(t, r.x)
	r.norms = norms
	loss, worst, err := r.robust(clean)
	if err != nil {
		return train.Recorded{}, fmt.Errorf("loss: %s: %w", o.Method, err)
	}
	if o.Method != "natural" {
		loss = t.Blend(t.CrossEntropy(clean, r.one), r.kappa, loss, r.notKappa)
	}
	return train.Recorded{Loss: loss, Logits: clean, Worst: worst, Margins: worst != nil, Begin: r.begin}, nil
}

// begin sets the scalars of a step.
func (r *recorder[T]) begin(m train.Moment, set func(tape.Scalar, float64)) float64 {
	part := r.Ramped(m.Epochs)
	eps, kappa := r.Eps*part, between(r.Settings.Kappa, part)
	set(r.one, 1)
	set(r.eps, eps)
	set(r.reach, eps*r.Settings.Reach)
	set(r.part, r.Settings.Part)
	beta := between(r.Settings.Beta, part)
	for _, v := range []struct {
		s, not tape.Scalar
		value  float64
	}{{r.alpha, r.notAlpha, r.Settings.Alpha}, {r.beta, r.notBeta, beta}, {r.kappa, r.notKappa, kappa}} {
		set(v.s, v.value)
		set(v.not, 1-v.value)
	}
	return eps
}
