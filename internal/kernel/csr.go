package kernel

// A CSR is an immutable m×n matrix in compressed sparse rows, safe for concurrent use. Build it with NewCSR, which checks
// what the assembly relies on.
type CSR[T Float] struct {
	m, n     int
	ptr, idx []int32
	val      []T
}

// NewCSR returns the matrix whose row i has the columns idx[ptr[i]:ptr[i+1]] and the values val at the same positions.
// The slices are kept. It panics if they do not describe an m×n matrix.
func NewCSR[T Float](m, n int, ptr, idx []int32, val []T) *CSR[T] {
	if len(ptr) != m+1 || len(idx) != len(val) || ptr[0] != 0 || int(ptr[m]) != len(idx) {
		panic("kernel: NewCSR: length mismatch")
	}
	for i := 0; i < m; i++ {
		if ptr[i] > ptr[i+1] {
			panic("kernel: NewCSR: decreasing row pointer")
		}
	}
	for _, j := range idx {
		if j < 0 || int(j) >= n {
			panic("kernel: NewCSR: column out of range")
		}
	}
	return &CSR[T]{m, n, ptr, idx, val}
}

// Row returns the columns and values of row i; they must not be modified.
func (s *CSR[T]) Row(i int) (idx []int32, val []T) {
	p, q := s.ptr[i], s.ptr[i+1]
	return s.idx[p:q:q], s.val[p:q:q]
}

// Values returns the stored values in row order; they must not be modified.
func (s *CSR[T]) Values() []T { return s.val }

// Abs returns |M|, sharing the structure.
func (s *CSR[T]) Abs() *CSR[T] {
	v := make([]T, len(s.val))
	for i, x := range s.val {
		v[i] = abs(x)
	}
	return &CSR[T]{s.m, s.n, s.ptr, s.idx, v}
}

// Transpose returns Mᵀ.
func (s *CSR[T]) Transpose() *CSR[T] {
	t := &CSR[T]{s.n, s.m, make([]int32, s.n+1), make([]int32, len(s.idx)), make([]T, len(s.idx))}
	for _, j := range s.idx {
		t.ptr[j+1]++
	}
	for j := 0; j < s.n; j++ {
		t.ptr[j+1] += t.ptr[j]
	}
	next := append([]int32(nil), t.ptr[:s.n]...)
	for i := 0; i < s.m; i++ {
		idx, val := s.Row(i)
		for k, j := range idx {
			t.idx[next[j]], t.val[next[j]] = int32(i), val[k]
			next[j]++
		}
	}
	return t
}

// Mul computes dst[m×R] += M·x[n×R]; R is 1 or a multiple of 8. It panics on any other R and on slices that are too
// short. dst and x must not overlap.
func (s *CSR[T]) Mul(dst, x []T, R int) {
	if len(dst) < s.m*R || len(x) < s.n*R || R != 1 && (R%8 != 0 || R < 0) {
		panic("kernel: CSR: bad shape")
	}
	if R == 1 {
		s.mulVector(dst, x)
		return
	}
	for i := 0; i < s.m; i++ {
		idx, val := s.Row(i)
		switch d := dst[i*R : i*R+R]; len(idx) {
		case 0:
		case 1:
			j := int(idx[0])
			Axpy(d, x[j*R:j*R+R], val[0])
		default:
			panel(1, len(idx), val, 1, x, 0, idx, R, d, R, R)
		}
	}
}

func (s *CSR[T]) mulVector(dst, x []T) {
	for i := range s.m {
		sum := T(0)
		idx, val := s.Row(i)
		for k, j := range idx {
			sum += val[k] * x[j]
		}
		dst[i] += sum
	}
}

// MulT computes dst[n] += Mᵀ·y[m] for a single vector, without a transposed copy. It panics on slices that are too short.
func (s *CSR[T]) MulT(dst, y []T) {
	if len(dst) < s.n || len(y) < s.m {
		panic("kernel: CSR: bad shape")
	}
	for i := range s.m {
		f := y[i]
		if f == 0 {
			continue
		}
		idx, val := s.Row(i)
		for k, j := range idx {
			dst[j] += f * val[k]
		}
	}
}
