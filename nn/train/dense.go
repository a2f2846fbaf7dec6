package train

import "github.com/spai-project/certify/internal/kernel"

// dense is Y = X·W + b on rows. W is stored [in out], so that forward and the gradient of W read their right-hand operands
// in place; only the gradient of X transposes.
type dense[T kernel.Float] struct{ in, out int }

func (d dense[T]) Forward(w, in, out []T, rows int, s *scratch[T]) {
	weight, bias := w[:d.in*d.out], w[d.in*d.out:]
	for r := range rows {
		copy(out[r*d.out:][:d.out], bias)
	}
	s.mul.Mul(rows, d.out, d.in, 1, matrix(in, d.in), matrix(weight, d.out), matrix(out, d.out))
}

func (d dense[T]) Backward(w, in, _, dout, din, dw []T, rows int, s *scratch[T]) {
	if dw != nil {
		s.mul.Mul(d.in, d.out, rows, 1, transposed(in, d.in), matrix(dout, d.out), matrix(dw, d.out))
		bias := dw[d.in*d.out:]
		for r := range rows {
			kernel.Axpy(bias, dout[r*d.out:][:d.out], 1)
		}
	}
	if din != nil {
		clear(din)
		s.mul.Mul(rows, d.in, d.out, 1, matrix(dout, d.out), transposed(w, d.out), matrix(din, d.in))
	}
}

func matrix[T kernel.Float](x []T, stride int) kernel.Matrix[T] {
	return kernel.Matrix[T]{Data: x, Stride: stride}
}

func transposed[T kernel.Float](x []T, stride int) kernel.Matrix[T] {
	return kernel.Matrix[T]{Data: x, Stride: stride, Trans: true}
}
