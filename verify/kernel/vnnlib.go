package kernel

import (
	"cmp"
	"encoding/binary"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// A row is the constraint Σ seeds ≤ rhs, < when strict.
type row struct {
	seeds  []seed
	rhs    *big.Rat
	strict bool
}

// An atom is a row, or a bound of the single input dim.
type atom struct {
	row
	id, dim int // dim −1: a row
	upper   bool
}

// A box is what a case demands of single inputs, as the atoms that set the ends. lo and hi bound the set to cover: the hull of
// the exact box and of its ends rounded to the nearest float32.
type box struct {
	lower, upper []*atom
	lo, hi       []*big.Rat
}

// A conjunct is one case: a box and rows.
type conjunct struct {
	box  int // −1 when the box is empty
	rows []row
}

// A linear is Σ seeds + k, where nodes 0 and 1 stand for X and Y. Its numbers may be shared: none is changed.
type linear struct {
	seeds []seed
	k     *big.Rat
}

const (
	maxAtoms  = 1 << 25 // of all cases together
	maxCases  = 1 << 18
	maxNest   = 200
	maxDigits = 1200
)

var zero, plusOne, minusOne = new(big.Rat), big.NewRat(1, 1), big.NewRat(-1, 1) // never changed

// A query is the parser of VNN-LIB 1.0 and its result, the disjunctive normal form.
type query struct {
	text      string
	at        int
	dim       [2]int // number of inputs, outputs
	output    int    // the node that Y stands for
	cases     [][]*atom
	ids, size int // atoms made, copied
}

func (q *query) need(ok bool, format string, args ...any) {
	if !ok {
		need(false, "query, line %d: "+format, append([]any{1 + strings.Count(q.text[:q.at], "\n")}, args...)...)
	}
}

// parseQuery reads a whole query.
func parseQuery(text []byte, output int) *query {
	q := &query{text: string(text), output: output, cases: [][]*atom{nil}}
	for t := q.token(); t != ""; t = q.token() {
		q.need(t == "(", "%.20q where a command is expected", t)
		q.command(q.token())
		q.expect(")")
	}
	q.need(q.dim[0] > 0 && q.dim[1] > 0, "no inputs or no outputs are declared")
	return q
}

// The bytes that are no part of a word.
var between = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, ';': true, '(': true, ')': true}

// token returns the next parenthesis or word, "" at the end.
func (q *query) token() string {
	for q.at < len(q.text) {
		from, c := q.at, q.text[q.at]
		q.at++
		switch {
		case c == '(' || c == ')':
			return q.text[from:q.at]
		case !between[c]:
			for q.at < len(q.text) && !between[q.text[q.at]] {
				q.at++
			}
			return q.text[from:q.at]
		case c == ';':
			for q.at < len(q.text) && q.text[q.at-1] != '\n' {
				q.at++
			}
		}
	}
	return ""
}

func (q *query) expect(want string) {
	if t := q.token(); t != want {
		q.need(false, "%.20q where %q is expected", t, want)
	}
}

func (q *query) command(name string) {
	q.need(name == "assert" || name == "declare-const" || name == "declare-fun", "the command %.20q is not checked", name)
	if name == "assert" {
		q.expect("(")
		q.cases = q.product(q.cases, q.formula(0))
		return
	}
	v, ok := scalar(q.token())
	q.need(ok && v.elem == q.dim[v.node], "variables are declared as X_0, X_1, … and Y_0, Y_1, … in order")
	q.dim[v.node]++
	if name == "declare-fun" {
		q.expect("(")
		q.expect(")")
	}
	q.expect("Real")
}

// scalar returns X_i or Y_i once, with node 0 or 1.
func scalar(name string) (s seed, ok bool) {
	if len(name) < 3 || name[1] != '_' || name[0] != 'X' && name[0] != 'Y' {
		return s, false
	}
	i, err := strconv.Atoi(name[2:])
	return seed{int(name[0] - 'X'), i, plusOne}, err == nil && i >= 0 && i < maxElements && strconv.Itoa(i) == name[2:]
}

// product returns every case of a with every case of b, a varying slowest.
func (q *query) product(a, b [][]*atom) [][]*atom {
	for _, y := range b {
		q.size += len(a) * (len(y) + 1)
	}
	for _, x := range a {
		q.size += len(x) * (len(b) - 1)
	}
	q.need(q.size <= maxAtoms && len(a)*len(b) <= maxCases, "too many cases")
	if len(b) == 1 { // the usual bound of one input: no copies
		for i := range a {
			a[i] = append(a[i], b[0]...)
		}
		return a
	}
	var out [][]*atom
	for _, x := range a {
		for _, y := range b {
			out = append(out, slices.Concat(x, y))
		}
	}
	return out
}

// formula reads what follows an opening parenthesis, to its closing one.
func (q *query) formula(depth int) (all [][]*atom) {
	q.need(depth <= maxNest, "a formula that is nested too deeply")
	switch name := q.token(); name {
	case "and", "or":
		if name == "and" {
			all = [][]*atom{nil}
		}
		for t := q.token(); t != ")"; t = q.token() {
			q.need(t == "(", "%.20q where a formula is expected", t)
			if f := q.formula(depth + 1); name == "and" {
				all = q.product(all, f)
			} else {
				all = append(all, f...)
			}
			q.need(len(all) <= maxCases, "too many cases")
		}
	case "<=", ">=", "<", ">", "=":
		a, b := q.expression(q.token(), depth), q.expression(q.token(), depth)
		q.expect(")")
		if name[0] == '>' {
			a, b = b, a
		}
		a = q.sum(a, b, minusOne)
		c := []*atom{q.atom(a, name == "<" || name == ">")}
		if name == "=" {
			c = append(c, q.atom(q.sum(&linear{nil, zero}, a, minusOne), false))
		}
		all = [][]*atom{c}
	default:
		q.need(false, "the formula %.20q is not checked", name)
	}
	return all
}

// expression reads a linear expression whose first token is given.
func (q *query) expression(t string, depth int) *linear {
	q.need(depth <= maxNest, "an expression that is nested too deeply")
	if v, ok := scalar(t); ok {
		q.need(v.elem < q.dim[v.node], "%s is not declared", t)
		return &linear{[]seed{v}, zero}
	}
	if t != "(" {
		return &linear{nil, q.decimal(t)}
	}
	op, sign := q.token(), plusOne
	q.need(op == "+" || op == "-" || op == "*", "the operation %.20q is not checked", op)
	acc := q.expression(q.token(), depth+1)
	if t = q.token(); op == "-" {
		sign = minusOne
	}
	if t == ")" {
		return q.sum(&linear{nil, zero}, acc, sign)
	}
	for ; t != ")"; t = q.token() {
		x := q.expression(t, depth+1)
		if op != "*" {
			acc = q.sum(acc, x, sign)
			continue
		}
		if len(x.seeds) > 0 {
			acc, x = x, acc
		}
		q.need(len(x.seeds) == 0, "a product of variables")
		acc = q.sum(&linear{nil, zero}, acc, x.k)
	}
	return acc
}

// sum adds s·m to l.
func (q *query) sum(l, m *linear, s *big.Rat) *linear {
	for _, t := range m.seeds {
		c := times(t.c, s)
		l.seeds = append(l.seeds, seed{t.node, t.elem, c})
		q.size += 1 + len(c.Num().Bits()) + len(c.Denom().Bits())
	}
	switch {
	case m.k.Sign() == 0:
	case l.k.Sign() == 0:
		l.k = times(m.k, s)
	default:
		l.k = new(big.Rat).Add(l.k, times(m.k, s))
	}
	q.size += len(l.k.Num().Bits()) + len(l.k.Denom().Bits())
	q.need(q.size <= maxAtoms, "expressions that are too large")
	return l
}

// times returns a·b, which may be a or b.
func times(a, b *big.Rat) *big.Rat {
	switch {
	case a == plusOne:
		return b
	case b == plusOne:
		return a
	case b == minusOne:
		return new(big.Rat).Neg(a)
	}
	return new(big.Rat).Mul(a, b)
}

// decimal reads a number as it is written.
func (q *query) decimal(t string) *big.Rat {
	mantissa, exp, hasExp := strings.Cut(strings.ToLower(t), "e")
	e, err := strconv.Atoi(exp)
	r, ok := new(big.Rat), len(t) <= maxDigits && (!hasExp || err == nil && max(e, -e) <= maxDigits) &&
		strings.Trim(mantissa, "+-.0123456789") == ""
	if ok {
		_, ok = r.SetString(t)
	}
	q.need(ok, "%.20q is no variable and no number", t)
	return r
}

// atom makes l ≤ 0, or l < 0.
func (q *query) atom(l *linear, strict bool) *atom {
	q.ids++
	a := &atom{row: row{rhs: times(l.k, minusOne), strict: strict}, id: q.ids, dim: -1}
	slices.SortFunc(l.seeds, func(x, y seed) int { return cmp.Or(x.node-y.node, x.elem-y.elem) })
	for _, s := range l.seeds {
		if n := len(a.seeds) - 1; n >= 0 && a.seeds[n].node == s.node && a.seeds[n].elem == s.elem {
			a.seeds[n].c = new(big.Rat).Add(a.seeds[n].c, s.c)
		} else {
			a.seeds = append(a.seeds, s)
		}
	}
	a.seeds = slices.DeleteFunc(a.seeds, func(s seed) bool { return s.c.Sign() == 0 })
	if len(a.seeds) == 1 && a.seeds[0].node == 0 {
		c := a.seeds[0].c
		if a.dim, a.upper = a.seeds[0].elem, c.Sign() > 0; c == minusOne {
			a.rhs = l.k
		} else if c != plusOne {
			a.rhs = new(big.Rat).Quo(a.rhs, c)
		}
	}
	for i := range a.seeds {
		a.seeds[i].node *= q.output
	}
	return a
}

// split turns the cases into boxes and rows.
func (q *query) split() (boxes []*box, cases []conjunct) {
	known := map[string]int{}
	var key []byte
	for _, atoms := range q.cases {
		b := &box{lower: make([]*atom, q.dim[0]), upper: make([]*atom, q.dim[0])}
		c, never := conjunct{box: -1}, false
		for _, a := range atoms {
			switch {
			case a.dim >= 0 && a.upper:
				b.upper[a.dim] = tighter(b.upper[a.dim], a, 1)
			case a.dim >= 0:
				b.lower[a.dim] = tighter(b.lower[a.dim], a, -1)
			case len(a.seeds) == 0:
				never = never || a.rhs.Sign() < 0 || a.rhs.Sign() == 0 && a.strict
			default:
				c.rows = append(c.rows, a.row)
			}
		}
		key = key[:0]
		q.need(!slices.Contains(b.lower, nil) && !slices.Contains(b.upper, nil), "an input has no lower or no upper bound")
		for i, l := range b.lower {
			key = binary.AppendUvarint(binary.AppendUvarint(key, uint64(l.id)), uint64(b.upper[i].id))
		}
		if !never {
			at, ok := known[string(key)]
			if !ok {
				if at = -1; b.hull() {
					at, boxes = len(boxes), append(boxes, b)
				}
				known[string(key)] = at
			}
			c.box = at
		}
		cases = append(cases, c)
	}
	return boxes, cases
}

// tighter returns the stronger of two bounds; sign is 1 for upper ones.
func tighter(a, b *atom, sign int) *atom {
	if a == nil {
		return b
	}
	if s := b.rhs.Cmp(a.rhs) * sign; s < 0 || s == 0 && b.strict {
		return b
	}
	return a
}

// hull computes the set to cover, unless the box is empty.
func (b *box) hull() bool {
	for i, l := range b.lower {
		u := b.upper[i]
		if s := l.rhs.Cmp(u.rhs); s > 0 || s == 0 && (l.strict || u.strict) {
			return false
		}
		b.lo, b.hi = append(b.lo, widened(l.rhs, 1)), append(b.hi, widened(u.rhs, -1))
	}
	return true
}

// widened returns the float32 nearest to r if it lies below, for sign −1 above it, else r.
func widened(r *big.Rat, sign int) *big.Rat {
	f, _ := r.Float32()
	if near := new(big.Rat).SetFloat64(float64(f)); near != nil && near.Cmp(r)*sign < 0 { // nil for an infinity
		return near
	}
	return r
}
