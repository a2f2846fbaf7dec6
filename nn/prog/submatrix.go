package prog

// Submatrix returns the given rows and columns of a dense or sparse map, in increasing order (nil: all of them); for other maps
// it reports false.
func Submatrix(m Linear, rows, cols []int32) (Linear, bool) {
	if rows == nil && cols == nil {
		return m, true
	}
	out, in := m.Dims()
	if rows == nil {
		rows = upTo(out)
	}
	if cols == nil {
		cols = upTo(in)
	}
	switch d := m.(type) {
	case *denseMap:
		w := make([]float64, 0, len(rows)*len(cols))
		for _, i := range rows {
			row := d.weights(int(i))
			for _, j := range cols {
				w = append(w, row[j])
			}
		}
		return Dense(len(rows), len(cols), w), true
	case *sparseMap:
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
		for _, i := range rows {
			d.row(int(i), func(j int, v float64) {
				if at[j] >= 0 {
					idx, val = append(idx, at[j]), append(val, v)
				}
			})
			ptr = append(ptr, int32(len(idx)))
		}
		return Sparse(len(rows), len(cols), ptr, idx, val), true
	}
	return nil, false
}

func upTo(n int) []int32 {
	x := make([]int32, n)
	for i := range x {
		x[i] = int32(i)
	}
	return x
}
