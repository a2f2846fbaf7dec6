// Command _asm writes the SIMD kernels of internal/kernel with avo. Run it with go generate in the parent folder.
package main

import (
	. "github.com/mmcloughlin/avo/build"
)

func main() {
	ConstraintExpr("!purego")
	for _, s := range sets {
		for _, nv := range []int{1, 2, 4, 8} {
			if h := s.maxHeight(nv); h > 1 && nv*s.width() >= 8 {
				tile(s, nv)
			}
		}
		axpy(s)
		absAxpy(s)
		signAxpy(s)
		dot(s, false)
		dot(s, true)
		addRows(s)
		relaxShared(s)
		relaxLanes(s)
		relaxLines(s)
		primalShared(s)
		primalLanes(s)
		primalLines(s)
		adam(s)
		corner(s)
		sumRows(s)
		if !s.wide() {
			gather4(s)
		}
	}
	Generate()
}
