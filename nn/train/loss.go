package train

import (
	"errors"
	"fmt"
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// Samples are rows of inputs with what the network shall say to them: a data set or a batch.
type Samples[T kernel.Float] struct {
	// X holds the inputs, one row each.
	X []T
	// Labels holds the classes. It may be empty if Soft is not.
	Labels []int
	// Soft, if not empty, holds a row of probabilities per input, one per class; the loss then uses them and not Labels.
	Soft []T
	// Weights, if not empty, holds what each input counts in the loss.
	Weights []T
}

// check returns what is wrong with the samples. Values are checked too: a NaN in one input would end a training hours later.
func (s *Samples[T]) check(inputs, classes int) error {
	if len(s.X) == 0 || len(s.X)%inputs != 0 {
		return fmt.Errorf("train: %d numbers are not rows of %d", len(s.X), inputs)
	}
	rows := len(s.X) / inputs
	switch {
	case len(s.Labels) == 0 && len(s.Soft) == 0:
		return errors.New("train: samples without labels")
	case len(s.Labels) > 0 && len(s.Labels) != rows:
		return fmt.Errorf("train: %d labels for %d rows", len(s.Labels), rows)
	case len(s.Soft) > 0 && len(s.Soft) != rows*classes:
		return fmt.Errorf("train: %d soft labels for %d rows of %d classes", len(s.Soft), rows, classes)
	case len(s.Weights) > 0 && len(s.Weights) != rows:
		return fmt.Errorf("train: %d weights for %d rows", len(s.Weights), rows)
	}
	for i, y := range s.Labels {
		if y < 0 || y >= classes {
			return fmt.Errorf("train: row %d has label %d, the network has classes 0 to %d", i, y, classes-1)
		}
	}
	for i, v := range s.X {
		if v-v != 0 {
			return fmt.Errorf("train: row %d: element %d is %v", i/inputs, i%inputs, v)
		}
	}
	for i, v := range s.Soft {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("train: row %d: the probability of class %d is %v", i/classes, i%classes, v)
		}
	}
	for i, v := range s.Weights {
		if !(v >= 0) || math.IsInf(float64(v), 1) {
			return fmt.Errorf("train: row %d has weight %v", i, v)
		}
	}
	return nil
}

// CrossEntropy returns the softmax cross-entropy of logits/temperature, averaged over the rows by their weights, and writes
// its gradient with respect to the logits to grad. The result is 0 if all weights are.
//
// With weight 1 for clean rows and λ for adversarial ones this is the mixture (Σ_clean L + λ·Σ_adv L)/(m−k+λk) of Kurakin,
// Goodfellow and Bengio (2017, eq. 1); with a temperature above 1, or soft labels, that of distillation (Hinton et al. 2015).
// The gradient of a hard label's logit is −Σ of the other probabilities, not p−1, which loses all digits when p is near 1.
func CrossEntropy[T kernel.Float](grad, logits []T, classes int, s *Samples[T], temperature float64) float64 {
	rows := len(logits) / classes
	total := float64(rows)
	if len(s.Weights) > 0 {
		total = 0
		for _, w := range s.Weights {
			total += float64(w)
		}
	}
	loss := 0.0
	for r := range rows {
		z, g := logits[r*classes:][:classes], grad[r*classes:][:classes]
		weight := 1.0
		if len(s.Weights) > 0 {
			weight = float64(s.Weights[r])
		}
		if weight == 0 {
			clear(g)
			continue
		}
		weight /= total
		top, rest := exponentials(g, z, temperature)
		scale := weight / (temperature * (1 + rest))
		if len(s.Soft) > 0 {
			loss += weight * soft(g, z, s.Soft[r*classes:][:classes], top, rest, temperature, scale)
		} else {
			loss += weight * hard(g, z, s.Labels[r], top, rest, temperature, scale)
		}
	}
	return loss
}

// exponentials writes exp((z−max z)/temperature) and returns the index of the maximum and the sum of all but its 1.
func exponentials[T kernel.Float](e, z []T, temperature float64) (top int, rest float64) {
	top = argmax(z)
	most := float64(z[top]) // e may be z
	for j, v := range z {
		x := math.Exp((float64(v) - most) / temperature)
		if j != top {
			rest += x
		}
		e[j] = T(x)
	}
	return top, rest
}

// hard turns exponentials into the gradient times scale for label y, and returns the loss of the row.
func hard[T kernel.Float](g, z []T, y, top int, rest, temperature, scale float64) float64 {
	others := 0.0
	for j, e := range g {
		if j != y {
			others += float64(e)
			g[j] = T(float64(e) * scale)
		}
	}
	g[y] = T(-others * scale)
	return math.Log1p(rest) - (float64(z[y])-float64(z[top]))/temperature
}

// soft does the same for the probabilities t.
func soft[T kernel.Float](g, z, t []T, top int, rest, temperature, scale float64) float64 {
	mass, loss, norm := 0.0, 0.0, math.Log1p(rest)
	for j, v := range t {
		mass += float64(v)
		if v != 0 {
			loss += float64(v) * (norm - (float64(z[j])-float64(z[top]))/temperature)
		}
	}
	for j, e := range g {
		g[j] = T((float64(e)*mass - float64(t[j])*(1+rest)) * scale)
	}
	return loss
}

// argmax returns the first index of a largest element.
func argmax[T kernel.Float](z []T) int {
	top := 0
	for j, v := range z {
		if v > z[top] {
			top = j
		}
	}
	return top
}

// Softmax turns rows of logits into probabilities at a temperature, in place: a teacher's soft labels.
func Softmax[T kernel.Float](logits []T, classes int, temperature float64) {
	for ; len(logits) >= classes; logits = logits[classes:] {
		z := logits[:classes]
		_, rest := exponentials(z, z, temperature)
		for j := range z {
			z[j] = T(float64(z[j]) / (1 + rest))
		}
	}
}

// Correct returns for how many rows the largest logit, the first of several, is that of the label.
func Correct[T kernel.Float](logits []T, classes int, labels []int) int {
	n := 0
	for r, y := range labels {
		if argmax(logits[r*classes:][:classes]) == y {
			n++
		}
	}
	return n
}
