package relax

import "math"

// Twins are neurons whose pre-activations are equal or opposite: relu(−z) = relu(z) − z. Networks that compute maxima,
// absolute values or identities out of ReLUs are full of them (a + b comes as relu(a+b) − relu(−a−b)), and each twin that becomes a
// linear function of the other is a neuron less and a relaxation less: with the pair above nothing is left but a + b.

// activate returns the row of relu(z) for a neuron of row z and upper bound u: a column of its own, or what its twin makes it;
// fresh says which.
//
// Soundness: the stored rows of twins differ by at most diff, so with s = ±1 the true z_j is within e = err_i + err_j + diff of
// s·z_i, and relu(z_j), ReLU being 1-Lipschitz, within e of relu(s·z_i), which is relu(z_i) or relu(z_i) − z_i. e goes into the error.
func (c *composer) activate(z expr, u float64) (out expr, fresh bool) {
	h := c.slot(z)
	for i := c.table[h]; i > 0; i = c.chain[i-1] {
		w := &c.neurons[i-1]
		if s, diff, ok := c.twin(&z, w); ok {
			c.begin()
			c.add(1, &c.outs[i-1])
			if s < 0 {
				c.add(-1, w)
			}
			return c.end((z.err + w.err + diff) * (1 + 8*unit)), false
		}
	}
	out = c.column(u)
	c.neuron(z, out, c.table[h], false)
	c.table[h] = int32(len(c.neurons))
	return out, true
}

// sigmoid returns the row of σ(z): a column of its own.
func (c *composer) sigmoid(z expr) expr {
	out := c.column(1)
	c.neuron(z, out, 0, true)
	return out
}

func (c *composer) neuron(z, out expr, next int32, smooth bool) {
	c.neurons, c.outs = append(c.neurons, z), append(c.outs, out)
	c.chain, c.smooth = append(c.chain, next), append(c.smooth, smooth)
}

// slot hashes a row up to its sign, its order and the last bits of its values.
func (c *composer) slot(x expr) uint64 {
	h := uint64(len(x.idx))
	for k, j := range x.idx {
		v := (math.Float64bits(math.Abs(x.val[k])) + 1<<21) >> 22
		v = (v ^ uint64(j)<<44 ^ uint64(j)) * 0x9e3779b97f4a7c15
		h += v ^ v>>29
	}
	h *= 0xbf58476d1ce4e5b9
	return h >> 32 & uint64(len(c.table)-1)
}

// twin reports whether x ≈ s·y, s = ±1, with the same columns, and what the rows can differ by.
func (c *composer) twin(x, y *expr) (s, diff float64, ok bool) {
	if len(x.idx) != len(y.idx) {
		return 0, 0, false
	}
	c.turn++
	for k, j := range y.idx {
		c.stamp[j], c.acc[j] = c.turn, y.val[k]
	}
	for k, j := range x.idx {
		if c.stamp[j] != c.turn {
			return 0, 0, false
		}
		v, w := x.val[k], c.acc[j]
		if s == 0 && j > 0 { // the constant can be off by its whole size
			if s = 1; v*w < 0 {
				s = -1
			}
		}
	}
	if s == 0 {
		return 0, 0, false
	}
	for k, j := range x.idx {
		v := x.val[k]
		d := math.Abs(v - s*c.acc[j])
		if !(d <= 0x1p-40*math.Abs(v)) {
			return 0, 0, false
		}
		diff += d * c.mag[j] * (1 + 4*unit)
	}
	return s, diff * (1 + gamma(len(x.idx)+4)), true
}
