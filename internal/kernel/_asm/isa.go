package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// isa is one vector instruction set with one element type: its registers, and the instructions by what they do.
type isa struct {
	suffix string // of function names
	typ    string // Go name of the element
	elem   int    // bytes of an element
	bytes  int    // bytes of a vector
	regs   []VecPhysical
	masked bool // loads and stores are under K2 (AVX-512 only)
}

var (
	zmm = []VecPhysical{
		Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
		Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31}
	ymm = []VecPhysical{
		Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15}
	sets = []isa{
		{suffix: "F64AVX512", typ: "float64", elem: 8, bytes: 64, regs: zmm},
		{suffix: "F32AVX512", typ: "float32", elem: 4, bytes: 64, regs: zmm},
		{suffix: "F64AVX2", typ: "float64", elem: 8, bytes: 32, regs: ymm},
		{suffix: "F32AVX2", typ: "float32", elem: 4, bytes: 32, regs: ymm},
	}
)

// wide reports whether the set is AVX-512.
func (s isa) wide() bool { return s.bytes == 64 }

// width returns the number of elements of a vector.
func (s isa) width() int { return s.bytes / s.elem }

// mask returns the set with loads and stores restricted to the elements of K2.
func (s isa) mask() isa { s.masked = true; return s }

// half returns the set with vectors of half the width: the lower halves of the same registers.
func (s isa) half() isa {
	s.bytes, s.regs = 32, ymm
	return s
}

// op emits the instruction for the element type: functions of avo, whose types differ by their number of forms.
func (s isa) op(f64, f32 any, ops ...Op) {
	f := f64
	if s.elem == 4 {
		f = f32
	}
	switch f := f.(type) {
	case func(...Op):
		f(ops...)
	case func(a, b Op):
		f(ops[0], ops[1])
	case func(a, b, c Op):
		f(ops[0], ops[1], ops[2])
	case func(a, b, c, d Op):
		f(ops[0], ops[1], ops[2], ops[3])
	default:
		panic("op: unknown form")
	}
}

// load and store move a vector, unaligned; masked-off elements are read as zero and not written.
func (s isa) load(m Mem, v Op) {
	if s.masked {
		s.op(VMOVUPD_Z, VMOVUPS_Z, m, K2, v)
		return
	}
	s.op(VMOVUPD, VMOVUPS, m, v)
}

func (s isa) store(v Op, m Mem) {
	if s.masked {
		s.op(VMOVUPD, VMOVUPS, v, K2, m)
		return
	}
	s.op(VMOVUPD, VMOVUPS, v, m)
}

// bcast fills a vector with the element at m.
func (s isa) bcast(m Mem, v Op) { s.op(VBROADCASTSD, VBROADCASTSS, m, v) }

// fma computes acc += x·y.
func (s isa) fma(x, y, acc Op) { s.op(VFMADD231PD, VFMADD231PS, x, y, acc) }

func (s isa) add(x, y, dst Op) { s.op(VADDPD, VADDPS, x, y, dst) }
func (s isa) mul(x, y, dst Op) { s.op(VMULPD, VMULPS, x, y, dst) }
func (s isa) div(x, y, dst Op) { s.op(VDIVPD, VDIVPS, y, x, dst) } // x / y
func (s isa) sqrt(x, dst Op)   { s.op(VSQRTPD, VSQRTPS, x, dst) }
func (s isa) move(src, dst Op) { s.op(VMOVAPD, VMOVAPS, src, dst) }
func (s isa) min(x, y, dst Op) { s.op(VMINPD, VMINPS, x, y, dst) } // x if either is not a number
func (s isa) max(x, y, dst Op) { s.op(VMAXPD, VMAXPS, x, y, dst) } // x if either is not a number

// clear zeroes a vector.
func (s isa) clear(v VecPhysical) {
	if s.wide() {
		VPXORQ(v, v, v)
		return
	}
	VXORPD(v, v, v)
}

// and computes dst = x & mask.
func (s isa) and(mask, x, dst Op) {
	if s.wide() {
		s.op(VPANDQ, VPANDD, mask, x, dst)
		return
	}
	s.op(VANDPD, VANDPS, mask, x, dst)
}

// absMask fills v with the bit pattern that clears the sign.
func (s isa) absMask(v VecPhysical) {
	t := GP64()
	bits := uint64(0x7fffffffffffffff)
	if s.elem == 4 {
		bits = 0x7fffffff7fffffff
	}
	MOVQ(U64(bits), t)
	if s.wide() {
		VPBROADCASTQ(t, v)
		return
	}
	VMOVQ(t, v.AsX())
	VPBROADCASTQ(v.AsX(), v)
}

// bySign computes dst = a < 0 ? neg : pos by the sign bit, which differs from the comparison at a = −0: fit only where the
// result is multiplied by a.
func (s isa) bySign(a, neg, pos, dst Op) {
	if s.wide() {
		s.op(VPMOVQ2M, VPMOVD2M, a, K1)
		s.op(VBLENDMPD, VBLENDMPS, neg, pos, K1, dst)
		return
	}
	s.op(VBLENDVPD, VBLENDVPS, a, neg, pos, dst)
}

// Predicates of VCMPPD and VCMPPS, quiet.
const (
	cmpNeqUnordered = 4
	cmpGreaterEqual = 29
)

// where computes dst = (x cmp y) ? yes : no; tmp is clobbered.
func (s isa) where(pred int, x, y, yes, no, dst, tmp Op) {
	if s.wide() {
		s.op(VCMPPD, VCMPPS, Imm(uint64(pred)), y, x, K1)
		s.op(VBLENDMPD, VBLENDMPS, yes, no, K1, dst)
		return
	}
	s.op(VCMPPD, VCMPPS, Imm(uint64(pred)), y, x, tmp)
	s.op(VBLENDVPD, VBLENDVPS, tmp, yes, no, dst)
}

// param broadcasts a scalar parameter.
func (s isa) param(name string, v Op) { s.bcast(argument(name), v) }

// argument returns the place of a parameter.
func argument(name string) Mem {
	m, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return m.Addr
}

// tailMask sets K2 to the lowest n bits, 0 < n < 16; n is clobbered.
func tailMask(n Register) {
	MOVQ(n, RCX)
	t := GP64()
	MOVQ(I32(1), t)
	SHLQ(CL, t)
	DECQ(t)
	KMOVW(t.As32(), K2)
}
