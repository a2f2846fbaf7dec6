package relax

// A Row is an affine function Σ Val·column of the columns of a Reduced, off the truth by at most Err on its box. The slices are not
// to be changed.
type Row struct {
	Idx []int32
	Val []float64
	Err float64
}

// Levels returns the number of neurons of each level; neurons are numbered level by level.
func (r *Reduced) Levels() []int {
	n := make([]int, len(r.levels)-1)
	for k := range n {
		n[k] = r.levels[k].n
	}
	return n
}

// Smooth reports whether neuron q is a Sigmoid.
func (r *Reduced) Smooth(q int) bool { return r.smooth[q] }

// Level returns the rows of the neurons of a level, or of the objectives for the level after the last.
func (r *Reduced) Level(k int) []Row {
	l := &r.levels[k]
	rows := make([]Row, l.n)
	for i := range rows {
		rows[i].Idx, rows[i].Val = l.row(i)
		rows[i].Err = l.err[i]
	}
	return rows
}
