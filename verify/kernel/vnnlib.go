package kernel

import (
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

// A linear is Σ coefficients + k; variables are X_i as i and Y_j as −1−j.
type linear struct {
	c map[int]*big.Rat
	k *big.Rat
}

const (
	maxAtoms  = 1 << 25 // of all cases together
	maxCases  = 1 << 18
	maxNest   = 200
	maxDigits = 1200
)

// A query is the parser of VNN-LIB 1.0 and its result, the disjunctive normal form.
type query struct {
	text      []byte
	at        int
	dim       [2]int // number of inputs, outputs
	output    int    // the node that Y stands for
	cases     [][]*atom
	ids, size int // atoms made, copied
}

func (q *query) need(ok bool, format string, args ...any) {
	if !ok {
		need(false, "query, line %d: "+format, append([]any{1 + strings.Count(string(q.text[:q.at]), "\n")}, args...)...)
	}
}

// parseQuery reads a whole query.
func parseQuery(text []byte, output int) *query {
	q := &query{text: text, output: output, cases: [][]*atom{nil}}
	for t := q.token(); t != ""; t = q.token() {
		q.need(t == "(", "%.20q where a command is expected", t)
		q.command(q.token())
		q.expect(")")
	}
	q.need(q.dim[0] > 0 && q.dim[1] > 0, "no inputs or no outputs are declared")
	return q
}

// token returns the next parenthesis or word, "" at the end.
func (q *query) token() string {
	for ; q.at < len(q.text); q.at++ {
		switch c := q.text[q.at]; {
		case c == ';':
			for q.at < len(q.text)-1 && q.text[q.at] != '\n' {
				q.at++
			}
		case c == '(' || c == ')':
			q.at++
			return string(c)
		case !strings.ContainsRune(" \t\r\n", rune(c)):
			from := q.at
			for q.at < len(q.text) && !strings.ContainsRune(" \t\r\n();", rune(q.text[q.at])) {
				q.at++
			}
			return string(q.text[from:q.at])
		}
	}
	return ""
}

func (q *query) expect(want string) {
	t := q.token()
	q.need(t == want, "%.20q where %q is expected", t, want)
}

func (q *query) command(name string) {
	q.need(name == "assert" || name == "declare-const" || name == "declare-fun", "the command %.20q is not checked", name)
	if name == "assert" {
		q.expect("(")
		q.cases = q.product(q.cases, q.formula(0))
		return
	}
	v, ok := scalar(q.token())
	side := 0
	if v < 0 {
		side, v = 1, -1-v
	}
	q.need(ok && v == q.dim[side], "variables are declared as X_0, X_1, … and Y_0, Y_1, … in order")
	q.dim[side]++
	if name == "declare-fun" {
		q.expect("(")
		q.expect(")")
	}
	q.expect("Real")
}

// scalar returns X_i as i, Y_j as −1−j.
func scalar(name string) (int, bool) {
	if len(name) < 3 || name[1] != '_' || name[0] != 'X' && name[0] != 'Y' {
		return 0, false
	}
	i, err := strconv.Atoi(name[2:])
	if err != nil || i < 0 || i >= maxElements || strconv.Itoa(i) != name[2:] {
		return 0, false
	}
	if name[0] == 'Y' {
		i = -1 - i
	}
	return i, true
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
		return all
	case "<=", ">=", "<", ">", "=":
		a, b := q.expression(q.token(), depth), q.expression(q.token(), depth)
		q.expect(")")
		if name[0] == '>' {
			a, b = b, a
		}
		c := []*atom{q.atom(a.plus(b, big.NewRat(-1, 1)), name == "<" || name == ">")}
		if name == "=" {
			c = append(c, q.atom(b.plus(a, big.NewRat(-1, 1)), false))
		}
		return [][]*atom{c}
	default:
		q.need(false, "the formula %.20q is not checked", name)
		return nil
	}
}

// expression reads a linear expression whose first token is given.
func (q *query) expression(t string, depth int) *linear {
	q.need(depth <= maxNest, "an expression that is nested too deeply")
	if v, ok := scalar(t); ok {
		q.need(v < q.dim[0] && -1-v < q.dim[1], "%s is not declared", t)
		return &linear{map[int]*big.Rat{v: big.NewRat(1, 1)}, new(big.Rat)}
	}
	if t != "(" {
		return &linear{nil, q.decimal(t)}
	}
	op := q.token()
	q.need(op == "+" || op == "-" || op == "*", "the operation %.20q is not checked", op)
	acc := q.expression(q.token(), depth+1)
	nothing := &linear{nil, new(big.Rat)}
	for n := 1; ; n++ {
		t := q.token()
		if t == ")" {
			if op == "-" && n == 1 {
				acc = nothing.plus(acc, big.NewRat(-1, 1))
			}
			return acc
		}
		x := q.expression(t, depth+1)
		switch {
		case op == "*":
			if len(x.c) > 0 {
				acc, x = x, acc
			}
			q.need(len(x.c) == 0, "a product of variables")
			acc = nothing.plus(acc, x.k)
		case op == "+":
			acc = acc.plus(x, big.NewRat(1, 1))
		default:
			acc = acc.plus(x, big.NewRat(-1, 1))
		}
		q.size += len(acc.c) + len(acc.k.Num().Bits()) + len(acc.k.Denom().Bits())
		q.need(q.size <= maxAtoms, "an expression that is too large")
	}
}

// plus returns l + s·m.
func (l *linear) plus(m *linear, s *big.Rat) *linear {
	sum := &linear{map[int]*big.Rat{}, new(big.Rat).Mul(m.k, s)}
	sum.k.Add(sum.k, l.k)
	for v, c := range l.c {
		sum.c[v] = c
	}
	for v, c := range m.c {
		t := new(big.Rat).Mul(c, s)
		if old := sum.c[v]; old != nil {
			t.Add(t, old)
		}
		if sum.c[v] = t; t.Sign() == 0 {
			delete(sum.c, v)
		}
	}
	return sum
}

// decimal reads a number as it is written.
func (q *query) decimal(t string) *big.Rat {
	mantissa, exp, hasExp := strings.Cut(strings.ToLower(t), "e")
	e, err := strconv.Atoi(exp)
	q.need(len(t) <= maxDigits && (!hasExp || err == nil && max(e, -e) <= maxDigits) &&
		strings.Trim(mantissa, "+-.0123456789") == "",
		"%.20q is no variable and no number", t)
	r, ok := new(big.Rat).SetString(t)
	q.need(ok, "%.20q is no variable and no number", t)
	return r
}

// atom makes l ≤ 0, or l < 0.
func (q *query) atom(l *linear, strict bool) *atom {
	q.ids++
	a := &atom{row: row{rhs: new(big.Rat).Neg(l.k), strict: strict}, id: q.ids, dim: -1}
	for v, c := range l.c {
		if len(l.c) == 1 && v >= 0 {
			a.dim, a.upper = v, c.Sign() > 0
			a.rhs.Quo(a.rhs, c)
		}
		s := seed{node: 0, elem: v, c: c}
		if v < 0 {
			s.node, s.elem = q.output, -1-v
		}
		a.seeds = append(a.seeds, s)
	}
	slices.SortFunc(a.seeds, func(x, y seed) int { return (x.node-y.node)*2*maxElements + x.elem - y.elem }) // maps have no order
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
			u := b.upper[i]
			s := l.rhs.Cmp(u.rhs)
			never = never || s > 0 || s == 0 && (l.strict || u.strict)
			key = binary.AppendUvarint(binary.AppendUvarint(key, uint64(l.id)), uint64(u.id))
		}
		if !never {
			at, ok := known[string(key)]
			if !ok {
				at = len(boxes)
				known[string(key)] = at
				b.hull()
				boxes = append(boxes, b)
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

// hull computes the set to cover.
func (b *box) hull() {
	for i := range b.lower {
		lo, hi := b.lower[i].rhs, b.upper[i].rhs
		if f := nearest32(lo); f != nil && f.Cmp(lo) < 0 {
			lo = f
		}
		if f := nearest32(hi); f != nil && f.Cmp(hi) > 0 {
			hi = f
		}
		b.lo, b.hi = append(b.lo, lo), append(b.hi, hi)
	}
}

// nearest32 returns the float32 nearest to r, nil when that is infinite.
func nearest32(r *big.Rat) *big.Rat {
	f, _ := r.Float32()
	return new(big.Rat).SetFloat64(float64(f)) // nil for an infinity
}
