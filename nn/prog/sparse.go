package prog

// sparseMap is a matrix in compressed sparse rows.
type sparseMap struct {
	m, n   int
	ptr    []int32
	idx    []int32
	val    []float64
	colFan int
	rowFan int
}

// Sparse returns the map of an m×n matrix given in compressed sparse rows: row i has the columns idx[ptr[i]:ptr[i+1]]
// (no duplicates within a row) and the values val at the same positions. The slices are kept.
func Sparse(m, n int, ptr, idx []int32, val []float64) Linear {
	if len(ptr) != m+1 || len(idx) != len(val) || int(ptr[m]) != len(idx) {
		panic("prog: Sparse: length mismatch")
	}
	s := &sparseMap{m: m, n: n, ptr: ptr, idx: idx, val: val}
	count := make([]int32, n)
	for i := 0; i < m; i++ {
		s.rowFan = max(s.rowFan, int(ptr[i+1]-ptr[i]))
	}
	for _, j := range idx {
		count[j]++
		s.colFan = max(s.colFan, int(count[j]))
	}
	return s
}

// Index returns the map out[i] = in[idx[i]], or 0 where idx[i] < 0; in has n elements.
func Index(n int, idx []int32) Linear {
	ptr := make([]int32, len(idx)+1)
	var cols []int32
	var val []float64
	for i, j := range idx {
		if j >= 0 {
			cols = append(cols, j)
			val = append(val, 1)
		}
		ptr[i+1] = int32(len(cols))
	}
	return Sparse(len(idx), n, ptr, cols, val)
}

// Diag returns the square map out[i] = s[i]·in[i].
func Diag(s []float64) Linear {
	ptr := make([]int32, len(s)+1)
	idx := make([]int32, len(s))
	for i := range s {
		ptr[i+1], idx[i] = int32(i+1), int32(i)
	}
	return Sparse(len(s), len(s), ptr, idx, s)
}

// Identity returns the identity on n elements.
func Identity(n int) Linear {
	s := make([]float64, n)
	for i := range s {
		s[i] = 1
	}
	return Diag(s)
}

func (s *sparseMap) Dims() (out, in int) { return s.m, s.n }
func (s *sparseMap) Fan() (row, col int) { return s.rowFan, s.colFan }

func (s *sparseMap) Forward(dst, x []float64, R int) {
	for i := 0; i < s.m; i++ {
		d := dst[i*R : i*R+R]
		for k := s.ptr[i]; k < s.ptr[i+1]; k++ {
			j, v := int(s.idx[k]), s.val[k]
			for r, xv := range x[j*R : j*R+R] {
				d[r] += v * xv
			}
		}
	}
}

func (s *sparseMap) ForwardAbs(dst, x []float64, R int) {
	for i := 0; i < s.m; i++ {
		d := dst[i*R : i*R+R]
		for k := s.ptr[i]; k < s.ptr[i+1]; k++ {
			j, v := int(s.idx[k]), s.val[k]
			if v < 0 {
				v = -v
			}
			for r, xv := range x[j*R : j*R+R] {
				d[r] += v * xv
			}
		}
	}
}

func (s *sparseMap) Backward(dst, y []float64, R int) {
	for i := 0; i < s.m; i++ {
		yr := y[i*R : i*R+R]
		for k := s.ptr[i]; k < s.ptr[i+1]; k++ {
			j, v := int(s.idx[k]), s.val[k]
			d := dst[j*R : j*R+R]
			for r, yv := range yr {
				d[r] += v * yv
			}
		}
	}
}

func (s *sparseMap) Row(dst []float64, R, r, i int, f float64) {
	for k := s.ptr[i]; k < s.ptr[i+1]; k++ {
		dst[int(s.idx[k])*R+r] += f * s.val[k]
	}
}

func (s *sparseMap) Each(f func(i, j int, v float64)) {
	for i := 0; i < s.m; i++ {
		for k := s.ptr[i]; k < s.ptr[i+1]; k++ {
			f(i, int(s.idx[k]), s.val[k])
		}
	}
}
