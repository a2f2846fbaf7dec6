package tape

import "github.com/spai-project/certify/internal/kernel"

// A Lane runs a tape on one shard at a time: the instances of the operations, and the room for their values and gradients.
// Operations that run another tape inside, as attacks do, have a Lane of their own.
type Lane[T kernel.Float] struct {
	t         *Tape[T]
	ops       []Op[T]
	buf, dbuf [][]T // room for batch and shard values, and for their gradients
	val, grad [][]T // of the present shard; grad is nil where nobody asks
	in, din   [][][]T
	reached   []bool // by the inputs
	rows      int
}

// NewLane returns a lane of a tape.
func NewLane[T kernel.Float](t *Tape[T]) *Lane[T] {
	n := len(t.nodes)
	l := &Lane[T]{t: t, ops: make([]Op[T], n), buf: make([][]T, n), dbuf: make([][]T, n), val: make([][]T, n), grad: make([][]T, n),
		in: make([][][]T, n), din: make([][][]T, n), reached: make([]bool, n)}
	l.reached[0] = true
	for i := range t.nodes {
		s := &t.nodes[i]
		if s.make == nil {
			continue
		}
		l.ops[i] = s.make()
		l.in[i], l.din[i] = make([][]T, len(s.in)), make([][]T, len(s.in))
		for _, v := range s.in {
			l.reached[i] = l.reached[i] || !s.dead && l.reached[v.index]
		}
	}
	return l
}

// Forward computes every value for a shard: x holds its inputs, rows innermost; params and derived are those of the run. The
// slices must not change before Backward.
func (l *Lane[T]) Forward(c *Context[T], x, params, derived []T) {
	l.rows = c.Rows
	for i := range l.t.nodes {
		s := &l.t.nodes[i]
		switch {
		case s.kind == paramKind:
			l.val[i] = params[s.from:][:s.width]
		case s.kind == derivedKind:
			l.val[i] = derived[s.from:][:s.width]
		case i == 0:
			l.val[i] = x[:s.size(c.Rows)]
		default:
			l.val[i] = grown(&l.buf[i], s.size(c.Rows))
		}
		for k, v := range s.in {
			if l.in[i] != nil {
				l.in[i][k] = l.val[v.index]
			}
		}
		if l.ops[i] != nil {
			l.ops[i].Forward(c, l.val[i], l.in[i])
		}
	}
}

// Seek begins the way back: it sets all gradients of the shard's values to 0, for the caller to set those that are known by Grad.
// dparams and dderived, if not nil, will take the gradients of the parameters and derived values, added to what is there;
// inputs says whether those of the inputs are wanted.
func (l *Lane[T]) Seek(dparams, dderived []T, inputs bool) {
	for i := range l.t.nodes {
		s := &l.t.nodes[i]
		l.grad[i] = nil
		switch wanted := dparams != nil && s.active; {
		case s.kind == paramKind && wanted:
			l.grad[i] = dparams[s.from:][:s.width]
		case s.kind == derivedKind && wanted:
			l.grad[i] = dderived[s.from:][:s.width]
		case wanted || inputs && l.reached[i]:
			l.grad[i] = grown(&l.dbuf[i], s.size(l.rows))
			clear(l.grad[i])
		}
		for k := range l.din[i] {
			l.din[i][k] = l.grad[s.in[k].index]
		}
	}
}

// Backward takes the gradients of the values back. The context is that of Forward.
func (l *Lane[T]) Backward(c *Context[T]) {
	for i := len(l.ops) - 1; i > 0; i-- {
		if o := l.ops[i]; o != nil && l.grad[i] != nil {
			o.Backward(c, l.val[i], l.grad[i], l.in[i], l.din[i])
		}
	}
}

// Val returns a value of the present shard.
func (l *Lane[T]) Val(v Value) []T { return l.val[v.index] }

// Grad returns the gradient of a value of the present shard, nil for one that nobody asks for.
func (l *Lane[T]) Grad(v Value) []T { return l.grad[v.index] }

// size returns how many numbers a batch or shard value has.
func (s *node[T]) size(rows int) int {
	if s.kind == shardKind {
		return s.width
	}
	return s.width * s.copies * rows
}

// grown returns n numbers of any value, in *buf.
func grown[T kernel.Float](buf *[]T, n int) []T {
	if cap(*buf) < n {
		*buf = make([]T, n)
	}
	return (*buf)[:n]
}
