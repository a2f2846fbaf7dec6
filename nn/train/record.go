package train

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/nn/tape"
)

// Record records the net on rows of inputs and returns its logits. The tape's parameters are the net's Weights. Batch normalisation
// uses the population's statistics.
func (n *Net[T]) Record(t *tape.Tape[T], x tape.Value) tape.Value {
	return n.RecordWith(t, x, n.Population(t))
}

// RecordBatch is Record for training: batch normalisation uses the statistics of x, shard by shard. norms has the value of every
// stage that is a BatchNorm, for bounds and attacks on the same rows to use.
func (n *Net[T]) RecordBatch(t *tape.Tape[T], x tape.Value) (logits tape.Value, norms []tape.Value) {
	norms = make([]tape.Value, len(n.stages))
	for i := range n.stages {
		s := &n.stages[i]
		if s.Layer == (BatchNorm{}) {
			p := Values(t, s)
			norms[i] = t.BatchNorm(x, p[0], p[1])
		}
		x = s.record(t, x, norms[i])
	}
	return x, norms
}

// RecordWith is Record with given norms, one for every stage.
func (n *Net[T]) RecordWith(t *tape.Tape[T], x tape.Value, norms []tape.Value) tape.Value {
	return n.RecordStages(t, x, norms, 0, len(n.stages))
}

// RecordStages records the stages from an index up to another, on what comes before them.
func (n *Net[T]) RecordStages(t *tape.Tape[T], x tape.Value, norms []tape.Value, from, to int) tape.Value {
	for i := from; i < to; i++ {
		x = n.stages[i].record(t, x, norms[i])
	}
	return x
}

// Population returns the norms of the population.
func (n *Net[T]) Population(t *tape.Tape[T]) []tape.Value {
	norms := make([]tape.Value, len(n.stages))
	for i := range n.stages {
		if s := &n.stages[i]; s.Layer == (BatchNorm{}) {
			p := Values(t, s)
			norms[i] = t.PopulationNorm(p[0], p[1], p[2], p[3])
		}
	}
	return norms
}

// record records a stage. x may have copies.
func (s *Stage) record(t recording, x, norm tape.Value) tape.Value {
	switch l := s.Layer.(type) {
	case Dense:
		p := Values(t, s)
		return t.Dense(x, p[0], &p[1], l.Out)
	case Conv2D:
		p := Values(t, s)
		return t.Conv(x, p[0], &p[1], l.Geometry(s.In))
	case BatchNorm:
		return t.Normalise(x, norm, s.In[0])
	}
	return t.ReLU(x)
}

// recording is a Tape of either type.
type recording interface {
	Param(from, n int) tape.Value
	Dense(x, w tape.Value, b *tape.Value, out int) tape.Value
	Conv(x, w tape.Value, b *tape.Value, g tape.Geometry) tape.Value
	Normalise(x, norm tape.Value, channels int) tape.Value
	ReLU(x tape.Value) tape.Value
}

var _, _ recording = (*tape.Tape[float32])(nil), (*tape.Tape[float64])(nil)

// Values returns the parameters of a stage as values of a tape.
func Values(t interface{ Param(from, n int) tape.Value }, s *Stage) []tape.Value {
	var out []tape.Value
	at := s.From
	for _, shape := range s.Params {
		out = append(out, t.Param(at, op.Size(shape)))
		at += op.Size(shape)
	}
	return out
}

// Folded returns the network with its batch normalisation, by the population's statistics, multiplied into the layers before. It is
// the same function but for rounding.
func (n *Net[T]) Folded() *Net[T] {
	out := &Net[T]{input: n.input}
	at := 0
	for i := range n.stages {
		s := n.stages[i]
		if s.Layer == (BatchNorm{}) {
			continue
		}
		old := s.From
		s.From = at
		for k, shape := range s.Params {
			size := op.Size(shape)
			out.params = append(out.params, Param[T]{Name: s.Name + "." + []string{"weight", "bias"}[k], Shape: shape})
			out.Weights = append(out.Weights, n.Weights[old:][:size]...)
			old, at = old+size, at+size
		}
		out.stages = append(out.stages, s)
		if i+1 < len(n.stages) && n.stages[i+1].Layer == (BatchNorm{}) {
			fold(&s, out.Weights[s.From:], n.Weights[n.stages[i+1].From:])
		}
	}
	out.view()
	return out
}

// fold multiplies a layer's parameters by those of a normalisation.
func fold[T kernel.Float](s *Stage, layer, norm []T) {
	C := s.Out[0]
	weight, bias := layer[:op.Size(s.Params[0])], layer[op.Size(s.Params[0]):][:C]
	for c := range C {
		scale := float64(norm[c]) / math.Sqrt(float64(norm[3*C+c])+tape.NormEpsilon)
		bias[c] = T((float64(bias[c])-float64(norm[2*C+c]))*scale + float64(norm[C+c]))
		if _, ok := s.Layer.(Dense); ok {
			for i := c; i < len(weight); i += C {
				weight[i] = T(float64(weight[i]) * scale)
			}
			continue
		}
		row := weight[c*len(weight)/C:][:len(weight)/C]
		for i, v := range row {
			row[i] = T(float64(v) * scale)
		}
	}
}
