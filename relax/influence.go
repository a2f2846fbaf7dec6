package relax

import "sync"

// Influence estimates how much each unstable ReLU's relaxation error costs a bound, directly and through the inner bounds it
// loosens (the "indirect effect" of DeepSplit, Henriksen and Lomuscio 2021). It keeps, for every inner row that was tightened,
// the size of the coefficients that met the upper lines of the neurons below it. It only guides the search.
type Influence struct {
	pos  [][]int32 // per Relu node: element → place, −1 if stable
	n    int
	mu   sync.Mutex
	rows [][]float32 // per unstable neuron, for its pre-activation: Σ over both sides of −min(a,0) at the neurons before it
}

// place returns the place of element j (numbered as in n's network) of Relu node k, or −1.
func (in *Influence) place(n *Net, k int, j int32) int {
	if o := n.original(k); o != nil {
		j = o[j]
	}
	return int(in.pos[k][j])
}

// NewInfluence prepares for the rows of f, a frame of the original network, whose unstable neurons may become fewer.
func NewInfluence(f *Frame) *Influence {
	in := &Influence{pos: make([][]int32, len(f.relu))}
	for k, rf := range f.relu {
		if rf == nil {
			continue
		}
		in.pos[k] = append([]int32(nil), rf.pos...)
		for j, p := range in.pos[k] {
			if p >= 0 {
				in.pos[k][j] = p + int32(in.n)
			}
		}
		in.n += len(rf.unstable)
	}
	in.rows = make([][]float32, in.n)
	return in
}

// record takes the coefficients of the last pass of a batch of rows of node k (lanes 2i and 2i+1).
func (in *Influence) record(w *Worker, f *Frame, k int, rows []int32) {
	for _, act := range f.Net.Acts[k] {
		if f.relu[act] == nil {
			continue
		}
		for i, j := range rows {
			q := in.place(f.Net, act, j)
			if q < 0 {
				continue
			}
			row := make([]float32, q)
			for b, rf := range f.relu[:act] {
				if rf == nil || !w.live[b] {
					continue
				}
				w.eachIn(b, rf.unstable, func(lo, hi int) { // elsewhere nothing was kept
					for u := lo; u < hi; u++ {
						a := w.save[b][u*w.R+2*i : u*w.R+2*i+2]
						if p := in.place(f.Net, b, rf.unstable[u]); p < q {
							row[p] = float32(-min(a[0], 0) - min(a[1], 0))
						}
					}
				})
			}
			in.mu.Lock()
			in.rows[q] = row
			in.mu.Unlock()
		}
	}
}

// SetTotals sets the Total of open neurons of one lane, bounded against f: what removing a neuron's relaxation error could win at
// most to first order. That is its Intercept plus, through every row above, the share of that row's width it is responsible for
// times the row's own total. A nil Influence knows of no rows: Total is Intercept.
func (in *Influence) SetTotals(f *Frame, all []Open) {
	for i := range all {
		all[i].Total = all[i].Intercept
	}
	if in == nil {
		return
	}
	total := make([]float64, in.n)
	for i := range all {
		if p := in.place(f.Net, int(all[i].Act), all[i].Elem); p >= 0 {
			total[p] = all[i].Intercept
		}
	}
	in.spread(f, total)
	for i := range all {
		if p := in.place(f.Net, int(all[i].Act), all[i].Elem); p >= 0 {
			all[i].Total = total[p]
		}
	}
}

// spread adds to total, the direct costs by place, the indirect ones of the neurons unstable in f.
func (in *Influence) spread(f *Frame, total []float64) {
	n := f.Net
	t, width := make([]float64, in.n), make([]float64, in.n)
	for k, rf := range f.relu {
		if rf == nil {
			continue
		}
		src := n.P.Nodes[k].Src
		for i, j := range rf.unstable {
			if p := in.place(n, k, j); p >= 0 {
				t[p], width[p] = rf.t[i], f.B.U[src][j]-f.B.L[src][j]
			}
		}
	}
	for q := in.n - 1; q >= 0; q-- {
		if width[q] == 0 || total[q] == 0 { // stable in f, or of no consequence
			continue
		}
		for i, a := range in.rows[q] {
			if a != 0 && t[i] != 0 {
				total[i] += total[q] * min(float64(a)*t[i]/width[q], 1)
			}
		}
	}
}
