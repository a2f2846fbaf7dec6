package tape

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// CrossEntropy records the softmax cross-entropy of every row of logits/temperature, against the rows' probabilities if the batch
// has some and against their labels if not.
func (t *Tape[T]) CrossEntropy(logits Value, temperature Scalar) Value {
	k := t.Width(logits)
	return t.Record(1, 1, func() Op[T] { return &crossEntropyOp[T]{temperature: temperature, z: make([]T, k), g: make([]T, k)} }, logits)
}

type crossEntropyOp[T kernel.Float] struct {
	temperature Scalar
	z, g        []T // of one row
}

// row computes the loss of a row, and its gradient in g.
func (o *crossEntropyOp[T]) row(c *Context[T], logits []T, row int) float64 {
	for k := range o.z {
		o.z[k] = logits[k*c.Rows+row]
	}
	if c.Soft != nil {
		return SoftCrossEntropy(o.g, o.z, c.Soft[row*len(o.z):][:len(o.z)], c.Scalar(o.temperature))
	}
	return CrossEntropy(o.g, o.z, c.Labels[row], c.Scalar(o.temperature))
}

func (o *crossEntropyOp[T]) Forward(c *Context[T], out []T, in [][]T) {
	for row := range out {
		out[row] = T(o.row(c, in[0], row))
	}
}

func (o *crossEntropyOp[T]) Backward(c *Context[T], _, dout []T, in, din [][]T) {
	for row, g := range dout {
		if g == 0 {
			continue
		}
		o.row(c, in[0], row)
		for k, v := range o.g {
			din[0][k*c.Rows+row] += g * v
		}
	}
}

// CrossEntropy returns the softmax cross-entropy of logits/temperature for a label and writes its gradient with respect to the
// logits to grad, which may be logits. The gradient of the label's logit is −Σ of the other probabilities, not p−1, which
// loses all digits when p is near 1.
func CrossEntropy[T kernel.Float](grad, logits []T, label int, temperature float64) float64 {
	own := float64(logits[label])
	most, rest := exponentials(grad, logits, temperature)
	scale, others := 1/(temperature*(1+rest)), 0.0
	for j, e := range grad {
		if j != label {
			others += float64(e)
			grad[j] = T(float64(e) * scale)
		}
	}
	grad[label] = T(-others * scale)
	return math.Log1p(rest) - (own-most)/temperature
}

// SoftCrossEntropy is CrossEntropy for probabilities of the classes. grad must not be logits.
func SoftCrossEntropy[T kernel.Float](grad, logits, probabilities []T, temperature float64) float64 {
	most, rest := exponentials(grad, logits, temperature)
	scale, mass, loss, norm := 1/(temperature*(1+rest)), 0.0, 0.0, math.Log1p(rest)
	for j, v := range probabilities {
		mass += float64(v)
		if v != 0 {
			loss += float64(v) * (norm - (float64(logits[j])-most)/temperature)
		}
	}
	for j, e := range grad {
		grad[j] = T((float64(e)*mass - float64(probabilities[j])*(1+rest)) * scale)
	}
	return loss
}

// Softmax turns logits into probabilities at a temperature, in place.
func Softmax[T kernel.Float](logits []T, temperature float64) {
	_, rest := exponentials(logits, logits, temperature)
	for j := range logits {
		logits[j] = T(float64(logits[j]) / (1 + rest))
	}
}

// exponentials writes exp((z−max z)/temperature) and returns the maximum and the sum of all but its 1.
func exponentials[T kernel.Float](e, z []T, temperature float64) (most, rest float64) {
	top := 0
	for j, v := range z {
		if v > z[top] {
			top = j
		}
	}
	most = float64(z[top]) // e may be z
	for j, v := range z {
		x := math.Exp((float64(v) - most) / temperature)
		if j != top {
			rest += x
		}
		e[j] = T(x)
	}
	return most, rest
}
