package op

import (
	"math"
	"slices"

	"github.com/spai-project/certify/nn/prog"
)

const (
	// maxNonzeros bounds the entries of a sparse matrix that a lowering builds.
	maxNonzeros = 1 << 26
	// convNonzeros is the size from which a product of many rows with one dense matrix becomes a convolution, which stores
	// the matrix once, and not a sparse matrix, which repeats it for every row.
	convNonzeros = 1 << 22
)

// A side is one operand of a matmul whose other operand is constant.
type side struct {
	w    []float64 // the constant
	left bool      // the variable is the left factor
	in   int       // size of the variable
}

// lower appends scale·a·b + bias, at least one of a and b being variable; rel is the error of bias. It returns the node.
func (p *matmul) lower(n *Node, bd *prog.Builder, a, b Value, scale float64, bias []float64, rel int) (int, error) {
	v, c := a, b
	if !v.variable() {
		v, c = b, a
	}
	if a.variable() && b.variable() {
		return p.lowerProducts(n, bd, a, b, scale, bias, rel)
	}
	if !v.variable() || c.Const == nil {
		return 0, unsupported(n, "a factor is missing")
	}
	if err := realConst(n, c.Const); err != nil {
		return 0, err
	}
	s := side{w: c.Const.Data, left: a.variable(), in: Size(v.Shape)}
	if scale != 1 {
		var e rounding
		s.w = slices.Clone(s.w)
		for i, x := range s.w {
			s.w[i] = e.mul(x, scale)
		}
		if e.bad {
			return 0, unsupported(n, "a scaled weight is out of range")
		}
		rel = max(rel, e.rel)
	}
	maps, err := p.maps(n, s)
	if err != nil {
		return 0, err
	}
	k := v.Node
	for i, m := range maps {
		out, _ := m.Dims()
		if i < len(maps)-1 {
			k = bd.Affine(n.Name, out, nil, rel, prog.Term{Src: k, Map: m})
		} else {
			k = bd.Affine(n.Name, out, bias, rel, prog.Term{Src: k, Map: m})
		}
	}
	return k, nil
}

// maps returns the linear map of the variable as a product of one or two maps, the first applied first.
func (p *matmul) maps(n *Node, s side) ([]prog.Linear, error) {
	single := len(p.aOff) == 1
	switch {
	case s.left && single && p.m == 1 && p.al == 1:
		return []prog.Linear{matrix(s.w[p.bOff[0]:], p.n, p.k, p.bj, p.bl)}, nil
	case !s.left && single && p.n == 1 && p.bl == 1:
		return []prog.Linear{matrix(s.w[p.aOff[0]:], p.m, p.k, p.ai, p.al)}, nil
	}
	nonzeros := p.nonzeros(s)
	if nonzeros > convNonzeros {
		if m := p.conv(s); m != nil {
			return m, nil
		}
	}
	if nonzeros > maxNonzeros {
		return nil, unsupported(n, "the expanded matrix has %d nonzeros", nonzeros)
	}
	return []prog.Linear{p.blocks(s)}, nil
}

// matrix returns the rows×cols map with entry (i,j) at w[i·rs+j·cs]: sparse below a quarter nonzero, else dense. It copies w
// only when a dense matrix has to be transposed.
func matrix(w []float64, rows, cols, rs, cs int) prog.Linear {
	if rows == 0 || cols == 0 {
		return prog.Dense(rows, cols, nil)
	}
	if e, ok := nonzeroEntries(w, rows, cols, rs, cs, rows*cols/4); ok {
		return e.sparse(rows, cols)
	}
	if cs == 1 && rs == cols {
		return prog.Dense(rows, cols, w[:rows*cols])
	}
	t := make([]float64, rows*cols)
	each(w, rows, cols, rs, cs, func(i, j int, v float64) { t[i*cols+j] = v })
	return prog.Dense(rows, cols, t)
}

// entries are nonzeros of a matrix in the order of memory: rows, columns, values.
type entries struct {
	i, j []int32
	v    []float64
}

// nonzeroEntries lists the nonzeros of a strided matrix, as each visits them, unless there are limit or more. It is what lowering a
// large and nearly empty matrix costs, hence the inner loops over contiguous numbers.
func nonzeroEntries(w []float64, rows, cols, rs, cs, limit int) (e entries, ok bool) {
	byRow := rs >= cs
	if !byRow {
		rows, cols, rs, cs = cols, rows, cs, rs
	}
	if cs != 1 {
		return e, false // no matrix of a file is stored so
	}
	count := 0
	for i := range rows {
		for _, v := range w[i*rs : i*rs+cols] {
			if v != 0 {
				count++
			}
		}
		if count >= limit {
			return e, false
		}
	}
	e.i, e.j, e.v = make([]int32, 0, count), make([]int32, 0, count), make([]float64, 0, count)
	for i := range rows {
		for j, v := range w[i*rs : i*rs+cols] {
			if v != 0 {
				e.i, e.j, e.v = append(e.i, int32(i)), append(e.j, int32(j)), append(e.v, v)
			}
		}
	}
	if !byRow {
		e.i, e.j = e.j, e.i
	}
	return e, true
}

// sparse returns the map of the entries, whose columns ascend within every row.
func (e *entries) sparse(rows, cols int) prog.Linear {
	ptr := make([]int32, rows+1)
	for _, i := range e.i {
		ptr[i+1]++
	}
	for i := range rows {
		ptr[i+1] += ptr[i]
	}
	idx, val := make([]int32, len(e.v)), make([]float64, len(e.v))
	next := slices.Clone(ptr[:rows])
	for k, i := range e.i {
		at := next[i]
		next[i]++
		idx[at], val[at] = e.j[k], e.v[k]
	}
	return prog.Sparse(rows, cols, ptr, idx, val)
}

// each visits the nonzeros of a strided matrix in the order of memory; within a row columns ascend.
func each(w []float64, rows, cols, rs, cs int, f func(i, j int, v float64)) {
	if rs >= cs {
		for i := range rows {
			for j := range cols {
				if v := w[i*rs+j*cs]; v != 0 {
					f(i, j, v)
				}
			}
		}
		return
	}
	for j := range cols {
		for i := range rows {
			if v := w[i*rs+j*cs]; v != 0 {
				f(i, j, v)
			}
		}
	}
}

// nonzeros returns the number of nonzeros of the expanded matrix, saturated.
func (p *matmul) nonzeros(s side) int {
	repeat, off, rows, cols, rs, cs := p.n, p.aOff, p.m, p.k, p.ai, p.al
	if s.left {
		repeat, off, rows, cols, rs, cs = p.m, p.bOff, p.n, p.k, p.bj, p.bl
	}
	count, total, last := 0, 0, int32(-1)
	for _, o := range off {
		if o != last {
			count, last = 0, o
			each(s.w[o:], rows, cols, rs, cs, func(int, int, float64) { count++ })
		}
		if repeat > 0 && count > (math.MaxInt32-total)/repeat {
			return math.MaxInt32
		}
		total += count * repeat
	}
	return total
}

// blocks returns the map as one sparse matrix, a block for every batch and every row or column of the variable.
func (p *matmul) blocks(s side) prog.Linear {
	var mat csr
	for t := range p.aOff {
		ao, bo := int(p.aOff[t]), int(p.bOff[t])
		for i := range p.m {
			for j := range p.n {
				for l := range p.k {
					x, w := ao+i*p.ai+l*p.al, bo+l*p.bl+j*p.bj
					if !s.left {
						x, w = w, x
					}
					if s.w[w] != 0 {
						mat.add(int32(x), s.w[w])
					}
				}
				mat.endRow()
			}
		}
	}
	return mat.linear(s.in)
}

// conv returns the map as a convolution when one matrix multiplies all rows or columns of a contiguous variable, else nil.
func (p *matmul) conv(s side) []prog.Linear {
	g := prog.ConvGeom{Group: 1, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1}
	if !s.left {
		// W·X: the rows of X are channels of width n, W is a 1×1 convolution.
		if len(p.aOff) != 1 || p.bj != 1 || p.bl != p.n {
			return nil
		}
		g.C, g.H, g.W, g.M, g.KH, g.KW = p.k, 1, p.n, p.m, 1, 1
		return []prog.Linear{prog.Conv(g, packed(s.w[p.aOff[0]:], p.m, p.k, p.ai, p.al))}
	}
	// X·W: X is one channel with a row per sample, a column of W is a kernel as wide as X. The result is transposed back.
	rows := len(p.aOff) * p.m
	if p.al != 1 || p.ai != p.k || rows*p.k != s.in {
		return nil
	}
	for t := range p.bOff {
		if p.bOff[t] != p.bOff[0] || int(p.aOff[t]) != t*p.m*p.k {
			return nil
		}
	}
	g.C, g.H, g.W, g.M, g.KH, g.KW = 1, rows, p.k, p.n, 1, p.k
	back := strided([]int{rows, p.n}, []int{1, rows}, 0)
	return []prog.Linear{prog.Conv(g, packed(s.w[p.bOff[0]:], p.n, p.k, p.bj, p.bl)), prog.Index(rows*p.n, back)}
}

// packed returns a strided matrix in row-major order, without a copy where it is stored so.
func packed(w []float64, rows, cols, rs, cs int) []float64 {
	if cs == 1 && rs == cols {
		return w[:rows*cols]
	}
	t := make([]float64, rows*cols)
	each(w, rows, cols, rs, cs, func(i, j int, v float64) { t[i*cols+j] = v })
	return t
}
