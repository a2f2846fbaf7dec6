package poison

import (
	"context"
	"math"
	"slices"

	"github.com/spai-project/certify/internal/kernel"
)

// A neighbour is a row of a reference and how far it is.
type neighbour struct {
	row      int
	distance float64
}

// neighbours returns the k nearest rows of the reference for every query, nearest first, equals in the order of rows. self, if
// not nil, says which row of the reference a query is itself, which is left out; −1: none. Fewer than k are returned if there
// are no more. Distances come from products, so those of near-duplicates are good to about 1e-8 of their norms only.
func neighbours(ctx context.Context, queries, reference []float64, width, k int, self func(query int) int,
	workers int) ([][]neighbour, error) {
	const block = 64
	n, m := len(queries)/width, len(reference)/width
	lengths := make([]float64, m)
	for j := range lengths {
		r := reference[j*width:][:width]
		lengths[j] = kernel.Dot(r, r)
	}
	out := make([][]neighbour, n)
	type room struct {
		mul  kernel.Multiplier[float64]
		dots []float64
	}
	rooms := make([]room, workerCount(workers))
	const strip = 1024
	err := each(ctx, workers, (n+block-1)/block, func(w, b int) {
		from, to := b*block, min((b+1)*block, n)
		r := &rooms[w]
		r.dots = slices.Grow(r.dots[:0], block*strip)[:block*strip]
		for i := from; i < to; i++ {
			out[i] = make([]neighbour, 0, min(k, m)+1)
		}
		for j := 0; j < m && ctx.Err() == nil; j += strip {
			h := min(strip, m-j)
			clear(r.dots)
			r.mul.Mul(to-from, h, width, 1, rows(queries[from*width:], width), columns(reference[j*width:], width), rows(r.dots,
				strip))
			for i := from; i < to; i++ {
				q := queries[i*width:][:width]
				length, skip := kernel.Dot(q, q), -1
				if self != nil {
					skip = self(i)
				}
				for c, dot := range r.dots[(i-from)*strip:][:h] {
					if j+c != skip {
						out[i] = nearest(out[i], neighbour{j + c, max(length+lengths[j+c]-2*dot, 0)}, k)
					}
				}
			}
		}
		for i := from; i < to; i++ {
			for c := range out[i] {
				out[i][c].distance = math.Sqrt(out[i][c].distance)
			}
		}
	})
	return out, err
}

// nearest puts a neighbour into a sorted list of at most k.
func nearest(list []neighbour, x neighbour, k int) []neighbour {
	if len(list) == k && (k == 0 || x.distance >= list[k-1].distance) {
		return list
	}
	if len(list) == k {
		list = list[:k-1]
	}
	at := len(list)
	for at > 0 && x.distance < list[at-1].distance {
		at--
	}
	return slices.Insert(list, at, x)
}

// perClass finds the k nearest rows of the reference's same class for every item of a class, and calls f with them.
func (d *defending) perClass(set, reference *view, k int, f func(class int, rows []int, near [][]neighbour) error) error {
	for c, at := range set.class {
		d.progress(c, len(set.class))
		var self func(int) int
		if set == reference {
			self = func(i int) int { return i }
		}
		near, err := neighbours(d.ctx, set.rows(at), reference.rows(reference.class[c]), set.width, k, self, d.Workers)
		if err != nil {
			return err
		}
		if err := f(c, at, near); err != nil {
			return err
		}
	}
	return nil
}
