package spec

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// WriteVNNLIB writes p as VNN-LIB 1.0 over X_0…, Y_0…. What comes from Read, FromBox or LinfBall reads back to the same
// boxes and rows, though decimals may be spelled differently. Numbers that no decimal gives back (boxes and rows assembled by
// other means) are widened: the written query then has every counterexample of p, and perhaps more.
func WriteVNNLIB(w io.Writer, p *Problem) error {
	b := bufio.NewWriter(w)
	for i := range p.NumInputs {
		fmt.Fprintf(b, "(declare-const X_%d Real)\n", i)
	}
	for i := range p.NumOutputs {
		fmt.Fprintf(b, "(declare-const Y_%d Real)\n", i)
	}
	b.WriteByte('\n')
	shared := len(p.Cases) > 0
	for _, c := range p.Cases {
		if c.Box != p.Cases[0].Box || len(c.Rows) == 0 && len(p.Cases) > 1 {
			shared = false
		}
	}
	if shared {
		for _, a := range boxAtoms(&p.Boxes[p.Cases[0].Box]) {
			fmt.Fprintf(b, "(assert %s)\n", a)
		}
		b.WriteByte('\n')
	}
	if shared && len(p.Cases) == 1 {
		for i := range p.Cases[0].Rows {
			fmt.Fprintf(b, "(assert %s)\n", rowText(&p.Cases[0].Rows[i]))
		}
		return flush(b)
	}
	b.WriteString("(assert (or\n")
	texts := map[int]string{} // of the last box: neighbouring cases share boxes
	for _, c := range p.Cases {
		b.WriteString("  (and")
		if !shared {
			text, ok := texts[c.Box]
			if !ok {
				text = " " + strings.Join(boxAtoms(&p.Boxes[c.Box]), " ")
				clear(texts)
				texts[c.Box] = text
			}
			b.WriteString(text)
		}
		for i := range c.Rows {
			b.WriteByte(' ')
			b.WriteString(rowText(&c.Rows[i]))
		}
		b.WriteString(")\n")
	}
	b.WriteString("))\n")
	return flush(b)
}

func flush(b *bufio.Writer) error {
	if err := b.Flush(); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	return nil
}

// boxAtoms writes the bounds of a box. Where Inexact is set and no input had to be spelled inexactly, the first one that can
// be is.
func boxAtoms(b *Box) []string {
	atoms := make([]string, 0, 2*len(b.Lower))
	inexact := false
	for i := range b.Lower {
		lo, hi, ok := endTexts(b, i, false)
		if !ok && b.Inexact {
			if lo, hi, ok = endTexts(b, i, true); ok {
				inexact = true
			}
		}
		if !ok { // not from a reader or builder
			lo, hi = exactText(b.Lower[i]), exactText(b.Upper[i])
		}
		atoms = append(atoms, boundTexts(i, lo, hi)...)
	}
	for i := 0; b.Inexact && !inexact && i < len(b.Lower); i++ {
		if lo, hi, ok := endTexts(b, i, true); ok {
			copy(atoms[2*i:], boundTexts(i, lo, hi))
			inexact = true
		}
	}
	return atoms
}

func boundTexts(i int, lo, hi string) []string {
	name := "X_" + strconv.Itoa(i)
	return []string{"(>= " + name + " " + lo + ")", "(<= " + name + " " + hi + ")"}
}

// endTexts looks for decimals for input i that read back to the box's numbers, with or without a float32 between them.
func endTexts(b *Box, i int, inexact bool) (lo, hi string, ok bool) {
	down, up := math.Inf(-1), math.Inf(1)
	los := speller{outer: b.Lower[i], inner: up, grid: [2]float32{b.InLower[i], math.Nextafter32(b.InLower[i], float32(down))}}
	his := speller{outer: b.Upper[i], inner: down, grid: [2]float32{b.InUpper[i], math.Nextafter32(b.InUpper[i], float32(up))}}
	one := newBox(1)
	for l := range spellings {
		for h := range spellings {
			lo, hi := los.at(l), his.at(h)
			if lo.text == "" || hi.text == "" || crossed(lo, hi) {
				continue
			}
			one.Inexact = false
			iv := interval{lower: lo.value, upper: hi.value}
			iv.store(&one, 0)
			if one.Lower[0] == b.Lower[i] && one.Upper[0] == b.Upper[i] && one.InLower[0] == b.InLower[i] &&
				one.InUpper[0] == b.InUpper[i] && one.Inexact == inexact {
				return lo.text, hi.text, true
			}
		}
	}
	return "", "", false
}

// crossed reports lo > hi.
func crossed(lo, hi *spelling) bool {
	if lo.near != hi.near || lo.dir != hi.dir {
		return lo.near > hi.near || lo.near == hi.near && lo.dir > hi.dir
	}
	return lo.text != hi.text && textRat(lo.text).Cmp(textRat(hi.text)) > 0
}

func textRat(text string) *big.Rat {
	r, _ := new(big.Rat).SetString(text)
	return r
}

// A spelling is a decimal and what it reads back as.
type spelling struct {
	text string
	value
}

const spellings = 6

// A speller finds decimals for an interval's end from its outward rounding and the inward float32 grid next to it: the
// shortest ones first, then the outward rounding in full and the middle between it and the next float64 inside.
type speller struct {
	outer, inner float64
	grid         [2]float32
	done         [spellings]bool
	list         [spellings]spelling
}

func (s *speller) at(k int) *spelling {
	c := &s.list[k]
	if s.done[k] {
		return c
	}
	s.done[k] = true
	next := math.Nextafter(s.outer, s.inner)
	switch k {
	case 0, 1:
		c.text = shortest(float64(s.grid[k]), 32)
	case 2:
		c.text = shortest(s.outer, 64)
	case 3:
		c.text = shortest(next, 64)
	case 4:
		c.text = exactText(s.outer)
	default:
		c.text = middle(s.outer, next)
	}
	var ok bool
	if c.value, ok = textValue(c.text); !ok {
		c.text = ""
	}
	return c
}

// middle returns (a+b)/2 in full.
func middle(a, b float64) string {
	if math.IsInf(b, 0) {
		return exactText(a)
	}
	r := new(big.Rat).SetFloat64(a)
	return plain(ratKey(r.Add(r, new(big.Rat).SetFloat64(b)).Mul(r, big.NewRat(1, 2))))
}

// textValue returns the value of a decimal.
func textValue(text string) (value, bool) {
	key, bad := canonical(nil, []byte(text))
	if bad != "" {
		return value{}, false
	}
	return decimalValue(string(key))
}

// shortest returns the shortest decimal that rounds to f.
func shortest(f float64, bits int) string {
	if math.IsInf(f, 0) {
		return "0"
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.FormatFloat(f, format, -1, bits)
}

// exactText returns f in full.
func exactText(f float64) string {
	if s := shortest(f, 64); isExact(s, f) {
		return s
	}
	return plain(ratKey(new(big.Rat).SetFloat64(f)))
}

func isExact(text string, f float64) bool {
	v, ok := textValue(text)
	return ok && v.near == f && v.dir == 0
}

// rowText writes Σ X·x + Σ Y·y ≤ RHS.
func rowText(r *Row) string {
	op, flip := "<=", ">="
	if r.Strict {
		op, flip = "<", ">"
	}
	var names, terms []string
	var signs []float64 // of coefficients that are exactly ±1
	for side, coefs := range [2][]Coef{r.X, r.Y} {
		for _, c := range coefs {
			name := sides[side] + "_" + strconv.Itoa(c.Index)
			names = append(names, name)
			switch {
			case c.Err == 0 && c.Value == 1:
				terms, signs = append(terms, name), append(signs, 1)
			case c.Err == 0 && c.Value == -1:
				terms, signs = append(terms, "(- "+name+")"), append(signs, -1)
			default:
				terms = append(terms, "(* "+nearText(c.Value, c.Err)+" "+name+")")
			}
		}
	}
	rhs := rhsText(r.RHSLower, r.RHSUpper)
	if n := len(terms); n == len(signs) {
		switch {
		case n == 1 && signs[0] < 0:
			return fmt.Sprintf("(%s %s %s)", flip, names[0], rhsText(0-r.RHSUpper, 0-r.RHSLower))
		case n == 2 && rhs == "0" && signs[0] > signs[1]:
			return fmt.Sprintf("(%s %s %s)", op, names[0], names[1])
		case n == 2 && rhs == "0" && signs[0] < signs[1]:
			return fmt.Sprintf("(%s %s %s)", op, names[1], names[0])
		}
	}
	switch len(terms) {
	case 0:
		return fmt.Sprintf("(%s 0 %s)", op, rhs)
	case 1:
		return fmt.Sprintf("(%s %s %s)", op, terms[0], rhs)
	}
	return fmt.Sprintf("(%s (+ %s) %s)", op, strings.Join(terms, " "), rhs)
}

// nearText returns a decimal that reads back as Coef{Value: v, Err: err}.
func nearText(v, err float64) string {
	if err == 0 {
		return exactText(v)
	}
	if s := shortest(v, 64); !isExact(s, v) {
		return s
	}
	// v has a short exact spelling the file did not use: step off it by an eighth of an ulp.
	r := new(big.Rat).SetFloat64(v)
	ulp := new(big.Rat).SetFloat64(math.Nextafter(math.Abs(v), math.Inf(1)) - math.Abs(v))
	return plain(ratKey(r.Add(r, ulp.Mul(ulp, big.NewRat(1, 8)))))
}

// rhsText returns a decimal whose enclosing floats are lo and hi; where there is none, hi, which admits every solution.
func rhsText(lo, hi float64) string {
	if lo == hi || math.Nextafter(lo, hi) != hi {
		return exactText(hi)
	}
	a, b := shortest(lo, 64), shortest(hi, 64)
	if len(b) < len(a) {
		a, b = b, a
	}
	for _, s := range []string{a, b} {
		if v, ok := textValue(s); ok && v.floor64() == lo && v.ceil64() == hi {
			return s
		}
	}
	return middle(lo, hi)
}
