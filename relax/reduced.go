package relax

import (
	"math"

	"github.com/spai-project/certify/internal/kernel"
)

// A Reduced is what is left of a network on a box: the ReLUs whose sign is open there and the Sigmoids, each of an affine function of the
// varying inputs and of earlier such neurons, and the objectives, affine in the same. Neurons that are off are gone, neurons that
// are on are folded into their readers, fixed inputs into constants. In a small box a handful of neurons is left of hundreds,
// and a bound costs accordingly. It is immutable and safe for concurrent use.
//
// Columns: 0 is the constant 1, 1…p the varying inputs, then the outputs of the neurons in the order of their levels. A level is a
// set of neurons that do not read each other; the last level holds the objectives.
//
// Soundness: a row stands for z = Σ M·v + δ with |δ| ≤ err for every point of the box, v the true values of the columns. Whatever
// folding rounds or drops is charged to err by its magnitude times a bound on |v| (compose.go), so that no coefficient has
// to be exact; a bound subtracts |ν|·err where it uses the row with multiplier ν.
type Reduced struct {
	p, m   int
	relus  int
	smooth []bool // per neuron: a Sigmoid
	levels []level
	mag    []float64 // per column: a bound on |value| on the box
	gS     float64   // relative rounding error of sums over inputs and constants
	crown  bool      // rows of inner neurons are worth a backward pass
}

// level is n rows that read the columns below cols. Outputs of neurons are the columns first…first+n−1.
type level struct {
	first, n, cols int
	ptr, idx       []int32
	val            []float64
	err, charge    []float64  // per row: |δ|, and |δ| plus what rounding can do to a pass that uses the row once
	w              []float64  // M, row by row, when not mostly zeros
	dense          multiplier // then also Mᵀ
}

// Neurons returns the number of neurons left.
func (r *Reduced) Neurons() int { return r.m }

// Bytes estimates the memory that r holds.
func (r *Reduced) Bytes() int64 {
	n := 24 * r.m
	for k := range r.levels {
		l := &r.levels[k]
		n += 12*len(l.val) + 20*l.n + 8*len(l.w)
	}
	return int64(n)
}

// Relus returns the number of neurons that are ReLUs.
func (r *Reduced) Relus() int { return r.relus }

// Inputs returns the number of varying inputs.
func (r *Reduced) Inputs() int { return r.p }

// Objectives returns the number of objectives.
func (r *Reduced) Objectives() int { return r.levels[len(r.levels)-1].n }

// multiplier is a matrix prepared for products with lanes.
type multiplier interface {
	Mul(c []float64, ldc int, b []float64, R int)
}

func (l *level) row(i int) (idx []int32, val []float64) {
	a, b := l.ptr[i], l.ptr[i+1]
	return l.idx[a:b], l.val[a:b]
}

// maxCrownWork bounds the multiply-adds for bounding every inner neuron backwards, in a box; above it inner neurons are bounded
// forwards.
const maxCrownWork = 2e8

// assemble orders the neurons by level, renumbers the columns and prepares the products. order[i] is the given index of neuron i; it
// is c's and valid until the next use.
// c's neurons and objs are rows over columns in which neuron i has number 1+p+i. It returns nil when a magnitude is out of range.
func assemble(p int, c *composer, objs []expr) (r *Reduced, order []int32) {
	neurons, mag := c.neurons, c.mag
	m := len(neurons)
	counts := c.levels(p)
	c.at, c.order, c.next = grow(c.at, 1+p+m), grow(c.order, m), grow(c.next, len(counts)+1)
	at, order, next := c.at, c.order, c.next // at: old column → new column
	next[0] = 0
	for k, n := range counts {
		next[k+1] = next[k] + n
	}
	for j := range at[:1+p] {
		at[j] = int32(j)
	}
	r = &Reduced{p: p, m: m, smooth: make([]bool, m), mag: append([]float64(nil), mag[:1+p+m]...), levels: make([]level, 0, len(counts)+1)}
	for i, d := range c.depth {
		q := next[d]
		next[d]++
		order[q], at[1+p+i] = int32(i), 1+int32(p)+q
		r.mag[1+p+int(q)], r.smooth[q] = mag[1+p+i], c.smooth[i]
		if !c.smooth[i] {
			r.relus++
		}
	}
	gE := gamma(m + p + 2*len(counts) + 64)
	r.gS = gamma(2*p + m + 64)
	below, work, start := 0, 0, 0
	for _, n := range counts {
		c.level = c.level[:0]
		for _, i := range order[start : start+int(n)] {
			c.level = append(c.level, neurons[i])
		}
		l := newLevel(c.level, at, 1+p+start)
		work += 2 * l.n * below
		below += l.cost()
		start += int(n)
		r.levels = append(r.levels, l)
	}
	r.levels = append(r.levels, newLevel(objs, at, 1+p+m))
	for k := range r.levels {
		if !r.levels[k].price(r.mag, gE) {
			return nil, nil
		}
	}
	r.crown = work <= maxCrownWork
	return r, order
}

// levels sets the depth of every neuron and returns the size of every level.
func (c *composer) levels(p int) (counts []int32) {
	c.depth = grow(c.depth, len(c.neurons))
	counts = c.counts[:0]
	for i := range c.neurons {
		d := int32(0)
		for _, j := range c.neurons[i].idx {
			if q := int(j) - 1 - p; q >= 0 {
				d = max(d, c.depth[q]+1)
			}
		}
		c.depth[i] = d
		for len(counts) <= int(d) {
			counts = append(counts, 0)
		}
		counts[d]++
	}
	c.counts = counts
	return counts
}

// newLevel stores the rows with their columns renumbered by at.
func newLevel(rows []expr, at []int32, first int) level {
	n, nnz := len(rows), 0
	for i := range rows {
		nnz += len(rows[i].idx)
	}
	dense := 0
	if 4*nnz >= n*first {
		dense = n * first
	}
	ints, floats := make([]int32, n+1+nnz), make([]float64, nnz+2*n+dense)
	l := level{first: first, n: n, cols: first, ptr: ints[:n+1], idx: ints[n+1:], val: floats[:nnz:nnz], err: floats[nnz : nnz+n], charge: floats[nnz+n : nnz+2*n]}
	k := 0
	for i := range rows {
		for t, c := range rows[i].idx {
			l.idx[k], l.val[k] = at[c], rows[i].val[t]
			k++
		}
		l.ptr[i+1], l.err[i] = int32(k), rows[i].err
	}
	if dense > 0 {
		w := floats[nnz+2*n:]
		l.w = w
		for i := range rows {
			idx, val := l.row(i)
			for k, c := range idx {
				w[i*l.cols+int(c)] = val[k]
			}
		}
		l.dense = kernel.View(l.cols, l.n, w)
	}
	return l
}

// cost is the number of multiply-adds per lane of a pass through the level.
func (l *level) cost() int {
	if l.dense != nil {
		return l.n * l.cols
	}
	return 4*len(l.val) + 8*l.n
}

// price sets what a use of each row has to pay and reports whether every magnitude is tame.
func (l *level) price(mag []float64, gE float64) bool {
	for i := range l.charge {
		idx, val := l.row(i)
		s := 0.0
		for k, c := range idx {
			s += math.Abs(val[k]) * mag[c]
		}
		if s = (s+l.err[i])*(1+gE) + 0x1p-1000; !(s <= maxMagnitude) {
			return false
		}
		l.charge[i] = (l.err[i] + gE*s) * (1 + 8*unit)
	}
	return true
}
