package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const unroll = 4 // vectors per turn of the main loop of an elementwise pass

// need says which numbers of elements a pass takes.
func (s isa) need(n string) string {
	if s.wide() {
		return n + " is positive."
	}
	return fmt.Sprintf("%s is a positive multiple of %d.", n, s.width())
}

// header begins a function; in the signature T stands for the element type.
func header(s isa, name, n, sig, doc string) {
	TEXT(name+s.suffix, NOSPLIT, typed(s, sig))
	Doc(name+s.suffix+" "+doc, s.need(n))
	Pragma("noescape")
}

// typed replaces T in a signature by the element type.
func typed(s isa, sig string) string {
	out := ""
	for _, c := range sig {
		if c == 'T' {
			out += s.typ
			continue
		}
		out += string(c)
	}
	return out
}

func pointers(names ...string) []Register {
	p := make([]Register, len(names))
	for i, n := range names {
		p[i] = Load(Param(n), GP64())
	}
	return p
}

// chunks writes body for n elements: in groups of up to unroll vectors while they last, then single vectors, then (AVX-512)
// half a vector of float32, because eight lanes are the most frequent rest and masked stores are slow, then a masked rest.
// After each, the pointers move on. It ends with the return.
func chunks(s isa, n Register, ptrs []Register, body func(s isa, name string, u int)) {
	for _, u := range []int{unroll, 1} {
		name := fmt.Sprintf("x%d", u)
		SUBQ(U8(u*s.width()), n)
		JL(LabelRef("below" + name))
		Label(name)
		body(s, name, u)
		for _, p := range ptrs {
			ADDQ(I32(u*s.bytes), p)
		}
		SUBQ(U8(u*s.width()), n)
		JGE(LabelRef(name))
		Label("below" + name)
		ADDQ(U8(u*s.width()), n)
	}
	if s.wide() {
		JZ(LabelRef("end"))
		if s.elem == 4 {
			half := s.half()
			SUBQ(U8(half.width()), n)
			JL(LabelRef("belowhalf"))
			body(half, "half", 1)
			for _, p := range ptrs {
				ADDQ(I32(half.bytes), p)
			}
			TESTQ(n, n)
			JZ(LabelRef("end"))
			SUBQ(U8(half.width()), n)
			Label("belowhalf")
			ADDQ(U8(half.width()), n)
		}
		tailMask(n)
		body(s.mask(), "tail", 1)
	}
	Label("end")
	VZEROUPPER()
	RET()
}

// pass writes an elementwise loop; body handles the vector at displacement disp of every pointer.
func pass(s isa, ptrs []Register, body func(s isa, at func(p Register) Mem)) {
	chunks(s, Load(Param("n"), GP64()), ptrs, func(s isa, _ string, u int) {
		for i := 0; i < u; i++ {
			body(s, func(p Register) Mem { return Mem{Base: p, Disp: i * s.bytes} })
		}
	})
}

func axpy(s isa) {
	header(s, "axpy", "n", "func(n int, dst, x *T, f T)", "computes dst += f·x.")
	p, v := pointers("dst", "x"), s.regs
	s.param("f", v[0])
	pass(s, p, func(s isa, at func(Register) Mem) {
		v := s.regs
		s.load(at(p[0]), v[1])
		s.load(at(p[1]), v[2])
		s.fma(v[2], v[0], v[1])
		s.store(v[1], at(p[0]))
	})
}

func absAxpy(s isa) {
	header(s, "absAxpy", "n", "func(n int, dst, x *T, f T)", "computes dst += f·|x|.")
	p, v := pointers("dst", "x"), s.regs
	s.param("f", v[0])
	s.absMask(v[3])
	pass(s, p, func(s isa, at func(Register) Mem) {
		v := s.regs
		s.load(at(p[0]), v[1])
		s.load(at(p[1]), v[2])
		s.and(v[2], v[3], v[2])
		s.fma(v[2], v[0], v[1])
		s.store(v[1], at(p[0]))
	})
}

func signAxpy(s isa) {
	header(s, "signAxpy", "n", "func(n int, dst, a *T, pos, neg T)", "computes dst += (a >= 0 ? pos : neg)·a.")
	p, v := pointers("dst", "a"), s.regs
	s.param("pos", v[0])
	s.param("neg", v[1])
	pass(s, p, func(s isa, at func(Register) Mem) {
		v := s.regs
		s.load(at(p[1]), v[2])
		s.load(at(p[0]), v[3])
		s.bySign(v[2], v[1], v[0], v[4])
		s.fma(v[4], v[2], v[3])
		s.store(v[3], at(p[0]))
	})
}

// dot writes Σ x·y (or Σ |x|·y) with four accumulators, which hide the latency of the multiply-add.
func dot(s isa, abs bool) {
	name, doc := "dot", "returns Σ x·y."
	if abs {
		name, doc = "absDot", "returns Σ |x|·y."
	}
	header(s, name, "n", "func(n int, x, y *T) T", doc)
	p, v := pointers("x", "y"), s.regs
	n := Load(Param("n"), GP64())
	if abs {
		s.absMask(v[12])
	}
	for i := range unroll {
		s.clear(v[i])
	}
	one := func(s isa, i int) {
		s.load(Mem{Base: p[0], Disp: i * s.bytes}, v[4+i])
		if abs {
			s.and(v[12], v[4+i], v[4+i])
		}
		s.load(Mem{Base: p[1], Disp: i * s.bytes}, v[8+i])
		s.fma(v[8+i], v[4+i], v[i])
	}
	for _, u := range []int{unroll, 1} {
		name := fmt.Sprintf("x%d", u)
		SUBQ(U8(u*s.width()), n)
		JL(LabelRef("below" + name))
		Label(name)
		for i := range u {
			one(s, i)
		}
		for _, q := range p {
			ADDQ(I32(u*s.bytes), q)
		}
		SUBQ(U8(u*s.width()), n)
		JGE(LabelRef(name))
		Label("below" + name)
		ADDQ(U8(u*s.width()), n)
	}
	if s.wide() {
		JZ(LabelRef("sum"))
		tailMask(n)
		one(s.mask(), 0)
		Label("sum")
	}
	s.add(v[1], v[0], v[0])
	s.add(v[3], v[2], v[2])
	s.add(v[2], v[0], v[0])
	horizontal(s)
	r, err := ReturnIndex(0).Resolve()
	if err != nil {
		panic(err)
	}
	s.op(VMOVSD, VMOVSS, X0, r.Addr)
	VZEROUPPER()
	RET()
}

// horizontal sums the elements of register 0 into its first.
func horizontal(s isa) {
	if s.wide() {
		VEXTRACTF64X4(U8(1), Z0, Y1)
		s.add(Y1, Y0, Y0)
	}
	VEXTRACTF128(U8(1), Y0, X1)
	s.add(X1, X0, X0)
	if s.elem == 4 {
		VMOVHLPS(X0, X0, X1)
		VADDPS(X1, X0, X0)
		VMOVSHDUP(X0, X1)
		VADDSS(X1, X0, X0)
		return
	}
	VUNPCKHPD(X0, X0, X1)
	VADDSD(X1, X0, X0)
}
