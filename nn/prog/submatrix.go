package prog

// Submatrix returns the given rows and columns of m, both in increasing order (nil: all of them), as a dense or a sparse map,
// whichever costs less; a part of a dense map is dense.
func Submatrix(m Linear, rows, cols []int32) Linear {
	if rows == nil && cols == nil {
		return m
	}
	out, in := m.Dims()
	if rows == nil {
		rows = upTo(out)
	}
	if cols == nil {
		cols = upTo(in)
	}
	if d, ok := m.(*denseMap); ok {
		w := make([]float64, 0, len(rows)*len(cols))
		for _, i := range rows {
			row := d.weights(int(i))
			for _, j := range cols {
				w = append(w, row[j])
			}
		}
		return Dense(len(rows), len(cols), w)
	}
	at := make([]int32, in)
	for j := range at {
		at[j] = -1
	}
	for k, j := range cols {
		at[j] = int32(k)
	}
	ptr := make([]int32, 1, len(rows)+1)
	var idx []int32
	var val []float64
	row := RowReader(m)
	for _, i := range rows {
		row(int(i), func(j int, v float64) {
			if at[j] >= 0 {
				idx, val = append(idx, at[j]), append(val, v)
			}
		})
		ptr = append(ptr, int32(len(idx)))
	}
	if w := filled(len(rows), len(cols), ptr, idx, val); w != nil {
		return Dense(len(rows), len(cols), w)
	}
	return Sparse(len(rows), len(cols), ptr, idx, val)
}

// filled returns the dense form of a sparse matrix that costs no less as it is, nil otherwise or when entries share a place: their
// sum would be rounded.
func filled(rows, cols int, ptr, idx []int32, val []float64) []float64 {
	if sparsePrice*len(val) < rows*cols {
		return nil
	}
	w, set := make([]float64, rows*cols), make([]bool, rows*cols)
	for i := range rows {
		for p := ptr[i]; p < ptr[i+1]; p++ {
			o := i*cols + int(idx[p])
			if set[o] {
				return nil
			}
			w[o], set[o] = val[p], true
		}
	}
	return w
}

// MarkColumns marks the columns in which the given rows of m (nil: all) have nonzero entries.
func MarkColumns(m Linear, rows []int32, mark []bool) {
	if rows == nil {
		out, _ := m.Dims()
		rows = upTo(out)
	}
	row := RowReader(m)
	for _, i := range rows {
		row(int(i), func(j int, v float64) {
			if v != 0 {
				mark[j] = true
			}
		})
	}
}

// sparsePrice is what a multiply-add of a sparse map costs in those of a dense one or a convolution.
const sparsePrice = 3

// Work estimates the price of applying m to one lane, in multiply-adds of dense maps.
func Work(m Linear) int {
	out, in := m.Dims()
	switch d := m.(type) {
	case *denseMap:
		return out * in
	case *sparseMap:
		return sparsePrice * len(d.csr.Values())
	}
	row, _ := m.Fan()
	return out * row
}

// SubmatrixWork estimates Work of a submatrix with the given numbers of rows and columns.
func SubmatrixWork(m Linear, rows, cols int) int {
	out, in := m.Dims()
	if rows == out && cols == in {
		return Work(m)
	}
	if _, ok := m.(*denseMap); ok {
		return rows * cols
	}
	row, _ := m.Fan()
	nnz := out * row
	if d, ok := m.(*sparseMap); ok {
		nnz = len(d.csr.Values())
	}
	return int(sparsePrice * float64(nnz) * float64(rows) / float64(max(out, 1)) * float64(cols) / float64(max(in, 1)))
}

func upTo(n int) []int32 {
	x := make([]int32, n)
	for i := range x {
		x[i] = int32(i)
	}
	return x
}
