package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// loop writes a loop over n elements (a multiple of the vector width, at least one vector), advancing the pointers.
func loop(s isa, n Register, ptrs []Register, body func(at func(p Register) Mem)) {
	SHRQ(U8(map[int]int{8: 3, 4: 2}[s.width]), n)
	Label("loop")
	body(func(p Register) Mem { return Mem{Base: p} })
	for _, p := range ptrs {
		ADDQ(U8(s.bytes()), p)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func pointers(names ...string) []Register {
	p := make([]Register, len(names))
	for i, n := range names {
		p[i] = Load(Param(n), GP64())
	}
	return p
}

func header(s isa, name, sig, doc string) {
	TEXT(name+s.name, NOSPLIT, sig)
	Doc(name+s.name+" "+doc, "n is a positive multiple of the vector width.")
	Pragma("noescape")
}

func axpy(s isa) {
	header(s, "axpy", "func(n int, dst, x *float64, f float64)", "computes dst += f·x.")
	p := pointers("dst", "x")
	v := s.regs
	s.param("f", v[0])
	loop(s, Load(Param("n"), GP64()), p, func(at func(Register) Mem) {
		VMOVUPD(at(p[0]), v[1])
		VFMADD231PD(at(p[1]), v[0], v[1])
		VMOVUPD(v[1], at(p[0]))
	})
}

func absAxpy(s isa) {
	header(s, "absAxpy", "func(n int, dst, x *float64, f float64)", "computes dst += f·|x|.")
	p := pointers("dst", "x")
	v := s.regs
	s.param("f", v[0])
	s.absMask(v[3])
	loop(s, Load(Param("n"), GP64()), p, func(at func(Register) Mem) {
		VMOVUPD(at(p[0]), v[1])
		s.and(at(p[1]), v[3], v[2])
		VFMADD231PD(v[2], v[0], v[1])
		VMOVUPD(v[1], at(p[0]))
	})
}

// bySign computes dst = a < 0 ? neg : pos. Blending on the sign bit differs from the comparison only at a = −0, where
// both products are zero.
func (s isa) bySign(a, neg, pos, dst Op) {
	if s.width == 8 {
		VPMOVQ2M(a, K1)
		VBLENDMPD(neg, pos, K1, dst)
		return
	}
	VBLENDVPD(a, neg, pos, dst)
}

func signAxpy(s isa) {
	header(s, "signAxpy", "func(n int, dst, a *float64, pos, neg float64)", "computes dst += (a >= 0 ? pos : neg)·a.")
	p := pointers("dst", "a")
	v := s.regs
	s.param("pos", v[0])
	s.param("neg", v[1])
	loop(s, Load(Param("n"), GP64()), p, func(at func(Register) Mem) {
		VMOVUPD(at(p[1]), v[2])
		VMOVUPD(at(p[0]), v[3])
		s.bySign(v[2], v[1], v[0], v[4])
		VFMADD231PD(v[4], v[2], v[3])
		VMOVUPD(v[3], at(p[0]))
	})
}

// relaxStep writes nu += (a>=0 ? alpha : slope)·a, d += min(a,0)·t, e += |a|·S with the four parameters in v[0..3], the
// sign mask in v[4] and zero in v[5].
func relaxStep(s isa, at func(Register) Mem, nu, d, e, a Register) {
	v := s.regs
	VMOVUPD(at(a), v[6])
	VMOVUPD(at(nu), v[7])
	VMOVUPD(at(d), v[8])
	VMOVUPD(at(e), v[9])
	s.bySign(v[6], v[1], v[0], v[10])
	VFMADD231PD(v[10], v[6], v[7])
	VMINPD(v[5], v[6], v[11])
	VFMADD231PD(v[11], v[2], v[8])
	s.and(v[4], v[6], v[12])
	VFMADD231PD(v[12], v[3], v[9])
	VMOVUPD(v[7], at(nu))
	VMOVUPD(v[8], at(d))
	VMOVUPD(v[9], at(e))
}

func relax(s isa) {
	header(s, "relax", "func(n int, nu, d, e, a *float64, alpha, slope, t, S float64)",
		"computes nu += (a>=0 ? alpha : slope)·a, d += min(a,0)·t, e += |a|·S.")
	p := pointers("nu", "d", "e", "a")
	v := s.regs
	for i, n := range []string{"alpha", "slope", "t", "S"} {
		s.param(n, v[i])
	}
	s.absMask(v[4])
	s.zero(v[5])
	loop(s, Load(Param("n"), GP64()), p, func(at func(Register) Mem) { relaxStep(s, at, p[0], p[1], p[2], p[3]) })
}

func relaxLanes(s isa) {
	header(s, "relaxLanes", "func(n int, nu, d, e, a, alpha, slope, t, S *float64)",
		"is relax with one value of every parameter per lane.")
	names := []string{"nu", "d", "e", "a", "alpha", "slope", "t", "S"}
	p := pointers(names...)
	v := s.regs
	s.absMask(v[4])
	s.zero(v[5])
	loop(s, Load(Param("n"), GP64()), p, func(at func(Register) Mem) {
		for i := 0; i < 4; i++ {
			VMOVUPD(at(p[4+i]), v[i])
		}
		relaxStep(s, at, p[0], p[1], p[2], p[3])
	})
}

// dot writes Σ x·y (or Σ |x|·y) with four accumulators, which hide the latency of the multiply-add.
func dot(s isa, abs bool) {
	name, doc := "dot", "returns Σ x·y."
	if abs {
		name, doc = "absDot", "returns Σ |x|·y."
	}
	header(s, name, "func(n int, x, y *float64) float64", doc)
	p := pointers("x", "y")
	n := Load(Param("n"), GP64())
	v := s.regs
	if abs {
		s.absMask(v[8])
	}
	for i := 0; i < 4; i++ {
		s.zero(v[i])
	}
	one := func(i int) {
		mx, my := Mem{Base: p[0], Disp: i * s.bytes()}, Mem{Base: p[1], Disp: i * s.bytes()}
		if abs {
			s.and(mx, v[8], v[4+i])
		} else {
			VMOVUPD(mx, v[4+i])
		}
		VFMADD231PD(my, v[4+i], v[i])
	}
	advance := func(k int) {
		ADDQ(I32(k*s.bytes()), p[0])
		ADDQ(I32(k*s.bytes()), p[1])
	}
	SUBQ(I32(4*s.width), n)
	JL(LabelRef("tail"))
	Label("four")
	for i := 0; i < 4; i++ {
		one(i)
	}
	advance(4)
	SUBQ(I32(4*s.width), n)
	JGE(LabelRef("four"))
	Label("tail")
	ADDQ(I32(4*s.width), n)
	JZ(LabelRef("sum"))
	Label("single")
	one(0)
	advance(1)
	SUBQ(I32(s.width), n)
	JNZ(LabelRef("single"))
	Label("sum")
	VADDPD(v[1], v[0], v[0])
	VADDPD(v[3], v[2], v[2])
	VADDPD(v[2], v[0], v[0])
	if s.width == 8 {
		VEXTRACTF64X4(U8(1), Z0, Y1)
		VADDPD(Y1, Y0, Y0)
	}
	VEXTRACTF128(U8(1), Y0, X1)
	VADDPD(X1, X0, X0)
	VUNPCKHPD(X0, X0, X1)
	VADDSD(X1, X0, X0)
	r, err := ReturnIndex(0).Resolve()
	if err != nil {
		panic(err)
	}
	VMOVSD(X0, r.Addr)
	VZEROUPPER()
	RET()
}
