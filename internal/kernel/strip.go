package kernel

import "unsafe"

const (
	stripBytes = 128 // bytes of a row of a strip: two vectors of AVX-512, the lanes of the tile of full height
	stripDepth = 256 // rows of B in a pass, at most
	stripRows  = 64  // fewer rows of A do not pay for copying B
)

// stripLanes returns the number of lanes of a strip.
func stripLanes[T Float]() int {
	var x T
	return stripBytes / int(unsafe.Sizeof(x))
}

// mulStrips is Mul for many lanes: rows of B are then far apart, so that a tile would touch a page or a cache set per row.
// Each strip of lanes is copied to where it is contiguous, stripDepth rows at a time, and serves all rows of A.
func (p *Packed[T]) mulStrips(c []T, ldc int, b []T, R, strip int) {
	var room [stripDepth * stripBytes / 8]float64
	buf := unsafe.Slice((*T)(unsafe.Pointer(&room)), stripDepth*strip)
	depth := passDepth(p.k, passLimit())
	for t := 0; t < p.k; t += depth {
		n := min(depth, p.k-t)
		for r := 0; r < R; r += strip {
			w := min(strip, R-r)
			copyStrip(buf, w, b[t*R+r:], R, n, w)
			for i := range p.panels {
				q := &p.panels[i]
				panel(q.h, n, q.a[t*q.stride:], q.stride, buf, 0, nil, w, c[q.row*ldc+r:], ldc, w)
			}
		}
	}
}

// passLimit returns the largest depth of a pass over strips. The tiles of AVX2 are half as wide and as high, so they read a
// strip and A twice as often and need both in the first cache.
func passLimit() int {
	if active == isaAVX2 {
		return stripDepth / 2
	}
	return stripDepth
}

// copyStrip copies n rows of w elements from distance lds in src to distance ldd in dst.
func copyStrip[T Float](dst []T, ldd int, src []T, lds, n, w int) {
	if w*int(unsafe.Sizeof(src[0])) != stripBytes {
		for t := range n {
			copy(dst[t*ldd:t*ldd+w], src[t*lds:t*lds+w])
		}
		return
	}
	for t := range n { // the size is a constant: no call
		d, s := dst[t*ldd:t*ldd+w], src[t*lds:t*lds+w]
		*(*[stripBytes]byte)(unsafe.Pointer(&d[0])) = *(*[stripBytes]byte)(unsafe.Pointer(&s[0]))
	}
}
