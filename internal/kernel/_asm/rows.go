package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// rows describes a pass over n rows of lanes. Row i of a packed operand is row i; row i of an indexed one is row idx[i].
// Lanes are the outer loop, in chunks, so that what a pass sums over the rows stays in registers.
type rows struct {
	sums    []string // one row of lanes each, added to: in registers acc(0), acc(1), ...
	packed  []string // pointers to packed operands
	indexed []string // pointers to indexed operands; none: the pass has no idx
	scalars []string // one number per row, broadcast to the registers val(0), ...
	fixed   int      // registers that setup fills, from fix(0)
	setup   func(x *rowPass)
	body    func(x *rowPass, u int)
}

// rowPass is what a body sees: names of operands and registers.
type rowPass struct {
	isa
	ptr     map[string]Register
	i, p, q Register // row number, byte offset of the indexed row, of the packed row
	indexed map[string]bool
	nsum    int
	tmp0    int
	fix0    int
	val0    int
}

// Registers: scalars, fixed, then temporaries from the bottom; sums from the top.
func (x *rowPass) val(i int) VecPhysical { return x.regs[x.val0+i] }
func (x *rowPass) fix(i int) VecPhysical { return x.regs[x.fix0+i] }
func (x *rowPass) tmp(i int) VecPhysical { return x.regs[x.tmp0+i] }
func (x *rowPass) acc(i, u int) VecPhysical {
	return x.regs[len(x.regs)-1-(i*unroll+u)]
}

// at returns the place of vector u of the current row of an operand.
func (x *rowPass) at(name string, u int) Mem {
	off := x.q
	if x.indexed[name] {
		off = x.p
	}
	return Mem{Base: x.ptr[name], Index: off, Scale: 1, Disp: u * x.bytes}
}

// write emits the pass. Parameters: n, idx (if any operand is indexed), lanes, stride, then those named in the signature.
func (w rows) write(s isa) {
	x := &rowPass{isa: s, ptr: map[string]Register{}, indexed: map[string]bool{}, nsum: len(w.sums)}
	x.fix0 = len(w.scalars)
	x.tmp0 = x.fix0 + w.fixed
	var moving []Register
	for _, list := range [][]string{w.packed, w.indexed} {
		for _, n := range list {
			x.ptr[n] = Load(Param(n), GP64())
			moving = append(moving, x.ptr[n])
		}
	}
	for _, n := range w.indexed {
		x.indexed[n] = true
	}
	for _, n := range w.scalars {
		x.ptr[n] = Load(Param(n), GP64())
	}
	stride := Load(Param("stride"), GP64())
	SHLQ(U8(log2(s.elem)), stride)
	if w.setup != nil {
		w.setup(x)
	}
	x.i, x.p = GP64(), GP64()
	x.q = x.p
	if len(w.indexed) > 0 && len(w.packed) > 0 {
		x.q = GP64()
	}
	lanes := Load(Param("lanes"), GP64())
	chunks(s, lanes, moving, func(s isa, name string, u int) {
		x.isa = s
		w.chunk(x, name, u, stride)
	})
}

// chunk emits the loop over the rows for u vectors of lanes.
func (w rows) chunk(x *rowPass, name string, u int, stride Register) {
	for i, n := range w.sums {
		x.eachSum(n, i, u, true)
	}
	XORQ(x.i, x.i)
	if len(w.indexed) == 0 || len(w.packed) > 0 {
		XORQ(x.q, x.q)
	}
	Label(name + "row")
	if len(w.indexed) > 0 {
		idx := x.p
		MOVQ(argument("idx"), idx)
		MOVLQSX(Mem{Base: idx, Index: x.i, Scale: 4}, x.p)
		IMULQ(stride, x.p)
	}
	for i, n := range w.scalars {
		x.bcast(Mem{Base: x.ptr[n], Index: x.i, Scale: uint8(x.elem)}, x.val(i))
	}
	for j := range u {
		w.body(x, j)
	}
	if len(w.indexed) == 0 || len(w.packed) > 0 {
		ADDQ(stride, x.q)
	}
	INCQ(x.i)
	CMPQ(x.i, argument("n"))
	JLT(LabelRef(name + "row"))
	for i, n := range w.sums {
		x.eachSum(n, i, u, false)
	}
}

// eachSum loads or stores the u vectors of a sum; after the store the parameter, which lives in memory, moves on.
func (x *rowPass) eachSum(name string, i, u int, load bool) {
	p := GP64()
	MOVQ(argument(name), p)
	for j := range u {
		m := Mem{Base: p, Disp: j * x.bytes}
		if load {
			x.load(m, x.acc(i, j))
		} else {
			x.store(x.acc(i, j), m)
		}
	}
	if !load {
		ADDQ(I32(u*x.bytes), p)
		MOVQ(p, argument(name))
	}
}

// rowHeader begins a pass over rows.
func rowHeader(s isa, name, list, rest, doc string) {
	header(s, name, "lanes", fmt.Sprintf("func(n int%s, lanes, stride int, %s)", list, rest), doc+" n is positive.")
}

const indexed = ", idx *int32"

func addRows(s isa) {
	rowHeader(s, "addRows", indexed, "nu, a *T", "computes nu[idx] += a[idx].")
	rows{indexed: []string{"nu", "a"}, body: func(x *rowPass, u int) {
		x.load(x.at("nu", u), x.tmp(0))
		x.load(x.at("a", u), x.tmp(1))
		x.add(x.tmp(1), x.tmp(0), x.tmp(0))
		x.store(x.tmp(0), x.at("nu", u))
	}}.write(s)
}

// relaxBody is the backward step of one unstable neuron with its lower slope in slope and s, t in val(0), val(1).
func relaxBody(x *rowPass, slope VecPhysical, u int, save func(v VecPhysical)) {
	a, nu, f, q := x.tmp(0), x.tmp(1), x.tmp(2), x.tmp(3)
	x.load(x.at("a", u), a)
	x.load(x.at("nu", u), nu)
	x.bySign(a, x.val(0), slope, f)
	x.fma(f, a, nu)
	x.min(a, x.fix(0), q)
	x.fma(q, x.val(1), x.acc(0, u))
	x.store(nu, x.at("nu", u))
	save(a)
}

func relaxShared(s isa) {
	for _, keep := range []bool{false, true} {
		name, par, packed := "relaxShared", "", []string(nil)
		if keep {
			name, par, packed = "relaxSharedSave", "save, ", []string{"save"}
		}
		rowHeader(s, name, indexed, "nu, d, a, "+par+"s, t, slope *T",
			"computes nu[idx] += slope·max(a,0) + s·min(a,0), d += t·min(a,0) with a[idx]; save keeps a.")
		rows{sums: []string{"d"}, packed: packed, indexed: []string{"nu", "a"}, scalars: []string{"s", "t", "slope"}, fixed: 1,
			setup: func(x *rowPass) { x.clear(x.fix(0)) },
			body: func(x *rowPass, u int) {
				relaxBody(x, x.val(2), u, func(v VecPhysical) {
					if keep {
						x.store(v, x.at("save", u))
					}
				})
			}}.write(s)
	}
}

func relaxLanes(s isa) {
	for _, keep := range []bool{false, true} {
		name, par, packed := "relaxLanes", "", []string{"slope"}
		if keep {
			name, par, packed = "relaxLanesSave", "save, ", []string{"slope", "save"}
		}
		rowHeader(s, name, indexed, "nu, d, a, "+par+"s, t, slope *T", "is relaxShared with a slope per lane.")
		rows{sums: []string{"d"}, packed: packed, indexed: []string{"nu", "a"}, scalars: []string{"s", "t"}, fixed: 1,
			setup: func(x *rowPass) { x.clear(x.fix(0)) },
			body: func(x *rowPass, u int) {
				x.load(x.at("slope", u), x.tmp(4))
				relaxBody(x, x.tmp(4), u, func(v VecPhysical) {
					if keep {
						x.store(v, x.at("save", u))
					}
				})
			}}.write(s)
	}
}

func relaxLines(s isa) {
	rowHeader(s, "relaxLines", "", "nu, d, m, a, kl, tl, ku, tu *T",
		"computes nu += (a>=0 ? kl : ku)·a, c = (a>=0 ? tl : tu)·a, d += c, m += |c|, each row of nu and a with its own lines.")
	rows{sums: []string{"d", "m"}, packed: []string{"nu", "a"}, scalars: []string{"kl", "tl", "ku", "tu"}, fixed: 1,
		setup: func(x *rowPass) { x.absMask(x.fix(0)) },
		body: func(x *rowPass, u int) {
			a, nu, f := x.tmp(0), x.tmp(1), x.tmp(2)
			x.load(x.at("a", u), a)
			x.load(x.at("nu", u), nu)
			x.bySign(a, x.val(2), x.val(0), f)
			x.fma(f, a, nu)
			x.store(nu, x.at("nu", u))
			x.bySign(a, x.val(3), x.val(1), f)
			x.mul(a, f, f)
			x.add(f, x.acc(0, u), x.acc(0, u))
			x.and(f, x.fix(0), f)
			x.add(f, x.acc(1, u), x.acc(1, u))
		}}.write(s)
}

// sumRows is the step through an affine node: sums of its coefficients against two vectors, or the second only.
func sumRows(s isa) {
	rowHeader(s, "sumRows", "", "d, e, a, b, S *T", "computes d += Σ a·b and e += Σ |a|·S over the rows of a.")
	absMask := func(x *rowPass) { x.absMask(x.fix(0)) }
	rows{sums: []string{"d", "e"}, packed: []string{"a"}, scalars: []string{"b", "S"}, fixed: 1, setup: absMask,
		body: func(x *rowPass, u int) {
			a := x.tmp(0)
			x.load(x.at("a", u), a)
			x.fma(a, x.val(0), x.acc(0, u))
			x.and(a, x.fix(0), a)
			x.fma(a, x.val(1), x.acc(1, u))
		}}.write(s)
	rowHeader(s, "sumAbsRows", "", "e, a, S *T", "computes e += Σ |a|·S over the rows of a.")
	rows{sums: []string{"e"}, packed: []string{"a"}, scalars: []string{"S"}, fixed: 1, setup: absMask,
		body: func(x *rowPass, u int) {
			a := x.tmp(0)
			x.load(x.at("a", u), a)
			x.and(a, x.fix(0), a)
			x.fma(a, x.val(0), x.acc(0, u))
		}}.write(s)
}
