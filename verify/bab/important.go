package bab

import (
	"math"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/relax"
)

// important lists, per pre-activation node, the neurons whose inner bounds a branch gets anew: those that can cost its bound at
// least a share of what the worst one can. Where most of the cost goes through other bounds, as in deep networks, nearly all of
// them have to move together, so the share falls with the square of total over direct cost; elsewhere few rows do as well. Rows
// that are idle in b are left out.
func (s *reluSearch) important(b *reluBranch, all []relax.Open) [][]int32 {
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
		o := &all[i]
		if o.Total < share*most || b.idle[neuronOf(b.at.Net.Original(o.Split))] > 0 {
			continue
		}
		src := s.q.Net.P.Nodes[o.Act].Src
		rows[src] = append(rows[src], o.Elem)
	}
	return rows
}

const (
	leastGain  = 0.002 // part of its width that a row has to lose to be tried again in the next branch below
	restLevels = 2     // branches that it rests for otherwise
)

// neuron is a ReLU in the numbers of the query's network.
type neuron struct{ act, elem int32 }

func neuronOf(s relax.Split) neuron { return neuron{s.Act, s.Elem} }

// idleAfter returns the rows that rest below b, with the number of branches they rest for, given the frame b's rows led to. Of the
// rows that could matter most do not move any more deep in a tree: the same bounds would be computed over and over.
func (b *reluBranch) idleAfter(f *relax.Frame) map[neuron]int8 {
	idle := make(map[neuron]int8, len(b.idle))
	for n, left := range b.idle {
		if left > 1 {
			idle[n] = left - 1
		}
	}
	net := f.Net
	for act := range net.P.Nodes {
		if net.P.Nodes[act].Kind != prog.Relu {
			continue
		}
		src := net.P.Nodes[act].Src
		for _, j := range b.rows[src] {
			if f.Width(src, j) > (1-leastGain)*b.at.Width(src, j) {
				idle[neuronOf(net.Original(relax.Split{Act: int32(act), Elem: j}))] = restLevels
			}
		}
	}
	return idle
}
