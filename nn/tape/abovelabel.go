package tape

import "github.com/spai-project/certify/internal/kernel"

// AboveLabel records logits minus that of the row's label.
func (t *Tape[T]) AboveLabel(logits Value) Value {
	return t.Record(t.Width(logits), 1, func() Op[T] { return aboveLabelOp[T]{} }, logits)
}

type aboveLabelOp[T kernel.Float] struct{}

func (aboveLabelOp[T]) Forward(c *Context[T], out []T, in [][]T) {
	z, R := in[0], c.Rows
	for row, y := range c.Labels {
		own := z[y*R+row]
		for at := row; at < len(z); at += R {
			out[at] = z[at] - own
		}
	}
}

func (aboveLabelOp[T]) Backward(c *Context[T], _, dout []T, _, din [][]T) {
	R := c.Rows
	for row, y := range c.Labels {
		own := y*R + row
		for at := row; at < len(dout); at += R {
			if at != own {
				din[0][at] += dout[at]
				din[0][own] -= dout[at]
			}
		}
	}
}
