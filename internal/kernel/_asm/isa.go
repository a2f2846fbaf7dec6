package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// isa is one vector instruction set: its registers and the few instructions that are spelled differently.
type isa struct {
	name  string
	width int // float64 lanes per vector
	regs  []VecPhysical
}

var (
	avx512 = isa{"AVX512", 8, []VecPhysical{
		Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
		Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31}}
	avx2 = isa{"AVX2", 4, []VecPhysical{
		Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15}}
)

// bytes returns the size of a vector.
func (s isa) bytes() int { return 8 * s.width }

// zero clears a vector.
func (s isa) zero(v Op) {
	if s.width == 8 {
		VPXORQ(v, v, v)
		return
	}
	VXORPD(v, v, v)
}

// and computes dst = x & mask.
func (s isa) and(mask, x, dst Op) {
	if s.width == 8 {
		VPANDQ(mask, x, dst)
		return
	}
	VANDPD(mask, x, dst)
}

// absMask fills v with the bit pattern that clears the sign.
func (s isa) absMask(v Op) {
	t := GP64()
	MOVQ(U64(0x7fffffffffffffff), t)
	s.broadcastBits(t, v)
}

func (s isa) broadcastBits(t GPVirtual, v Op) {
	if s.width == 8 {
		VPBROADCASTQ(t, v)
		return
	}
	x := XMM()
	VMOVQ(t, x)
	VPBROADCASTQ(x, v)
}

// param broadcasts a float64 parameter.
func (s isa) param(name string, v Op) {
	m, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSD(m.Addr, v)
}
