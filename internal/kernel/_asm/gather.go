package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// gather4 writes the transposition of four rows, four columns at a time: packing is done in blocks of 4×4.
func gather4(s isa) {
	TEXT("gather4"+s.suffix, NOSPLIT, typed(s, "func(d int, dst *T, ld int, src *T, rs int)"))
	Doc("gather4"+s.suffix+" computes dst[t*ld+i] = src[i*rs+t] for i < 4 and t < d.", "d is a positive multiple of 4.")
	Pragma("noescape")
	d, dst, ld, src, rs := Load(Param("d"), GP64()), Load(Param("dst"), GP64()), Load(Param("ld"), GP64()), Load(Param("src"), GP64()), Load(Param("rs"), GP64())
	SHLQ(U8(log2(s.elem)), ld)
	SHLQ(U8(log2(s.elem)), rs)
	rs3, ld3 := GP64(), GP64()
	LEAQ(Mem{Base: rs, Index: rs, Scale: 2}, rs3)
	LEAQ(Mem{Base: ld, Index: ld, Scale: 2}, ld3)
	reg := func(i int) Op { // four elements wide
		if s.elem == 4 {
			return ymm[i].AsX()
		}
		return ymm[i]
	}
	four := func(base, one, three Register, i int) Mem {
		switch i {
		case 0:
			return Mem{Base: base}
		case 3:
			return Mem{Base: base, Index: three, Scale: 1}
		}
		return Mem{Base: base, Index: one, Scale: uint8(i)}
	}
	Label("block")
	for i := range 4 {
		s.load(four(src, rs, rs3, i), reg(i))
	}
	transpose4(s, reg)
	for i := range 4 {
		s.store(reg(i), four(dst, ld, ld3, i))
	}
	ADDQ(U8(4*s.elem), src)
	LEAQ(Mem{Base: dst, Index: ld, Scale: 4}, dst)
	SUBQ(U8(4), d)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// transpose4 transposes the registers 0..3; 4..7 are clobbered.
func transpose4(s isa, r func(i int) Op) {
	if s.elem == 4 {
		VUNPCKLPS(r(1), r(0), r(4)) // a0 b0 a1 b1
		VUNPCKHPS(r(1), r(0), r(5))
		VUNPCKLPS(r(3), r(2), r(6)) // c0 d0 c1 d1
		VUNPCKHPS(r(3), r(2), r(7))
		VUNPCKLPD(r(6), r(4), r(0))
		VUNPCKHPD(r(6), r(4), r(1))
		VUNPCKLPD(r(7), r(5), r(2))
		VUNPCKHPD(r(7), r(5), r(3))
		return
	}
	VUNPCKLPD(r(1), r(0), r(4)) // a0 b0 | a2 b2
	VUNPCKHPD(r(1), r(0), r(5))
	VUNPCKLPD(r(3), r(2), r(6)) // c0 d0 | c2 d2
	VUNPCKHPD(r(3), r(2), r(7))
	VPERM2F128(U8(0x20), r(6), r(4), r(0))
	VPERM2F128(U8(0x20), r(7), r(5), r(1))
	VPERM2F128(U8(0x31), r(6), r(4), r(2))
	VPERM2F128(U8(0x31), r(7), r(5), r(3))
}
