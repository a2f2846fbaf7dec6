package kernel

import "unsafe"

const (
	stripBytes = 128 // bytes of a row of a strip: two vectors of AVX-512, the lanes of the tile of full height
	stripRows  = 64  // fewer rows of A do not pay for copying B
)

// stripLanes returns the number of lanes of a strip.
func stripLanes[T Float]() int {
	var x T
	return stripBytes / int(unsafe.Sizeof(x))
}

// mulStrips is Mul for many lanes: rows of B are then far apart, so that a tile would touch a page or a cache set per row.
// Each strip of lanes is copied to where it is contiguous, in a pass's depth 32 KB, and serves all rows of A.
func (p *Packed[T]) mulStrips(c []T, ldc int, b []T, R, strip int) {
	var room [blockK * stripBytes / 8]float64
	buf := unsafe.Slice((*T)(unsafe.Pointer(&room)), blockK*strip)
	depth := passDepth(p.k)
	for t := 0; t < p.k; t += depth {
		n := min(depth, p.k-t)
		for r := 0; r < R; r += strip {
			w := min(strip, R-r)
			copyStrip(buf, b[t*R+r:], R, n, w)
			for i := range p.panels {
				q := &p.panels[i]
				panel(q.h, n, q.a[t*q.stride:], q.stride, buf, 0, nil, w, c[q.row*ldc+r:], ldc, w)
			}
		}
	}
}

// copyStrip copies n rows of w lanes, at distance ld in src, to dst, where they follow each other.
func copyStrip[T Float](dst, src []T, ld, n, w int) {
	if w*int(unsafe.Sizeof(src[0])) != stripBytes {
		for t := range n {
			copy(dst[t*w:t*w+w], src[t*ld:])
		}
		return
	}
	for t := range n { // the size is a constant: no call
		*(*[stripBytes]byte)(unsafe.Pointer(&dst[t*w : t*w+w][0])) = *(*[stripBytes]byte)(unsafe.Pointer(&src[t*ld : t*ld+w][0]))
	}
}
