package bab

import (
	"context"

	"github.com/spai-project/certify/relax"
)

// frameBounder bounds boxes on the whole network, with a frame that is moved from box to box.
type frameBounder struct {
	s       *inputSearch
	w       *relax.Worker
	pool    *relax.Pool
	f       *relax.Frame
	forward bool
	form    []float64
	planes  []plane
}

// maxBackward is the number of open neurons up to which sub-boxes get a backward pass per inner neuron: much tighter than
// forward mode, and worth its price while layers are small.
const maxBackward = 1200

func newFrameBounder(s *inputSearch, w *relax.Worker) *frameBounder {
	n, root := s.q.Net, s.root
	w.On(n)
	b := n.NewBounds()
	b.Copy(root.B)
	return &frameBounder{s: s, w: w, pool: &relax.Pool{W: []*relax.Worker{w}}, f: n.NewFrame(root.Box.Clone(), b, root.S),
		forward: n.Unstable(root.B) > maxBackward, form: make([]float64, len(root.Box.Lo))}
}

func (b *frameBounder) bound(ctx context.Context, box *boxBranch) ([]plane, bool) {
	f, n := b.f, b.s.q.Net
	f.B.Copy(b.s.root.B)
	for d, i := range b.s.dims {
		f.Box.Lo[i], f.Box.Hi[i] = box.lo[d], box.hi[d]
	}
	f.SetBox()
	ok := false
	as(ctx, partTighten, func() {
		if b.forward {
			ok = n.Forward(f)
		} else {
			ok = n.Crown(ctx, b.pool, f, relax.Tightening{})
		}
	})
	if !ok {
		return nil, false
	}
	b.rows(box)
	return b.planes, true
}

// rows bounds the rows of the alive cases with one backward pass.
func (b *frameBounder) rows(box *boxBranch) {
	q, w, f := b.s.q, b.w, b.f
	refs := q.rows(box.alive)
	b.planes = b.planes[:0]
	const maxLanes = 64
	for lo := 0; lo < len(refs); lo += maxLanes {
		part := refs[lo:min(len(refs), lo+maxLanes)]
		w.Begin((len(part) + 7) &^ 7)
		for r, ref := range part {
			Seed(w, f, &q.Cases[ref.c].Rows[ref.r], r)
		}
		w.Run(f, q.Net.P.Output)
		for r, ref := range part {
			p := plane{row: ref, a: make([]float64, len(b.s.dims)), lb: w.LB[r]}
			w.LinearForm(r, b.form)
			for d, i := range b.s.dims {
				p.a[d] = b.form[i]
			}
			b.planes = append(b.planes, p)
		}
	}
}

func (b *frameBounder) promising(*boxBranch, []float64) bool { return true }

func (b *frameBounder) inherit(*boxBranch, []int32, []float64, []float64) *inherited { return nil }
