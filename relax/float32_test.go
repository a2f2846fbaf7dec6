package relax

import (
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// rounded declares every affine node of a program a sum of products in binary32.
func rounded(p *prog.Program) *prog.Program {
	q := &prog.Program{Nodes: append([]prog.Node(nil), p.Nodes...), Output: p.Output, Binary32: true}
	for k := range q.Nodes {
		if nd := &q.Nodes[k]; nd.Kind == prog.Affine {
			for _, t := range nd.Terms {
				row, _ := t.Map.Fan()
				nd.Rounding.Steps += row + 2
			}
		}
	}
	return q
}

// TestPartKeepsError checks that a part of a network charges what the whole charges: its sums are shorter, but the executions are
// still those of the whole.
func TestPartKeepsError(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	p := rounded(heNet(r, 3, 40, 6, 2))
	for j := range p.Nodes[1].Bias {
		if j > 2 {
			p.Nodes[1].Bias[j] = -100 // inactive
		}
	}
	n := NewNet(p)
	box := Box{[]float64{-1, -1, -1}, []float64{1, 1, 1}}
	b := n.NewBounds()
	n.IBP(box, b)
	f := n.NewFrame(box, b, n.NewScale(b))
	g := f.DropInactive(nil)
	if g == f {
		t.Fatal("nothing was dropped")
	}
	for k := range g.Net.P.Nodes {
		if g.Net.P.Nodes[k].Kind != prog.Affine {
			continue
		}
		for j, s := range g.S[k] {
			o := j
			if list := g.Net.orig[k]; list != nil {
				o = int(list[j])
			}
			whole, part := n.scaledError(k, f.S[k][o]), g.Net.scaledError(k, s)
			e := p.Nodes[k].Error(f.S[k][o]*1e-9, n.rows[k], 0)
			if !(part >= whole) || !(whole > e) || e == 0 {
				t.Fatalf("node %d element %d: error %g in the part, %g in the whole, at least %g", k, j, part, whole, e)
			}
		}
	}
}

// TestSplitBoxShrinksError checks that errors are measured anew in a smaller box.
func TestSplitBoxShrinksError(t *testing.T) {
	n := NewNet(rounded(heNet(rand.New(rand.NewPCG(8, 8)), 3, 20, 20, 2)))
	box := Box{[]float64{-1, -1, -1}, []float64{1, 1, 1}}
	b := n.NewBounds()
	n.IBP(box, b)
	f := n.NewFrame(box, b, n.NewScale(b))
	before, out := f.S, n.P.Output
	for i := range box.Lo {
		f.Box.Lo[i], f.Box.Hi[i] = 0.001, 0.002
	}
	f.SetBox()
	if !n.Forward(f) {
		t.Fatal("empty")
	}
	if !(f.S[out][0] < before[out][0]/4) {
		t.Errorf("scale %g in the small box, %g in the large one", f.S[out][0], before[out][0])
	}
}
