package kolter

import "github.com/spai-project/certify/internal/kernel"

// state is what a row has of the neurons of one layer: those that can be on, in the order of the variable, and the slopes that
// multipliers pass them by.
type state[T kernel.Float] struct {
	place      []int32 // in the variable's order
	weight     []int32 // first of the parameters that make the neuron: of a column for Dense, of a filter for Conv
	bias       []T
	d          []T
	first, end []int32 // per pixel: its neurons
	block      []int32 // per block, and one more: neurons before it
	openBefore []int32 // the same for open
	open       []int32 // neurons of open sign
	l, u       []T     // their bounds
	dl, du, dd []T     // gradients
	openOf     []int32 // per neuron of the layer: its number in open, −1
	// a holds the weights between these neurons and those below, in matrices: a row for each neuron of a pixel, a column for each
	// neuron of a row of blocks that the pixel sees. Rows are padded to a multiple of eight. da is their gradient.
	a, da []T
	at    []int32 // per pixel and row of blocks: where the matrix begins
}

// everything makes the state of an input: all is on.
func (st *state[T]) everything(v *variable) {
	st.first, st.end = make([]int32, v.h*v.w), make([]int32, v.h*v.w)
	st.block, st.openBefore = make([]int32, v.bh*v.bw+1), make([]int32, v.bh*v.bw+1)
	st.place = make([]int32, v.n)
	for i := range st.place {
		st.place[i] = int32(i)
		y, x := int(v.y[i]), int(v.x[i])
		st.block[v.block(y)*v.bw+v.block(x)+1] = int32(i + 1)
		pixel := y*v.w + x
		st.end[pixel] = int32(i + 1)
		st.first[pixel] = int32(i + 1 - v.c)
	}
	for b := 1; b < len(st.block); b++ { // blocks that are padding alone
		st.block[b] = max(st.block[b], st.block[b-1])
	}
}

// build lists the neurons of layer k that can be on under the bounds w.lo, w.hi.
func (st *state[T]) build(w *Loss[T], params []T, k int) {
	v, l := w.vars[k], &w.layers[k-1]
	_, _, weights := l.sizes()
	biases, plane := params[l.Offset+weights:], int32(v.h*v.w)
	st.place, st.weight, st.open = w.ints.take(v.n)[:0], w.ints.take(v.n)[:0], w.ints.take(v.n)[:0]
	st.first, st.end, st.openOf = w.ints.take(v.h*v.w), w.ints.take(v.h*v.w), w.ints.take(v.n)
	st.block, st.openBefore = w.ints.take(v.bh*v.bw+1), w.ints.take(v.bh*v.bw+1)
	st.bias, st.d = w.nums.take(v.n)[:0], w.nums.take(v.n)[:0]
	st.l, st.u = w.nums.take(v.n)[:0], w.nums.take(v.n)[:0]
	clear(st.block)
	clear(st.openBefore)
	pixel := int32(-1)
	for i, id := range v.order {
		y, x := int(v.y[i]), int(v.x[i])
		if p := int32(y*v.w + x); p != pixel {
			pixel = p
			st.first[p] = int32(len(st.d))
		}
		st.openOf[id] = -1
		if lo, hi := w.lo[id], w.hi[id]; !(hi <= 0) {
			d := T(1)
			if lo < 0 {
				d = hi / (hi - lo)
				st.openOf[id] = int32(len(st.open))
				st.open, st.l, st.u = append(st.open, int32(len(st.d))), append(st.l, lo), append(st.u, hi)
			}
			m, b := id, id
			if l.Kind == Conv {
				b = id / plane
				m = b * int32(l.depth())
			}
			st.place, st.weight = append(st.place, int32(i)), append(st.weight, int32(l.Offset)+m)
			st.bias, st.d = append(st.bias, biases[b]), append(st.d, d)
		}
		st.end[pixel] = int32(len(st.d))
		b := v.block(y)*v.bw + v.block(x)
		st.block[b+1], st.openBefore[b+1] = int32(len(st.d)), int32(len(st.open))
	}
	for b := 1; b < len(st.block); b++ {
		st.block[b], st.openBefore[b] = max(st.block[b], st.block[b-1]), max(st.openBefore[b], st.openBefore[b-1])
	}
	st.dl, st.du, st.dd = w.nums.take(len(st.open)), w.nums.take(len(st.open)), w.nums.take(len(st.open))
}

// padded is n rounded up to a multiple of eight.
func padded(n int) int { return (n + 7) &^ 7 }

// seen returns the neurons of a variable with the state below in the j-th row of the blocks that layer l's output at (oy, ox)
// sees.
func (l *Layer) seen(v *variable, block []int32, oy, ox, j int) (lo, hi int) {
	if oy+j >= v.bh {
		return 0, 0
	}
	row := (oy + j) * v.bw
	return int(block[row+ox]), int(block[row+min(ox+l.reach(), v.bw)])
}

// gather collects the matrices of layer k.
func (w *Loss[T]) gather(s *sample[T], params []T, k int) {
	st, below, l, v := s.st[k], s.st[k-1], &w.layers[k-1], w.vars[k-1]
	if l.Kind == Dense {
		n, m := len(st.place), padded(len(below.place))
		st.a, st.da = w.nums.take(n*m), w.nums.take(n*m)
		for i, pl := range below.place {
			row := params[int(v.order[pl])*l.Out:]
			for t, o := range st.weight {
				st.a[t*m+i] = row[o]
			}
		}
		return
	}
	q, reach := w.vars[k], l.reach()
	st.at = w.ints.take(q.h * q.w * reach)
	size := 0
	for pixel := range q.h * q.w {
		for j := range reach {
			lo, hi := l.seen(v, below.block, pixel/q.w, pixel%q.w, j)
			st.at[pixel*reach+j] = int32(size)
			size += padded(hi-lo) * int(st.end[pixel]-st.first[pixel])
		}
	}
	st.a, st.da = w.nums.take(size), w.nums.take(size)
	w.matrices(s, k, func(begin, m int, weight, taps []int32) {
		for t, o := range weight {
			from, dst := params[o:], st.a[begin+t*m:][:len(taps)]
			for i, tap := range taps {
				if tap < 0 {
					dst[i] = 0
				} else {
					dst[i] = from[tap]
				}
			}
		}
	})
}

// matrices calls f for every matrix of a convolution: where it begins, the distance of its rows, the first parameter of every
// row, and the place of every column's from there, −1 for a zero.
func (w *Loss[T]) matrices(s *sample[T], k int, f func(begin, m int, weight, taps []int32)) {
	st, below, l, v, q := s.st[k], s.st[k-1], &w.layers[k-1], w.vars[k-1], w.vars[k]
	reach := l.reach()
	for pixel := range q.h * q.w {
		weight := st.weight[st.first[pixel]:st.end[pixel]]
		if len(weight) == 0 {
			continue
		}
		oy, ox := pixel/q.w, pixel%q.w
		for j := range reach {
			lo, hi := l.seen(v, below.block, oy, ox, j)
			taps := room(&w.taps, hi-lo)
			for i, place := range below.place[lo:hi] {
				taps[i] = int32(l.tap(v, place, oy, ox))
			}
			f(int(st.at[pixel*reach+j]), padded(hi-lo), weight, taps)
		}
	}
}

// scatter adds the gradients of the matrices of layer k to those of the parameters.
func (w *Loss[T]) scatter(s *sample[T], grad []T, k int) {
	st, below, l := s.st[k], s.st[k-1], &w.layers[k-1]
	if l.Kind == Dense {
		m := padded(len(below.place))
		for i, pl := range below.place {
			row := grad[int(w.vars[k-1].order[pl])*l.Out:]
			for t, o := range st.weight {
				row[o] += st.da[t*m+i]
			}
		}
		return
	}
	w.matrices(s, k, func(begin, m int, weight, taps []int32) {
		for t, o := range weight {
			to, src := grad[o:], st.da[begin+t*m:][:len(taps)]
			for i, tap := range taps {
				if tap >= 0 {
					to[tap] += src[i]
				}
			}
		}
	})
}

// tap returns where in a filter the weight of the neuron at a place of v is for the output at (oy, ox), −1 if it does not see it.
func (l *Layer) tap(v *variable, place int32, oy, ox int) int {
	ky, kx := int(v.y[place])+l.Pad-oy*l.Stride, int(v.x[place])+l.Pad-ox*l.Stride
	if ky >= l.K || kx >= l.K {
		return -1
	}
	return int(v.offset[place]) + ky*l.K + kx
}
