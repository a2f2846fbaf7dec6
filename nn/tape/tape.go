package tape

import (
	"fmt"

	"github.com/spai-project/certify/internal/kernel"
)

// A Value is a handle on what a tape computes. It is of use with its own tape only.
type Value struct{ index int }

// A Scalar is a handle on a number that the caller sets before a run, like ε or a weight of a loss.
type Scalar struct{ index int }

type kind uint8

const (
	batchKind kind = iota
	shardKind
	paramKind
	derivedKind
)

// node is one value and how it comes about.
type node[T kernel.Float] struct {
	kind   kind
	width  int // numbers per row and copy; all numbers of a parameter, derived or shard value
	copies int // of a batch value
	from   int // of a parameter: its place in the parameters; of a derived value: after them
	make   func() Op[T]
	derive Derivation[T]
	in     []Value
	active bool // a parameter has influence on it
	dead   bool // gradients end here
}

// An Op is an operation on the rows of a shard. Every worker has an instance of its own, so it may keep scratch and what Backward
// needs of Forward.
type Op[T kernel.Float] interface {
	// Forward computes the output from the inputs: it overwrites all of out.
	Forward(c *Context[T], out []T, in [][]T)
	// Backward takes the gradient dout of the output to the inputs and adds it to din; din[i] is nil where nobody asks.
	Backward(c *Context[T], out, dout []T, in, din [][]T)
}

// A Derivation makes a value of parameters. It runs once per run, before the shards, and its Backward after them.
type Derivation[T kernel.Float] interface {
	Forward(out, in []T)
	// Backward adds to din.
	Backward(out, dout, in, din []T)
}

// A Context is what an operation may know besides its inputs.
type Context[T kernel.Float] struct {
	Rows int // of the shard
	// Labels and Soft are those of the shard's rows: Soft holds one row of probabilities after the other. Either may be nil.
	Labels []int
	Soft   []T
	// Run, Shard say which random numbers to draw: runs of a Runner and shards of a batch are counted from 0.
	Run, Shard uint64
	// Mul multiplies matrices.
	Mul kernel.Multiplier[T]

	scalars []float64
	room    [2][]T
}

// Scalar returns the present value of a scalar.
func (c *Context[T]) Scalar(s Scalar) float64 { return c.scalars[s.index] }

// Room returns n numbers of any value, in one of two places that all operations share.
func (c *Context[T]) Room(place, n int) []T {
	if cap(c.room[place]) < n {
		c.room[place] = make([]T, n)
	}
	return c.room[place][:n]
}

// A Tape is a program. Record it, then make Runners; it must not change after that. Methods that record panic on values that do
// not fit: shapes are the program's own, checked by whoever reads them from a file.
type Tape[T kernel.Float] struct {
	nodes   []node[T]
	inputs  int
	scalars int
	params  int // numbers of parameters seen
	derived int
}

// New returns an empty tape whose batch value Input() has so many numbers per row. params is the length of the slice of
// parameters of every run.
func New[T kernel.Float](inputs, params int) *Tape[T] {
	t := &Tape[T]{inputs: inputs, params: params}
	t.nodes = append(t.nodes, node[T]{kind: batchKind, width: inputs, copies: 1})
	return t
}

// Input returns the rows of the batch.
func (t *Tape[T]) Input() Value { return Value{0} }

// Scalar returns a new scalar, 0 until it is set.
func (t *Tape[T]) Scalar() Scalar {
	t.scalars++
	return Scalar{t.scalars - 1}
}

// Param returns n parameters from an index on.
func (t *Tape[T]) Param(from, n int) Value {
	if from < 0 || n < 1 || from+n > t.params {
		panic(fmt.Sprintf("tape: parameters %d to %d of %d", from, from+n, t.params))
	}
	return t.add(node[T]{kind: paramKind, width: n, from: from, active: true})
}

// Derive returns a value of so many numbers that is computed from a parameter once per run. d must serve one Runner only if it has a
// state of its own.
func (t *Tape[T]) Derive(width int, d Derivation[T], param Value) Value {
	p := t.node(param)
	if p.kind != paramKind {
		panic("tape: derived from what is no parameter")
	}
	t.derived += width
	return t.add(node[T]{kind: derivedKind, width: width, from: t.derived - width, derive: d, in: []Value{param}, active: true})
}

// Record adds an operation whose output has so many numbers per row and copy. op makes an instance for a worker.
func (t *Tape[T]) Record(width, copies int, op func() Op[T], in ...Value) Value {
	return t.record(batchKind, width, copies, op, in)
}

// RecordDead is Record for an operation at which gradients end.
func (t *Tape[T]) RecordDead(width, copies int, op func() Op[T], in ...Value) Value {
	v := t.record(batchKind, width, copies, op, in)
	t.nodes[v.index].dead, t.nodes[v.index].active = true, false
	return v
}

// RecordShard adds an operation whose output is one list of numbers for the rows of a shard.
func (t *Tape[T]) RecordShard(width int, op func() Op[T], in ...Value) Value {
	return t.record(shardKind, width, 1, op, in)
}

func (t *Tape[T]) record(k kind, width, copies int, op func() Op[T], in []Value) Value {
	if width < 1 || copies < 1 {
		panic(fmt.Sprintf("tape: %d copies of %d numbers", copies, width))
	}
	n := node[T]{kind: k, width: width, copies: copies, make: op, in: in}
	for _, v := range in {
		n.active = n.active || t.node(v).active
	}
	return t.add(n)
}

func (t *Tape[T]) add(n node[T]) Value {
	t.nodes = append(t.nodes, n)
	return Value{len(t.nodes) - 1}
}

func (t *Tape[T]) node(v Value) *node[T] { return &t.nodes[v.index] }

// Width returns the numbers of a value per row and copy.
func (t *Tape[T]) Width(v Value) int { return t.node(v).width }

// Copies returns the number of copies of a value.
func (t *Tape[T]) Copies(v Value) int { return max(t.node(v).copies, 1) }

// Inherit makes c the context of a tape that an operation runs inside another, on the same rows. Its scalars begin as 0.
func (c *Context[T]) Inherit(outer *Context[T], t *Tape[T]) {
	c.Rows, c.Labels, c.Soft, c.Run, c.Shard = outer.Rows, outer.Labels, outer.Soft, outer.Run, outer.Shard
	if len(c.scalars) != t.scalars {
		c.scalars = make([]float64, t.scalars)
	}
}

// Set gives a scalar its value in this context.
func (c *Context[T]) Set(s Scalar, v float64) { c.scalars[s.index] = v }
