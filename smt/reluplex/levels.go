package reluplex

import (
	"math/bits"
	"slices"
)

// levels is a set of decision levels, 1 and up; nil is empty. Sets are shared and never changed once made.
type levels []uint64

func (a levels) has(l int) bool { return l>>6 < len(a) && a[l>>6]>>(l&63)&1 != 0 }

// with returns a ∪ {l}.
func (a levels) with(l int) levels {
	b := make(levels, max(len(a), l>>6+1))
	copy(b, a)
	b[l>>6] |= 1 << (l & 63)
	return b
}

// without returns a \ {l}, nil when nothing is left.
func (a levels) without(l int) levels {
	b := slices.Clone(a)
	b[l>>6] &^= 1 << (l & 63)
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return nil
	}
	return b
}

// union returns a ∪ b; it is one of them when that contains the other.
func (a levels) union(b levels) levels {
	if len(a) < len(b) {
		a, b = b, a
	}
	inside := true
	for i, w := range b {
		inside = inside && w&^a[i] == 0
	}
	if inside {
		return a
	}
	c := slices.Clone(a)
	for i, w := range b {
		c[i] |= w
	}
	return c
}

// count returns the number of levels in the set.
func (a levels) count() int {
	n := 0
	for _, w := range a {
		n += bits.OnesCount64(w)
	}
	return n
}

// upTo returns {1, …, n}.
func upTo(n int) levels {
	var a levels
	for l := 1; l <= n; l++ {
		if l>>6 >= len(a) {
			a = append(a, make(levels, l>>6+1-len(a))...)
		}
		a[l>>6] |= 1 << (l & 63)
	}
	return a
}
