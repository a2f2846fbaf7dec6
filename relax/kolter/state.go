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
	// a holds the weights between the neurons below and these, block by block of those below: a row for each neuron below, a column
	// for each of these that sees the block. da is their gradient.
	a, da []T
	at    []int32 // per block: where its matrix begins
	cols  []int32 // per block: its columns
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

// gather collects the matrices of layer k.
func (w *Loss[T]) gather(s *sample[T], params []T, k int) {
	st, below, l := s.st[k], s.st[k-1], &w.layers[k-1]
	if l.Kind == Dense {
		n, m := len(below.place), len(st.place)
		st.a, st.da = w.nums.take(n*m), w.nums.take(n*m)
		for i, pl := range below.place {
			row := params[int(w.vars[k-1].order[pl])*l.Out:]
			dst := st.a[i*m : (i+1)*m]
			for j, o := range st.weight {
				dst[j] = row[o]
			}
		}
		return
	}
	v := w.vars[k-1]
	st.at, st.cols = w.ints.take(v.bh*v.bw), w.ints.take(v.bh*v.bw)
	size := 0
	for b := range st.at {
		n := 0
		w.pixels(k, b, func(pixel, _, _ int) { n += int(st.end[pixel] - st.first[pixel]) })
		st.at[b], st.cols[b] = int32(size), int32(n)
		size += n * int(below.block[b+1]-below.block[b])
	}
	st.a, st.da = w.nums.take(size), w.nums.take(size)
	for b := range st.at {
		m := int(st.cols[b])
		col := 0
		w.pixels(k, b, func(pixel, oy, ox int) {
			lo, hi := st.first[pixel], st.end[pixel]
			for i := below.block[b]; i < below.block[b+1]; i++ {
				dst := st.a[int(st.at[b])+int(i-below.block[b])*m+col:][:hi-lo]
				tap := l.tap(v, below.place[i], oy, ox)
				if tap < 0 {
					clear(dst)
					continue
				}
				from := params[tap:]
				for j, o := range st.weight[lo:hi] {
					dst[j] = from[o]
				}
			}
			col += int(hi - lo)
		})
	}
}

// scatter adds the gradients of the matrices of layer k to those of the parameters.
func (w *Loss[T]) scatter(s *sample[T], grad []T, k int) {
	st, below, l := s.st[k], s.st[k-1], &w.layers[k-1]
	if l.Kind == Dense {
		m := len(st.place)
		for i, pl := range below.place {
			row := grad[int(w.vars[k-1].order[pl])*l.Out:]
			src := st.da[i*m : (i+1)*m]
			for j, o := range st.weight {
				row[o] += src[j]
			}
		}
		return
	}
	v := w.vars[k-1]
	for b := range st.at {
		m := int(st.cols[b])
		col := 0
		w.pixels(k, b, func(pixel, oy, ox int) {
			lo, hi := st.first[pixel], st.end[pixel]
			for i := below.block[b]; i < below.block[b+1]; i++ {
				tap := l.tap(v, below.place[i], oy, ox)
				if tap < 0 {
					continue
				}
				src := st.da[int(st.at[b])+int(i-below.block[b])*m+col:][:hi-lo]
				to := grad[tap:]
				for j, o := range st.weight[lo:hi] {
					to[o] += src[j]
				}
			}
			col += int(hi - lo)
		})
	}
}

// pixels calls f for the pixels of layer k that see block b of its input, in order.
func (w *Loss[T]) pixels(k, b int, f func(pixel, oy, ox int)) {
	v, below, q := w.vars[k], w.vars[k-1], w.layers[k-1].reach()
	by, bx := b/below.bw, b%below.bw
	for oy := max(0, by-q+1); oy <= min(by, v.h-1); oy++ {
		for ox := max(0, bx-q+1); ox <= min(bx, v.w-1); ox++ {
			f(oy*v.w+ox, oy, ox)
		}
	}
}

// tap returns where in a filter the weight of the neuron at a place of v is for the output at (oy, ox), −1 if it does not see it.
func (l *Layer) tap(v *variable, place int32, oy, ox int) int {
	ky, kx := int(v.y[place])+l.Pad-oy*l.Stride, int(v.x[place])+l.Pad-ox*l.Stride
	if ky >= l.K || kx >= l.K {
		return -1
	}
	return int(v.offset[place]) + ky*l.K + kx
}
