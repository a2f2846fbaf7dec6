package bab

import (
	"math"

	"github.com/spai-project/certify/relax"
)

// totals sets what each neuron's relaxation costs the branch, directly and through the inner bounds it loosens.
func (s *reluSearch) totals(f *relax.Frame, all []relax.Open) {
	for i := range all {
		all[i].Total = all[i].Intercept
	}
	in := s.cfg.Influence
	if in == nil {
		return
	}
	direct := make([]float64, in.Len())
	for i := range all {
		if p := in.Place(f, all[i].Split); p >= 0 {
			direct[p] = all[i].Intercept
		}
	}
	t := in.Totals(f, direct)
	for i := range all {
		if p := in.Place(f, all[i].Split); p >= 0 {
			all[i].Total = t[p]
		}
	}
}

// important lists, per pre-activation node, the neurons whose inner bounds a branch gets anew: those that can cost its bound at
// least a share of what the worst one can. Where most of the cost goes through other bounds, as in deep networks, nearly all of
// them have to move together, so the share falls with the square of total over direct cost; elsewhere few rows do as well.
func (s *reluSearch) important(all []relax.Open) [][]int32 {
	rows := make([][]int32, len(s.q.Net.P.Nodes))
	most, sum, direct := 0.0, 0.0, 0.0
	for i := range all {
		if t := all[i].Total; t <= math.MaxFloat64 { // neither NaN nor infinite
			most = max(most, t)
			sum += t
			direct += all[i].Intercept
		}
	}
	share := min(0.2*(direct/sum)*(direct/sum), 0.1)
	for i := range all {
		if o := &all[i]; o.Total >= share*most {
			src := s.q.Net.P.Nodes[o.Act].Src
			rows[src] = append(rows[src], o.Elem)
		}
	}
	return rows
}
