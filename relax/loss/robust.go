package loss

import (
	"errors"
	"fmt"

	"github.com/spai-project/certify/nn/tape"
	"github.com/spai-project/certify/nn/train"
)

// robust records the robust loss of the method, and the worst logits of its bound.
func (r *recorder[T]) robust(clean tape.Value) (loss tape.Value, worst *tape.Value, err error) {
	switch r.Method {
	case "natural":
		return r.CrossEntropy(clean, r.one), nil, nil
	case "pgd":
		return r.CrossEntropy(r.net.RecordWith(r.Tape, r.attack(), r.norms), r.one), nil, nil
	}
	if r.Method == "wong-kolter" {
		w, err := r.kolter()
		if err != nil {
			return tape.Value{}, nil, err
		}
		return r.CrossEntropy(w, r.one), &w, nil
	}
	ball := r.Ball(r.x, r.eps, r.Lower, r.Upper)
	if r.Method == "sabr" {
		ball = r.SmallBall(r.x, r.attack(), r.eps, r.part, r.Lower, r.Upper)
	}
	b, err := r.boxes(ball)
	if err != nil {
		return tape.Value{}, nil, err
	}
	w := b.margins
	switch r.Method {
	case "ibp", "sabr":
		loss = r.CrossEntropy(w, r.one)
	case "crown-ibp":
		w = r.Blend(r.crown(b), r.beta, w, r.notBeta)
		loss = r.CrossEntropy(w, r.one)
	case "mtl-ibp", "exp-ibp":
		bound := r.CrossEntropy(w, r.one)
		adversarial := r.CrossEntropy(r.net.RecordWith(r.Tape, r.attack(), r.norms), r.one)
		if r.Method == "mtl-ibp" {
			loss = r.Blend(bound, r.alpha, adversarial, r.notAlpha)
		} else {
			loss = r.PowerProduct(bound, r.alpha, adversarial, r.notAlpha)
		}
	case "cc-ibp":
		adversarial := r.AboveLabel(r.net.RecordWith(r.Tape, r.attack(), r.norms))
		loss = r.CrossEntropy(r.Blend(w, r.alpha, adversarial, r.notAlpha), r.one)
	case "taps":
		loss, err = r.taps(b)
	}
	return loss, &w, err
}

// boxes are the interval bounds of a net.
type boxes struct {
	input   tape.Value
	after   []tape.Value // of every stage but the last
	margins tape.Value   // the largest logits over the label's
}

// boxes records interval bounds from a box of inputs on.
func (r *recorder[T]) boxes(box tape.Value) (b boxes, err error) {
	b.input = box
	last := len(r.stages) - 1
	if d, ok := r.stages[last].Layer.(train.Dense); !ok || d.Out < 2 || r.Method == "crown-ibp" && last == 0 {
		return b, errors.New("the last layer must be dense, with an output for every class; crown-ibp needs a layer before it")
	}
	for i := range r.stages[:last] {
		box = r.interval(i, box)
		b.after = append(b.after, box)
	}
	p := train.Values(r.Tape, &r.stages[last])
	b.margins = r.IntervalMargins(box, p[0], &p[1], r.net.Classes())
	return b, nil
}

// interval records a stage on a box.
func (r *recorder[T]) interval(i int, box tape.Value) tape.Value {
	s := &r.stages[i]
	switch l := s.Layer.(type) {
	case train.Dense:
		p := train.Values(r.Tape, s)
		return r.IntervalDense(box, p[0], r.abs(p[0]), &p[1], l.Out)
	case train.Conv2D:
		p := train.Values(r.Tape, s)
		return r.IntervalConv(box, p[0], r.abs(p[0]), &p[1], l.Geometry(s.In))
	case train.BatchNorm:
		return r.IntervalNormalise(box, r.norms[i], s.In[0])
	case train.ReLU:
		return r.IntervalReLU(box)
	}
	panic(fmt.Sprintf("loss: no interval bounds for a %T", s.Layer))
}

// abs records |w|.
func (r *recorder[T]) abs(w tape.Value) tape.Value { return r.Derive(r.Width(w), tape.Abs[T]{}, w) }
