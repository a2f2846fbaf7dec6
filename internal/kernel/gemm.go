package kernel

import (
	"math"
	"slices"
)

const (
	panelHeight = 12  // rows of the largest register tile
	blockK      = 384 // depth of one pass over all lanes: a panel of A stays in the caches; see BenchmarkPacked
)

// A Packed is an immutable m×k matrix in the order in which the tiles read it: panels of at most 12 rows of nearly equal
// height, each k-major. It is safe for concurrent use.
type Packed[T Float] struct {
	m, k   int
	panels []packedPanel[T]
}

type packedPanel[T Float] struct {
	row, h int
	a      []T // a[t*stride+i] is A[row+i, t]
	stride int
}

// split calls f for the row ranges of the panels of an m-row matrix.
func split(m int, f func(row, h int)) {
	n := (m + panelHeight - 1) / panelHeight
	for p, row := 0, 0; p < n; p++ {
		h := (m - row) / (n - p)
		f(row, h)
		row += h
	}
}

// Pack copies the m×k matrix A[i,t] = a[i*rs+t*ks] into panels. It panics if a is too short.
func Pack[T Float](m, k int, a []T, rs, ks int) *Packed[T] { return pack(m, k, a, rs, ks, false) }

// PackAbs is Pack of the elementwise absolute values.
func PackAbs[T Float](m, k int, a []T, rs, ks int) *Packed[T] { return pack(m, k, a, rs, ks, true) }

func pack[T Float](m, k int, a []T, rs, ks int, absolute bool) *Packed[T] {
	p := &Packed[T]{m: m, k: k}
	data := make([]T, m*k)
	split(m, func(row, h int) {
		d := data[row*k : (row+h)*k]
		for t := 0; t < k; t++ {
			for i := 0; i < h; i++ {
				v := a[(row+i)*rs+t*ks]
				if absolute {
					v = abs(v)
				}
				d[t*h+i] = v
			}
		}
		p.panels = append(p.panels, packedPanel[T]{row, h, d, h})
	})
	return p
}

// View returns A[i,t] = a[t*m+i] (a k×m row-major matrix, transposed) without copying: slower than packed for large
// matrices, but free. a is kept. It panics if a is too short.
func View[T Float](m, k int, a []T) *Packed[T] {
	p := &Packed[T]{m: m, k: k}
	a = a[:m*k]
	split(m, func(row, h int) {
		p.panels = append(p.panels, packedPanel[T]{row, h, a[min(row, len(a)):], m})
	})
	return p
}

// Dims returns the number of rows and columns.
func (p *Packed[T]) Dims() (m, k int) { return p.m, p.k }

// Mul computes C[m×R] += A·B[k×R] with R lanes; row i of C starts at c[i*ldc] and row t of B at b[t*R]. R is a multiple of 8.
// It panics on any other R and on slices that are too short. c and b must not overlap.
func (p *Packed[T]) Mul(c []T, ldc int, b []T, R int) {
	p.check(c, ldc, R)
	if len(b) < p.k*R {
		panic("kernel: Mul: b too short")
	}
	strip := stripLanes[T]()
	if p.m >= stripRows && R >= 4*strip {
		p.mulStrips(c, ldc, b, R, strip)
		return
	}
	depth := passDepth(p.k, blockK)
	for t := 0; t < p.k; t += depth {
		n := min(depth, p.k-t)
		for i := range p.panels {
			q := &p.panels[i]
			panel(q.h, n, q.a[t*q.stride:], q.stride, b, t, nil, R, c[q.row*ldc:], ldc, R)
		}
	}
}

// passDepth returns the depth of a pass so that all passes over depth k are nearly equal and none exceeds limit.
func passDepth(k, limit int) int {
	passes := max((k+limit-1)/limit, 1)
	return max((k+passes-1)/passes, 1)
}

// check panics unless c holds m rows of R lanes at distance ldc.
func (p *Packed[T]) check(c []T, ldc, R int) {
	if R%8 != 0 || R < 0 || ldc < R {
		panic("kernel: lanes must be a multiple of 8 and rows must not overlap")
	}
	if p.m > 0 && len(c) < (p.m-1)*ldc+R {
		panic("kernel: c too short")
	}
}

// A Rows is an immutable list of row numbers of B, relative to an offset given at each use.
type Rows struct {
	idx      []int32
	block    int
	min, max []int32 // per block, then of the whole list
}

// NewRows returns the list; idx is kept. block is the granularity at which parts of the list are checked against B when
// the whole of it does not fit: a part should begin and end at multiples of it.
func NewRows(idx []int32, block int) *Rows {
	r := &Rows{idx: idx, block: max(block, 1)}
	lo, hi := int32(math.MaxInt32), int32(math.MinInt32)
	for i := 0; i < len(idx); i += r.block {
		part := idx[i:min(i+r.block, len(idx))]
		r.min, r.max = append(r.min, slices.Min(part)), append(r.max, slices.Max(part))
		lo, hi = min(lo, r.min[len(r.min)-1]), max(hi, r.max[len(r.max)-1])
	}
	r.min, r.max = append(r.min, lo), append(r.max, hi)
	return r
}

// inside reports whether the rows t0..t0+n-1, moved by off, are among 0..limit-1. n is positive.
func (r *Rows) inside(off, t0, n, limit int) bool {
	if last := len(r.min) - 1; off+int(r.min[last]) >= 0 && off+int(r.max[last]) < limit {
		return true
	}
	for b := t0 / r.block; b <= (t0+n-1)/r.block; b++ {
		if off+int(r.min[b]) < 0 || off+int(r.max[b]) >= limit {
			return false
		}
	}
	return true
}

// Panels returns the number of panels, the argument range of MulRows.
func (p *Packed[T]) Panels() int { return len(p.panels) }

// MulRows computes C[rows of one panel] += A[·, t0:t0+n]·B where the row of B for column t starts at b[(off+rows[t])*R].
// Row i of C starts at c[i*ldc] (i counts from the first row of the matrix, not of the panel). It panics on R that is not
// a multiple of 8 and on anything outside the slices. c and b must not overlap.
func (p *Packed[T]) MulRows(pan int, c []T, ldc int, b []T, off int, rows *Rows, t0, n, R int) {
	if n == 0 || R == 0 {
		return
	}
	if R%8 != 0 || R < 0 || ldc < R || t0 < 0 || n < 0 || t0+n > p.k || t0+n > len(rows.idx) {
		panic("kernel: MulRows: bad shape")
	}
	if !rows.inside(off, t0, n, len(b)/R) {
		panic("kernel: MulRows: row outside b")
	}
	q := &p.panels[pan]
	c = c[q.row*ldc : (q.row+q.h-1)*ldc+R]
	panel(q.h, n, q.a[t0*q.stride:], q.stride, b, off, rows.idx[t0:], R, c, ldc, R)
}

// MulShifted computes C[m×R] += A·B where row t of B is the R numbers from b[at[t]]: rows may overlap, as in a
// convolution whose lanes are pixels. It panics on R that is not a multiple of 8 and on anything outside the slices.
func (p *Packed[T]) MulShifted(c []T, ldc int, b []T, at *Rows, R int) {
	p.check(c, ldc, R)
	if p.k == 0 || R == 0 {
		return
	}
	if len(at.idx) != p.k || !at.inside(0, 0, p.k, len(b)-R+1) {
		panic("kernel: MulShifted: row outside b")
	}
	for i := range p.panels {
		q := &p.panels[i]
		panel(q.h, p.k, q.a, q.stride, b, 0, at.idx, 1, c[q.row*ldc:], ldc, R)
	}
}
