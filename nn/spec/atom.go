package spec

import (
	"math"
	"math/big"
)

// A relation of a comparison, normalised to ≤ and < by exchanging sides.
type relation uint8

const (
	relLE relation = iota
	relLT
	relGE
	relGT
	relEQ
	relNE
)

var comparisons = map[string]relation{
	"<=": relLE, "<": relLT, ">=": relGE, ">": relGT, "=": relEQ, "==": relEQ, "!=": relNE,
}

// An operand is one side of a comparison: a variable, a constant, or a linear expression.
type operand struct {
	kind operandKind
	v    varID
	num  numID
	lin  *linear
}

type operandKind uint8

const (
	isVar operandKind = iota
	isNum
	isLinear
)

// comparison reads two operands and the closing parenthesis; the operator is the current token.
func (p *parser) comparison(open place, rel relation, depth int) error {
	if rel == relEQ && p.v2 && len(p.lx.text) == 1 {
		return p.fail("VNN-LIB 2.0 writes equality ==")
	}
	a, err := p.operand(open, depth)
	if err != nil {
		return err
	}
	b, err := p.operand(open, depth)
	if err != nil {
		return err
	}
	if err := p.next(open); err != nil {
		return err
	}
	if p.lx.kind != tokClose {
		return p.fail("a comparison has two operands; expected ')'")
	}
	if p.v2 && a.constant() && b.constant() {
		return p.lx.failAt(open, 1, "a comparison needs a variable")
	}
	line := uint32(open.line)
	switch rel {
	case relLE, relLT:
		err = p.atom(a, b, rel == relLT, line)
	case relGE, relGT:
		err = p.atom(b, a, rel == relGT, line)
	case relEQ:
		if err = p.atom(a, b, false, line); err == nil {
			err = p.atom(b, a, false, line)
		}
	case relNE:
		err = p.unequal(a, b, open)
	}
	if err == errTooLarge {
		return p.lx.failAt(open, 1, "a coefficient or constant is beyond the range of float64")
	}
	return err
}

// unequal adds a < b or b < a.
func (p *parser) unequal(a, b operand, open place) error {
	from := len(p.openConjs)
	for range 2 {
		m := p.formula.mark()
		if err := p.atom(a, b, true, uint32(open.line)); err != nil {
			return err
		}
		p.openConjs = append(p.openConjs, p.cut(m, open.line))
		a, b = b, a
	}
	p.closeOr(from, open.line)
	return nil
}

func (o operand) constant() bool {
	return o.kind == isNum || o.kind == isLinear && len(o.lin.terms) == 0
}

// operand reads a term. Names and constants are kept as they are; only arithmetic builds a linear expression.
func (p *parser) operand(open place, depth int) (operand, error) {
	if err := p.next(open); err != nil {
		return operand{}, err
	}
	switch p.lx.kind {
	case tokNumber:
		id, bad := p.nums.decimal(p.lx.text)
		if bad != "" {
			return operand{}, p.fail("%s", bad)
		}
		return operand{kind: isNum, num: id}, nil
	case tokSymbol:
		v, err := p.variable(open)
		return operand{kind: isVar, v: v}, err
	case tokOpen:
		lin, err := p.arithmetic(depth + 1)
		return operand{kind: isLinear, lin: lin}, err
	case tokClose:
		return operand{}, p.fail("a comparison has two operands")
	}
	return operand{}, p.fail("expected a variable, a number or '('")
}

// atom adds a ≤ b, or a < b when strict, to the open conjunction.
func (p *parser) atom(a, b operand, strict bool, line uint32) error {
	switch {
	case a.kind == isVar && b.kind == isNum:
		p.single(a.v, b.num, false, strict, line)
	case a.kind == isNum && b.kind == isVar:
		p.single(b.v, a.num, true, strict, line)
	case a.kind == isVar && b.kind == isVar:
		p.pair(a.v, b.v, strict, line)
	default:
		return p.linearAtom(p.linearOf(a).minus(p.linearOf(b)), strict, line)
	}
	return nil
}

// single adds v ≤ num, or v ≥ num when lower.
func (p *parser) single(v varID, num numID, lower, strict bool, line uint32) {
	if !v.output() {
		key := uint32(v.index()) << 2
		if lower {
			key |= boundLower
		}
		if strict {
			key |= boundStrict
		}
		p.openBounds = append(p.openBounds, bound{key, num, line})
		return
	}
	rhs, c := p.nums.list[num].value, 1.0
	if lower {
		rhs, c = rhs.neg(), -1
	}
	row := Row{Y: []Coef{{Index: v.index(), Value: c}}, RHSLower: rhs.floor64(), RHSUpper: rhs.ceil64(), Strict: strict}
	p.addRow(rowAtom{Row: row, line: line})
}

// pair adds a ≤ b.
func (p *parser) pair(a, b varID, strict bool, line uint32) {
	if a == b {
		if strict {
			p.addRow(rowAtom{line: line, never: p.scalar(a) + " < " + p.scalar(a)})
		}
		return
	}
	row := Row{Strict: strict}
	ca, cb := Coef{Index: a.index(), Value: 1}, Coef{Index: b.index(), Value: -1}
	if b < a {
		a, b, ca, cb = b, a, cb, ca
	}
	switch {
	case a.output() == b.output():
		both := []Coef{ca, cb}
		if a.output() {
			row.Y = both
		} else {
			row.X = both
		}
	case a.output():
		row.X, row.Y = []Coef{cb}, []Coef{ca}
	default:
		row.X, row.Y = []Coef{ca}, []Coef{cb}
	}
	p.addRow(rowAtom{Row: row, line: line})
}

// linearAtom adds l ≤ 0, l < 0 when strict.
func (p *parser) linearAtom(l *linear, strict bool, line uint32) error {
	l.terms = sortedTerms(l.terms)
	if len(l.terms) == 0 {
		if s := l.k.Sign(); s > 0 || s == 0 && strict {
			p.addRow(rowAtom{line: line, never: "a comparison of constants"})
		}
		return nil
	}
	rhs := new(big.Rat).Neg(l.k)
	if len(l.terms) == 1 && !l.terms[0].v.output() {
		c := l.terms[0].c
		id, bad := p.nums.rational(rhs.Quo(rhs, c))
		if bad != "" {
			return errTooLarge
		}
		p.single(l.terms[0].v, id, c.Sign() < 0, strict, line)
		return nil
	}
	v, ok := ratValue(rhs)
	row := Row{RHSLower: v.floor64(), RHSUpper: v.ceil64(), Strict: strict}
	for _, t := range l.terms {
		c, good := coefficient(t)
		ok = ok && good
		if t.v.output() {
			row.Y = append(row.Y, c)
		} else {
			row.X = append(row.X, c)
		}
	}
	if !ok {
		return errTooLarge
	}
	p.addRow(rowAtom{Row: row, line: line})
	return nil
}

// coefficient rounds an exact coefficient; Err is 0 when that changed nothing, else one ulp, twice the error of rounding to
// nearest. (Rat.Float64's own exact flag is wrong below half the least float64.)
func coefficient(t term) (Coef, bool) {
	v, ok := ratValue(t.c)
	c := Coef{Index: t.v.index(), Value: v.near}
	if v.dir != 0 {
		c.Err = math.Nextafter(math.Abs(v.near), math.Inf(1)) - math.Abs(v.near)
	}
	return c, ok && !math.IsInf(c.Err, 0)
}
