package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// ahead is the distance in bytes at which A, read once per tile in order, is asked for.
const ahead = 1024

// maxHeight is the number of rows that fit in the registers beside nv vectors of B and a temporary.
func (s isa) maxHeight(nv int) int {
	return min(12, (len(s.regs)-nv-1)/nv)
}

// tileArgs are the general registers of a tile function.
type tileArgs struct{ h, k, a, as, b, idx, ldb, c, ldc Register }

// tile writes the register tile: h rows (1..maxHeight) by nv vectors of lanes. It dispatches on the height and on whether
// the rows of B are indexed, because both must be constants in the inner loop.
func tile(s isa, nv int) {
	name := fmt.Sprintf("tile%d%s", nv*s.width(), s.suffix)
	TEXT(name, NOSPLIT, fmt.Sprintf(
		"func(h, k int, a *%[1]s, as int, b *%[1]s, off int, idx *int32, ldb int, c *%[1]s, ldc int)", s.typ))
	Doc(
		fmt.Sprintf("%s computes C[h×%d] += A[h×k]·B for 1 <= h <= %d and k >= 1. A is k-major: A[i,t] is at a[t*as+i].", name, nv*s.width(), s.maxHeight(nv)),
		"Row t of B starts at b[(off+idx[t])*ldb], or at b[(off+t)*ldb] when idx is nil; row i of C at c[i*ldc].")
	Pragma("noescape")
	load := func(n string) Register { return Load(Param(n), GP64()) }
	r := tileArgs{h: load("h"), k: load("k"), a: load("a"), as: load("as"), b: load("b"), ldb: load("ldb"),
		idx: load("idx"), c: load("c"), ldc: load("ldc")}
	off := load("off")
	for _, x := range []Register{r.as, r.ldb, r.ldc} {
		SHLQ(U8(log2(s.elem)), x)
	}
	IMULQ(r.ldb, off)
	ADDQ(off, r.b)
	for h := s.maxHeight(nv); h >= 1; h-- {
		next := fmt.Sprintf("below%d", h)
		if h > 1 {
			CMPQ(r.h, U8(h))
			JNE(LabelRef(next))
		}
		tileBody(s, nv, h, r)
		RET()
		if h > 1 {
			Label(next)
		}
	}
}

// log2 returns the exponent of a power of two.
func log2(n int) (e int) {
	for ; n > 1; n >>= 1 {
		e++
	}
	return e
}

// tileBody writes both loops and the write-back of one height.
func tileBody(s isa, nv, h int, r tileArgs) {
	acc, rest := s.regs[:h*nv], s.regs[h*nv:]
	prefetchC(s, nv, h, r)
	for _, v := range acc {
		s.clear(v)
	}
	dense, store := fmt.Sprintf("dense%d", h), fmt.Sprintf("store%d", h)
	TESTQ(r.idx, r.idx)
	JZ(LabelRef(dense))
	gather := fmt.Sprintf("gather%d", h)
	p := GP64()
	Label(gather)
	MOVLQSX(Mem{Base: r.idx}, p)
	ADDQ(U8(4), r.idx)
	IMULQ(r.ldb, p)
	ADDQ(r.b, p)
	step(s, nv, h, r, p, acc, rest)
	JNZ(LabelRef(gather))
	JMP(LabelRef(store))
	Label(dense)
	step(s, nv, h, r, r.b, acc, rest)
	LEAQ(Mem{Base: r.b, Index: r.ldb, Scale: 1}, r.b)
	JNZ(LabelRef(dense))
	Label(store)
	for i := 0; i < h; i++ {
		for j := 0; j < nv; j++ {
			m := Mem{Base: r.c, Disp: j * s.bytes}
			s.add(m, acc[i*nv+j], acc[i*nv+j])
			s.store(acc[i*nv+j], m)
		}
		if i < h-1 {
			ADDQ(r.ldc, r.c)
		}
	}
	VZEROUPPER()
}

// prefetchC asks for the tile of C, which is needed last, if it is large enough to be worth it.
func prefetchC(s isa, nv, h int, r tileArgs) {
	if nv != 2 || h < 4 {
		return
	}
	p := GP64()
	MOVQ(r.c, p)
	for i := 0; i < h; i++ {
		for j := 0; j < nv*s.bytes; j += 64 {
			PREFETCHT0(Mem{Base: p, Disp: j})
		}
		if i < h-1 {
			ADDQ(r.ldc, p)
		}
	}
}

// step writes the rank-1 update with row p of B; it ends with the flags of the decremented counter.
func step(s isa, nv, h int, r tileArgs, p Register, acc, rest []VecPhysical) {
	for j := 0; j < nv; j++ {
		s.load(Mem{Base: p, Disp: j * s.bytes}, rest[j])
	}
	for i := 0; i < h; i++ {
		ai := Mem{Base: r.a, Disp: s.elem * i}
		if nv == 1 && s.wide() {
			s.op(VFMADD231PD_BCST, VFMADD231PS_BCST, ai, rest[0], acc[i])
			continue
		}
		t := rest[nv+i%(len(rest)-nv)]
		s.bcast(ai, t)
		for j := 0; j < nv; j++ {
			s.fma(rest[j], t, acc[i*nv+j])
		}
	}
	if nv == 2 {
		PREFETCHT0(Mem{Base: r.a, Disp: ahead})
	}
	ADDQ(r.as, r.a)
	DECQ(r.k)
}
