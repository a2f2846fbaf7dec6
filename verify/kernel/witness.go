package kernel

import (
	"math/big"
	"strconv"
	"strings"
)

// checkWitness evaluates the network at the input of an assignment and returns the first case that it satisfies. The inputs
// are float32 numbers; what the text says of the outputs is not used.
//
// Sound: the bounds of the box [x, x] enclose the network's output; every row must hold for the whole enclosure. With dyadic
// weights of moderate size the enclosure is a point.
func (p *Problem) checkWitness(text []byte) int {
	x := parseWitness(text, p.query.dim[0])
	b := p.net.root(x, x, p.Semantics == 1)
	for i := range p.cases {
		why := p.violated(&p.cases[i], x, b)
		if why == "" {
			return i
		}
		need(i < len(p.cases)-1, "no case is satisfied: in the last, %s", why)
	}
	need(false, "the question has no cases")
	return 0
}

// violated returns what of a case does not hold at x, "" when all does.
func (p *Problem) violated(c *conjunct, x []*big.Rat, b *Bounds) string {
	if c.box < 0 {
		return "the box is empty"
	}
	box := p.boxes[c.box]
	for i, v := range x {
		l, u := v.Cmp(box.lower[i].rhs), v.Cmp(box.upper[i].rhs)
		if l < 0 || l == 0 && box.lower[i].strict || u > 0 || u == 0 && box.upper[i].strict {
			return "X_" + strconv.Itoa(i) + " lies outside its interval"
		}
	}
	for i, r := range c.rows {
		sum := new(big.Rat).Neg(r.rhs) // an upper bound of the left side minus the right
		for _, s := range r.seeds {
			end := new(big.Rat)
			if s.node == 0 {
				end.Set(x[s.elem])
			} else if lo, hi := b.of(s.node); s.c.Sign() < 0 {
				end = scaled(big.NewInt(lo[s.elem]), b.fr.exp[s.node])
			} else {
				end = scaled(big.NewInt(hi[s.elem]), b.fr.exp[s.node])
			}
			sum.Add(sum, end.Mul(end, s.c))
		}
		if sum.Sign() > 0 || sum.Sign() == 0 && r.strict {
			return "row " + strconv.Itoa(i) + " does not hold"
		}
	}
	return ""
}

// parseWitness returns the n inputs of an assignment: after "sat", ((X_0 v) … (Y_0 v) …), or a line "X type [shape]" with the
// values after it; what follows a second variable's name is not read.
func parseWitness(text []byte, n int) (x []*big.Rat) {
	q := &query{text: string(text)}
	size := 64
	number := func(t string) {
		v, err := strconv.ParseFloat(t, size)
		plain := err == nil && strings.Trim(t, "+-.eE0123456789") == ""
		q.need(plain && float64(float32(v)) == v, "%.40q for X_%d is no float32 number", t, len(x))
		r := new(big.Rat).SetFloat64(v)
		q.need(r != nil, "X_%d is infinite", len(x))
		x = append(x, r)
	}
	q.expect("sat")
	t := q.token()
	if t == "(" {
		for t = q.token(); t == "("; t = q.token() {
			v, ok := scalar(q.token())
			q.need(ok && (v.node == 1 || v.elem == len(x) && len(x) < n), "malformed assignment after %d inputs", len(x))
			if t = q.token(); v.node == 0 {
				number(t)
			}
			q.expect(")")
		}
		q.need(t == ")" && len(x) == n && q.token() == "", "%d inputs, or text after the end", len(x))
		return x
	}
	if strings.ToLower(q.token()) == "float32" {
		size = 32
	}
	for t = q.token(); t != "" && !strings.HasSuffix(t, "]"); {
		t = q.token()
	}
	for range n {
		number(q.token())
	}
	q.need(strings.HasPrefix(strings.ToUpper(q.token()), "Y"), "more than %d inputs", n)
	return x
}
