package train

import (
	"errors"
	"fmt"
	"math"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/tape"
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
		if len(s.Soft) > 0 {
			soft := s.Soft[r*classes:][:classes]
			loss += weight * tape.SoftCrossEntropy(g, z, soft, temperature)
		} else {
			loss += weight * tape.CrossEntropy(g, z, s.Labels[r], temperature)
		}
		for j := range g {
			g[j] *= T(weight)
		}
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
		tape.Softmax(logits[:classes], temperature)
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

// Certified returns for how many rows the logit of the label is larger than every other.
func Certified[T kernel.Float](worst []T, classes int, labels []int) int {
	n := 0
	for r, y := range labels {
		z, ok := worst[r*classes:][:classes], true
		for k, v := range z {
			ok = ok && (k == y || v < z[y])
		}
		if ok {
			n++
		}
	}
	return n
}
