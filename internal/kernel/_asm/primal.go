package main

import . "github.com/mmcloughlin/avo/operand"

// primalBody writes v[idx] = a >= 0 ? slope·z[idx] : s·z[idx] + t with s, t in val(0), val(1) and zero in fix(0).
func primalBody(x *rowPass, slope Op, u int) {
	a, z, f, c := x.tmp(0), x.tmp(1), x.tmp(2), x.tmp(3)
	x.load(x.at("a", u), a)
	x.load(x.at("z", u), z)
	x.mul(z, slope, f)
	x.move(x.val(1), c)
	x.fma(z, x.val(0), c)
	x.where(cmpGreaterEqual, a, x.fix(0), f, c, c, x.tmp(4))
	x.store(c, x.at("v", u))
}

func primalShared(s isa) {
	rowHeader(s, "primalShared", indexed, "v, z, a, s, t, slope *T", "computes v[idx] = a >= 0 ? slope·z[idx] : s·z[idx] + t; a is packed.")
	rows{packed: []string{"a"}, indexed: []string{"v", "z"}, scalars: []string{"s", "t", "slope"}, fixed: 1,
		setup: func(x *rowPass) { x.clear(x.fix(0)) },
		body:  func(x *rowPass, u int) { primalBody(x, x.val(2), u) }}.write(s)
}

func primalLanes(s isa) {
	rowHeader(s, "primalLanes", indexed, "v, z, a, s, t, slope *T", "is primalShared with a slope per lane.")
	rows{packed: []string{"a", "slope"}, indexed: []string{"v", "z"}, scalars: []string{"s", "t"}, fixed: 1,
		setup: func(x *rowPass) { x.clear(x.fix(0)) },
		body: func(x *rowPass, u int) {
			x.load(x.at("slope", u), x.tmp(5))
			primalBody(x, x.tmp(5), u)
		}}.write(s)
}

func primalLines(s isa) {
	rowHeader(s, "primalLines", "", "v, z, a, kl, tl, ku, tu *T", "computes v = a >= 0 ? kl·z + tl : ku·z + tu, each row with its own lines.")
	rows{packed: []string{"v", "z", "a"}, scalars: []string{"kl", "tl", "ku", "tu"}, fixed: 1,
		setup: func(x *rowPass) { x.clear(x.fix(0)) },
		body: func(x *rowPass, u int) {
			a, z, f, c := x.tmp(0), x.tmp(1), x.tmp(2), x.tmp(3)
			x.load(x.at("a", u), a)
			x.load(x.at("z", u), z)
			x.move(x.val(1), f)
			x.fma(z, x.val(0), f)
			x.move(x.val(3), c)
			x.fma(z, x.val(2), c)
			x.where(cmpGreaterEqual, a, x.fix(0), f, c, c, x.tmp(4))
			x.store(c, x.at("v", u))
		}}.write(s)
}

func corner(s isa) {
	rowHeader(s, "corner", "", "x, a, lo, hi *T", "computes x = a >= 0 ? lo : hi, each row with its own ends.")
	rows{packed: []string{"x", "a"}, scalars: []string{"lo", "hi"}, fixed: 1,
		setup: func(x *rowPass) { x.clear(x.fix(0)) },
		body: func(x *rowPass, u int) {
			x.load(x.at("a", u), x.tmp(0))
			x.where(cmpGreaterEqual, x.tmp(0), x.fix(0), x.val(0), x.val(1), x.tmp(1), x.tmp(2))
			x.store(x.tmp(1), x.at("x", u))
		}}.write(s)
}

// adam is Adam's step on slopes; par holds β₁, 1−β₁, β₂, 1−β₂, rate, 1/(1−β₂ᵗ), ε, 1.
func adam(s isa) {
	rowHeader(s, "adam", indexed, "alpha, m, v, a, z, par *T",
		"moves alpha by Adam with the gradient max(a,0)·z[idx], where m is not 0 then, clamped to [0,1]; only z is indexed.")
	rows{packed: []string{"alpha", "m", "v", "a"}, indexed: []string{"z"}, fixed: 9,
		setup: func(x *rowPass) {
			par := pointers("par")[0]
			for i := range 8 {
				x.bcast(Mem{Base: par, Disp: i * x.elem}, x.fix(i))
			}
			x.clear(x.fix(8))
		},
		body: adamBody}.write(s)
}

func adamBody(x *rowPass, u int) {
	g, m, v, al, t := x.tmp(0), x.tmp(1), x.tmp(2), x.tmp(3), x.tmp(4)
	zero := x.fix(8)
	x.load(x.at("a", u), g)
	x.load(x.at("z", u), t)
	x.max(g, zero, g)
	x.mul(t, g, g)
	x.load(x.at("m", u), m)
	x.mul(x.fix(0), m, m)
	x.fma(x.fix(1), g, m)
	x.store(m, x.at("m", u))
	x.mul(x.fix(3), g, t)
	x.load(x.at("v", u), v)
	x.mul(x.fix(2), v, v)
	x.fma(g, t, v)
	x.store(v, x.at("v", u))
	x.mul(x.fix(5), v, v)
	x.sqrt(v, v)
	x.add(x.fix(6), v, v)
	x.mul(x.fix(4), m, t)
	x.div(t, v, t)
	x.load(x.at("alpha", u), al)
	x.add(al, t, t)
	x.max(t, zero, t)
	x.min(t, x.fix(7), t)
	x.where(cmpNeqUnordered, m, zero, t, al, al, g)
	x.store(al, x.at("alpha", u))
}
