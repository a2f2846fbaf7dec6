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
	err, charge    []float64      // per row: |δ|, and |δ| plus what rounding can do to a pass that uses the row once
	dense          *kernel.Packed // Mᵀ, nil when mostly zeros
}

// Neurons returns the number of neurons left.
func (r *Reduced) Neurons() int { return r.m }

// Relus returns the number of neurons that are ReLUs.
func (r *Reduced) Relus() int { return r.relus }

// Inputs returns the number of varying inputs.
func (r *Reduced) Inputs() int { return r.p }

// Objectives returns the number of objectives.
func (r *Reduced) Objectives() int { return r.levels[len(r.levels)-1].n }

func (l *level) row(i int) (idx []int32, val []float64) {
	a, b := l.ptr[i], l.ptr[i+1]
	return l.idx[a:b], l.val[a:b]
}

// maxCrownWork bounds the multiply-adds for bounding every inner neuron backwards, in a box; above it inner neurons are bounded
// forwards.
const maxCrownWork = 2e8

// assemble orders the neurons by level, renumbers the columns and prepares the products. order[i] is the given index of neuron i.
// c's neurons and objs are rows over columns in which neuron i has number 1+p+i. It returns nil when a magnitude is out of range.
func assemble(p int, c *composer, objs []expr) (r *Reduced, order []int32) {
	neurons, mag := c.neurons, c.mag
	m := len(neurons)
	depth, counts := depths(p, neurons)
	start := make([]int, len(counts)+1)
	for k, c := range counts {
		start[k+1] = start[k] + c
	}
	at := make([]int32, 1+p+m) // old column → new column
	for c := range at[:1+p] {
		at[c] = int32(c)
	}
	order = make([]int32, m)
	next := append([]int(nil), start...)
	r = &Reduced{p: p, m: m, smooth: make([]bool, m), mag: append([]float64(nil), mag[:1+p+m]...)}
	for i, d := range depth {
		q := next[d]
		next[d]++
		order[q], at[1+p+i] = int32(i), int32(1+p+q)
		r.mag[1+p+q], r.smooth[q] = mag[1+p+i], c.smooth[i]
		if !c.smooth[i] {
			r.relus++
		}
	}
	gE := gamma(m + p + 2*len(counts) + 64)
	r.gS = gamma(2*p + m + 64)
	below, work := 0, 0
	for k := range len(counts) + 1 {
		var l level
		if k < len(counts) {
			rows := make([]expr, counts[k])
			for i := range rows {
				rows[i] = neurons[order[start[k]+i]]
			}
			l = newLevel(rows, at, 1+p+start[k])
			work += 2 * l.n * below
			below += l.cost()
		} else {
			l = newLevel(objs, at, 1+p+m)
		}
		if !l.price(r.mag, gE) {
			return nil, nil
		}
		r.levels = append(r.levels, l)
	}
	r.crown = work <= maxCrownWork
	return r, order
}

// depths returns the level of every neuron and the size of every level.
func depths(p int, neurons []expr) (depth []int32, counts []int) {
	depth = make([]int32, len(neurons))
	for i := range neurons {
		for _, c := range neurons[i].idx {
			if q := int(c) - 1 - p; q >= 0 {
				depth[i] = max(depth[i], depth[q]+1)
			}
		}
		for len(counts) <= int(depth[i]) {
			counts = append(counts, 0)
		}
		counts[depth[i]]++
	}
	return depth, counts
}

// newLevel stores the rows with their columns renumbered by at.
func newLevel(rows []expr, at []int32, first int) level {
	nnz := 0
	for i := range rows {
		nnz += len(rows[i].idx)
	}
	l := level{first: first, n: len(rows), cols: first, ptr: make([]int32, len(rows)+1), idx: make([]int32, 0, nnz), val: make([]float64, 0, nnz),
		err: make([]float64, len(rows)), charge: make([]float64, len(rows))}
	for i := range rows {
		for k, c := range rows[i].idx {
			l.idx = append(l.idx, at[c])
			l.val = append(l.val, rows[i].val[k])
		}
		l.ptr[i+1] = int32(len(l.idx))
		l.err[i] = rows[i].err
	}
	if 4*nnz < l.n*l.cols {
		return l
	}
	w := make([]float64, l.n*l.cols)
	for i := range rows {
		idx, val := l.row(i)
		for k, c := range idx {
			w[i*l.cols+int(c)] = val[k]
		}
	}
	l.dense = kernel.View(l.cols, l.n, w)
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
