package spec

import (
	"errors"
	"math/big"
	"slices"
)

// A term is coefficient times variable.
type term struct {
	v varID
	c *big.Rat
}

// A linear is an exact linear expression Σ terms + k; a variable may occur in several terms.
type linear struct {
	terms []term
	k     *big.Rat
}

// maxBits bounds the numerators and denominators of exact arithmetic. A constant of the query has less than
// maxDigits + maxExponent digits.
const maxBits = 1 << 16

func newRat() *big.Rat { return new(big.Rat) }

func tooBig(r *big.Rat) bool { return r.Num().BitLen() > maxBits || r.Denom().BitLen() > maxBits }

// linearOf turns any operand into a linear expression of its own.
func (p *parser) linearOf(o operand) *linear {
	switch o.kind {
	case isVar:
		return &linear{terms: []term{{o.v, big.NewRat(1, 1)}}, k: newRat()}
	case isNum:
		return &linear{k: p.nums.list[o.num].rat()}
	}
	// A comparison like == uses an operand twice.
	return &linear{terms: append([]term(nil), o.lin.terms...), k: newRat().Set(o.lin.k)}
}

// minus returns l − m, taking over l; coefficients are never shared with m.
func (l *linear) minus(m *linear) *linear {
	for _, t := range m.terms {
		l.terms = append(l.terms, term{t.v, newRat().Neg(t.c)})
	}
	l.k.Sub(l.k, m.k)
	return l
}

// scale multiplies l by c into new coefficients.
func (l *linear) scale(c *big.Rat) {
	for i := range l.terms {
		l.terms[i].c = newRat().Mul(l.terms[i].c, c)
	}
	l.k = newRat().Mul(l.k, c)
}

// arithmetic reads a (+ …), (- …), (* …) or (/ …) whose opening parenthesis is the current token.
func (p *parser) arithmetic(depth int) (*linear, error) {
	open := p.lx.at
	if depth > p.lim.depth {
		return nil, p.fail("more than %d nested parentheses", p.lim.depth)
	}
	if err := p.next(open); err != nil {
		return nil, err
	}
	op := byte(0)
	if p.lx.kind == tokSymbol && len(p.lx.text) == 1 {
		op = p.lx.text[0]
	}
	switch op {
	case '+', '-', '*':
	case '/':
		if p.v2 {
			return nil, p.fail("VNN-LIB 2.0 has no division")
		}
	default:
		return nil, p.fail("unknown operation %s; expected +, - or *", quoteWord(p.lx.text))
	}
	var acc *linear
	n := 0
	for ; ; n++ {
		o, end, err := p.argument(open, depth)
		if err != nil {
			return nil, err
		}
		if end {
			break
		}
		if acc, err = p.combine(op, acc, o); err != nil {
			return nil, err
		}
	}
	switch {
	case n == 0:
		return nil, p.fail("%c needs operands", op)
	case n == 1 && op == '-':
		acc.scale(big.NewRat(-1, 1))
	}
	return acc, nil
}

// argument reads one operand, or reports the closing parenthesis.
func (p *parser) argument(open place, depth int) (l *linear, end bool, err error) {
	if err := p.next(open); err != nil {
		return nil, false, err
	}
	switch p.lx.kind {
	case tokClose:
		return nil, true, nil
	case tokNumber:
		id, bad := p.nums.decimal(p.lx.text)
		if bad != "" {
			return nil, false, p.fail("%s", bad)
		}
		return p.linearOf(operand{kind: isNum, num: id}), false, nil
	case tokSymbol:
		v, err := p.variable(open)
		return p.linearOf(operand{kind: isVar, v: v}), false, err
	case tokOpen:
		l, err := p.arithmetic(depth + 1)
		return l, false, err
	}
	return nil, false, p.fail("expected a variable, a number or '('")
}

// combine returns acc op o; acc is nil for the first operand.
func (p *parser) combine(op byte, acc, o *linear) (*linear, error) {
	if acc == nil {
		return o, nil
	}
	work := len(o.terms) + 1
	switch op {
	case '+':
		if len(acc.terms) < len(o.terms) {
			acc, o = o, acc
		}
		work = len(o.terms) + 1
		acc.terms = append(acc.terms, o.terms...)
		acc.k.Add(acc.k, o.k)
	case '-':
		acc.minus(o)
	case '*':
		if len(acc.terms) == 0 {
			acc, o = o, acc
		}
		work = len(acc.terms) + 1
		if len(o.terms) > 0 {
			return nil, p.unsupported("a product of variables", "constraints are linear: multiply by constants")
		}
		acc.scale(o.k)
	case '/':
		if len(o.terms) > 0 || o.k.Sign() == 0 {
			return nil, p.fail("the divisor must be a constant other than 0")
		}
		acc.scale(newRat().Inv(o.k))
	}
	if p.terms += work; p.terms > p.lim.terms {
		return nil, p.fail("the arithmetic of this query has more than %d terms", p.lim.terms)
	}
	if tooBig(acc.k) || len(acc.terms) > 0 && tooBig(acc.terms[len(acc.terms)-1].c) {
		return nil, p.fail("this constant is too large")
	}
	return acc, nil
}

// errTooLarge is a coefficient or constant beyond the range of float64; comparison adds the place.
var errTooLarge = errors.New("too large")

// sortedTerms orders terms by variable and adds up those of one variable, dropping zeros.
func sortedTerms(terms []term) []term {
	slices.SortStableFunc(terms, func(a, b term) int { return int(a.v) - int(b.v) })
	out := terms[:0]
	for i := 0; i < len(terms); {
		j, sum := i+1, terms[i].c
		for ; j < len(terms) && terms[j].v == terms[i].v; j++ {
			sum = newRat().Add(sum, terms[j].c)
		}
		if sum.Sign() != 0 {
			out = append(out, term{terms[i].v, sum})
		}
		i = j
	}
	return out
}
