// Command _asm writes the SIMD kernels of internal/kernel with avo. Run it with go generate in the parent folder.
package main

import (
	. "github.com/mmcloughlin/avo/build"
)

func main() {
	ConstraintExpr("!purego")
	for _, nv := range []int{1, 2, 4, 8} {
		tile(avx512, nv)
	}
	for _, nv := range []int{2, 4} {
		tile(avx2, nv)
	}
	for _, s := range []isa{avx512, avx2} {
		axpy(s)
		absAxpy(s)
		signAxpy(s)
		relax(s)
		relaxLanes(s)
		dot(s, false)
		dot(s, true)
	}
	Generate()
}
