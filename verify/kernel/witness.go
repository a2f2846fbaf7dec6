package kernel

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// checkWitness evaluates the network at the input of an assignment ("sat", then ((X_0 v) … (Y_0 v) …)) and returns the first
// case that it satisfies. The inputs are float32 numbers; what the text says of the outputs is not used.
//
// Sound: the bounds of the box [x, x] enclose the network's output; every row must hold for the whole enclosure. With dyadic
// weights of moderate size the enclosure is a point.
func (p *Problem) checkWitness(text []byte) (int, error) {
	x, err := parseWitness(text, p.query.dim[0])
	if err != nil {
		return 0, err
	}
	at := make([]*big.Rat, len(x))
	for i, v := range x {
		at[i] = new(big.Rat).SetFloat64(v)
	}
	b, err := p.net.root(at, at)
	if err != nil {
		return 0, err
	}
	why := "the question has no cases"
	for i := range p.cases {
		if why = p.violated(&p.cases[i], at, b); why == "" {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no case is satisfied: in the last, %s", why)
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
			return fmt.Sprintf("X_%d lies outside its interval", i)
		}
	}
	for i, r := range c.rows {
		sum := new(big.Rat).Neg(r.rhs) // an upper bound of the left side minus the right
		for _, s := range r.seeds {
			end := x[s.elem%len(x)]
			if s.node != 0 {
				lo, hi := b.of(s.node)
				v := hi[s.elem]
				if s.c.Sign() < 0 {
					v = lo[s.elem]
				}
				end = scaled(big.NewInt(v), b.fr.exp[s.node])
			}
			sum.Add(sum, new(big.Rat).Mul(s.c, end))
		}
		if sum.Sign() > 0 || sum.Sign() == 0 && r.strict {
			return fmt.Sprintf("row %d does not hold", i)
		}
	}
	return ""
}

// parseWitness returns the n inputs of an assignment: after "sat", ((X_0 v) … (Y_0 v) …), or a line "X type [shape]" with the
// values after it and what follows a second variable's name unread.
func parseWitness(text []byte, n int) ([]float64, error) {
	q := &query{text: text}
	x, size := make([]float64, 0, n), 64
	number := func(t string) error {
		v, err := strconv.ParseFloat(t, size)
		if err != nil || strings.Trim(t, "+-.eE0123456789") != "" || float64(float32(v)) != v || math.IsInf(v, 0) {
			return fmt.Errorf("%.40q for X_%d is no float32 number", t, len(x))
		}
		x = append(x, v)
		return nil
	}
	if q.token() != "sat" {
		return nil, errors.New("a witness starts with sat")
	}
	if t := q.token(); t != "(" {
		if strings.ToLower(q.token()) == "float32" {
			size = 32
		}
		for t = q.token(); t != "" && !strings.HasSuffix(t, "]"); {
			t = q.token()
		}
		for range n {
			if err := number(q.token()); err != nil {
				return nil, err
			}
		}
		if t := q.token(); t == "" || !strings.ContainsAny(t[:1], "Yy") {
			return nil, fmt.Errorf("%.20q after %d inputs", t, n)
		}
		return x, nil
	}
	for t := q.token(); t != ")"; t = q.token() {
		i, ok := scalar(q.token())
		value := q.token()
		if t != "(" || !ok || q.token() != ")" || i >= 0 && i != len(x) {
			return nil, fmt.Errorf("malformed assignment after %d inputs", len(x))
		}
		if i >= 0 {
			if err := number(value); err != nil {
				return nil, err
			}
		}
	}
	if len(x) != n || q.token() != "" {
		return nil, fmt.Errorf("the assignment has %d inputs and perhaps more text, not %d", len(x), n)
	}
	return x, nil
}
