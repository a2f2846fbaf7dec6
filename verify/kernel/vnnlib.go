package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"sort"
	"strconv"
	"strings"
)

// A row is the constraint Σ seeds ≤ rhs, < when strict.
type row struct {
	seeds  []seed
	rhs    *big.Rat
	strict bool
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

// An atom is a row, or a bound of the single input dim.
type atom struct {
	row
	id, dim int // dim −1: a row
	upper   bool
}

const (
	maxAtoms = 1 << 25 // of all cases together
	maxCases = 1 << 18
	maxNest  = 200
)

// A query is the parser and its result: the disjunctive normal form.
type query struct {
	text  []byte
	at    int
	dim   [2]int // number of inputs, outputs
	cases [][]*atom
	ids   int // atoms made
	size  int // atoms copied
}

// parseQuery reads VNN-LIB 1.0.
func parseQuery(text []byte) (*query, error) {
	q := &query{text: text, cases: [][]*atom{nil}}
	for {
		switch t := q.token(); t {
		case "":
			if q.dim[0] == 0 || q.dim[1] == 0 {
				return nil, errors.New("the query declares no inputs or no outputs")
			}
			return q, nil
		case "(":
			if err := q.command(q.token()); err != nil {
				line := 1 + strings.Count(string(text[:q.at]), "\n")
				return nil, fmt.Errorf("query, line %d: %w", line, err)
			}
		default:
			return nil, fmt.Errorf("query: unexpected %.20q", t)
		}
	}
}

// token returns the next parenthesis or word, "" at the end.
func (q *query) token() string {
	for q.at < len(q.text) {
		switch c := q.text[q.at]; c {
		case ' ', '\t', '\r', '\n':
			q.at++
		case ';':
			for q.at < len(q.text) && q.text[q.at] != '\n' {
				q.at++
			}
		case '(', ')':
			q.at++
			return string(c)
		default:
			from := q.at
			for q.at < len(q.text) && !strings.ContainsRune(" \t\r\n();", rune(q.text[q.at])) {
				q.at++
			}
			return string(q.text[from:q.at])
		}
	}
	return ""
}

func (q *query) expect(want string) error {
	if t := q.token(); t != want {
		return fmt.Errorf("%.20q where %q is expected", t, want)
	}
	return nil
}

func (q *query) command(name string) error {
	switch name {
	case "declare-const", "declare-fun":
		v, ok := scalar(q.token())
		side := 0
		if ok && v < 0 {
			side, v = 1, -1-v
		}
		if !ok || v != q.dim[side] {
			return errors.New("variables are declared as X_0, X_1, … and Y_0, Y_1, … in order")
		}
		q.dim[side]++
		if name == "declare-fun" {
			if q.expect("(") != nil || q.expect(")") != nil {
				return errors.New("a function where a constant is expected")
			}
		}
		if err := q.expect("Real"); err != nil {
			return err
		}
	case "assert":
		f, err := q.formula(q.expect("("), 0)
		if err != nil {
			return err
		}
		if q.cases, err = q.product(q.cases, f); err != nil {
			return err
		}
	default:
		return fmt.Errorf("the command %.20q is not checked", name)
	}
	return q.expect(")")
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
func (q *query) product(a, b [][]*atom) ([][]*atom, error) {
	q.size += len(a) * len(b)
	for _, y := range b {
		q.size += len(a) * len(y)
	}
	if len(b) > 1 {
		for _, x := range a {
			q.size += len(x) * len(b)
		}
	}
	if q.size > maxAtoms || len(a)*len(b) > maxCases {
		return nil, errors.New("the query has too many cases")
	}
	if len(b) == 1 { // the usual bound of one input: no copies
		for i := range a {
			a[i] = append(a[i], b[0]...)
		}
		return a, nil
	}
	var out [][]*atom
	for _, x := range a {
		for _, y := range b {
			out = append(out, append(append(make([]*atom, 0, len(x)+len(y)), x...), y...))
		}
	}
	return out, nil
}

// formula reads what follows an opening parenthesis, to its closing one.
func (q *query) formula(err error, depth int) ([][]*atom, error) {
	if err != nil || depth > maxNest {
		return nil, errors.New("a formula is expected, not nested too deeply")
	}
	switch name := q.token(); name {
	case "and", "or":
		var all [][]*atom
		if name == "and" {
			all = [][]*atom{nil}
		}
		for {
			switch t := q.token(); t {
			case ")":
				return all, nil
			case "(":
				f, err := q.formula(nil, depth+1)
				if err != nil {
					return nil, err
				}
				if name == "or" {
					all = append(all, f...)
				} else if all, err = q.product(all, f); err != nil {
					return nil, err
				}
				if len(all) > maxCases {
					return nil, errors.New("the query has too many cases")
				}
			default:
				return nil, fmt.Errorf("%.20q where a formula is expected", t)
			}
		}
	case "<=", ">=", "<", ">", "=":
		a, err := q.expression(q.token(), depth)
		if err != nil {
			return nil, err
		}
		b, err := q.expression(q.token(), depth)
		if err != nil {
			return nil, err
		}
		if err := q.expect(")"); err != nil {
			return nil, err
		}
		if name[0] == '>' {
			a, b = b, a
		}
		c := []*atom{q.atom(a.plus(b, big.NewRat(-1, 1)), len(name) == 1 && name != "=")}
		if name == "=" {
			c = append(c, q.atom(b.plus(a, big.NewRat(-1, 1)), false))
		}
		return [][]*atom{c}, nil
	default:
		return nil, fmt.Errorf("the formula %.20q is not checked", name)
	}
}

// expression reads a linear expression whose first token is given.
func (q *query) expression(t string, depth int) (*linear, error) {
	if depth > maxNest {
		return nil, errors.New("an expression that is nested too deeply")
	}
	if t != "(" {
		if v, ok := scalar(t); ok {
			if v >= q.dim[0] || -1-v >= q.dim[1] {
				return nil, fmt.Errorf("%s is not declared", t)
			}
			return &linear{map[int]*big.Rat{v: big.NewRat(1, 1)}, new(big.Rat)}, nil
		}
		k, err := decimal(t)
		return &linear{nil, k}, err
	}
	op := q.token()
	if op != "+" && op != "-" && op != "*" {
		return nil, fmt.Errorf("the operation %.20q is not checked", op)
	}
	var acc *linear
	for n := 0; ; n++ {
		t := q.token()
		if t == ")" {
			if n == 0 {
				return nil, errors.New("an operation without operands")
			}
			if op == "-" && n == 1 {
				acc = (&linear{nil, new(big.Rat)}).plus(acc, big.NewRat(-1, 1))
			}
			return acc, nil
		}
		x, err := q.expression(t, depth+1)
		if err != nil {
			return nil, err
		}
		switch {
		case acc == nil:
			acc = x
		case op == "*":
			if len(x.c) > 0 {
				acc, x = x, acc
			}
			if len(x.c) > 0 {
				return nil, errors.New("a product of variables")
			}
			acc = (&linear{nil, new(big.Rat)}).plus(acc, x.k)
		case op == "+":
			acc = acc.plus(x, big.NewRat(1, 1))
		default:
			acc = acc.plus(x, big.NewRat(-1, 1))
		}
		if acc.k.Num().BitLen() > 1<<14 || acc.k.Denom().BitLen() > 1<<14 || len(acc.c)*n > maxAtoms {
			return nil, errors.New("an expression that is too large")
		}
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
func decimal(t string) (*big.Rat, error) {
	mantissa, exp, hasExp := strings.Cut(strings.ToLower(t), "e")
	if e, err := strconv.Atoi(exp); hasExp && (err != nil || e < -1200 || e > 1200) || len(t) > 1200 || strings.Trim(mantissa, "+-.0123456789") != "" {
		return nil, fmt.Errorf("%.20q is no variable and no number", t)
	}
	r, ok := new(big.Rat).SetString(t)
	if !ok {
		return nil, fmt.Errorf("%.20q is no variable and no number", t)
	}
	return r, nil
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
		a.seeds = append(a.seeds, seed{node: min(v, 0), elem: max(v, -1-v), c: c})
	}
	sort.Slice(a.seeds, func(i, j int) bool {
		x, y := a.seeds[i], a.seeds[j]
		return x.node > y.node || x.node == y.node && x.elem < y.elem
	})
	for i := range a.seeds {
		a.seeds[i].node = max(a.seeds[i].node, -1) // −1: the output
	}
	return a
}

// split turns the cases into boxes and rows; output is the node that Y stands for.
func (q *query) split(output int) (boxes []*box, cases []conjunct, err error) {
	known := map[string]int{}
	var key []byte
	for _, atoms := range q.cases {
		b := &box{lower: make([]*atom, q.dim[0]), upper: make([]*atom, q.dim[0])}
		c, never := conjunct{}, false
		for _, a := range atoms {
			switch {
			case a.dim >= 0 && a.upper:
				b.upper[a.dim] = tighter(b.upper[a.dim], a, 1)
			case a.dim >= 0:
				b.lower[a.dim] = tighter(b.lower[a.dim], a, -1)
			case len(a.seeds) == 0:
				never = never || a.rhs.Sign() < 0 || a.rhs.Sign() == 0 && a.strict
			default:
				r := a.row
				r.seeds = append([]seed(nil), r.seeds...)
				for i := range r.seeds {
					if r.seeds[i].node < 0 {
						r.seeds[i].node = output
					}
				}
				c.rows = append(c.rows, r)
			}
		}
		key = key[:0]
		for i := range b.lower {
			l, u := b.lower[i], b.upper[i]
			if l == nil || u == nil {
				return nil, nil, fmt.Errorf("query: X_%d has no lower or no upper bound", i)
			}
			s := l.rhs.Cmp(u.rhs)
			never = never || s > 0 || s == 0 && (l.strict || u.strict)
			key = binary.AppendUvarint(binary.AppendUvarint(key, uint64(l.id)), uint64(u.id))
		}
		if c.box = -1; !never {
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
	return boxes, cases, nil
}

// tighter returns the stronger of two bounds; sign is 1 for upper ones.
func tighter(a, b *atom, sign int) *atom {
	if a == nil {
		return b
	}
	if s := b.rhs.Cmp(a.rhs) * sign; s < 0 || s == 0 && b.strict && !a.strict {
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
