package spec

import (
	"bytes"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// A varID is a scalar: input i is i<<1, output i is i<<1|1.
type varID uint32

func (v varID) index() int   { return int(v >> 1) }
func (v varID) output() bool { return v&1 != 0 }

// symbols is the declared variables.
type symbols struct {
	// VNN-LIB 1.0: which X_i (0) and Y_i (1) are declared, how many, and the place of the last declaration.
	seen  [2]bitset
	count [2]int
	last  [2]place

	// VNN-LIB 2.0.
	tensors []*tensor
	byName  map[string]*tensor
	size    [2]int // scalars over all inputs, all outputs
}

// A tensor is a variable of VNN-LIB 2.0; its scalars follow each other from offset on, row-major.
type tensor struct {
	Var
	offset, size int
	at           place
}

type bitset []uint64

func (b bitset) has(i int) bool { return i>>6 < len(b) && b[i>>6]>>(i&63)&1 != 0 }

func (b *bitset) set(i int) {
	for i>>6 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[i>>6] |= 1 << (i & 63)
}

// gap returns the least index that is not set.
func (b bitset) gap() int {
	for i, w := range b {
		if w != ^uint64(0) {
			return i<<6 + bits.TrailingZeros64(^w)
		}
	}
	return len(b) << 6
}

var sides = [2]string{"X", "Y"}
var sideWords = [2]string{"input", "output"}

// scalarName splits X_12 into its side and index.
func scalarName(text []byte) (side, index int, ok bool) {
	if len(text) < 3 || len(text) > 11 || text[1] != '_' || text[0] != 'X' && text[0] != 'Y' {
		return 0, 0, false
	}
	if text[2] == '0' && len(text) > 3 {
		return 0, 0, false
	}
	for _, c := range text[2:] {
		if c < '0' || c > '9' {
			return 0, 0, false
		}
		index = 10*index + int(c-'0')
	}
	return int(text[0] - 'X'), index, true
}

// declareConst reads NAME Real), or NAME () Real) for declare-fun.
func (p *parser) declareConst(open place, fun bool) error {
	if err := p.next(open); err != nil {
		return err
	}
	if p.lx.kind != tokSymbol {
		return p.fail("expected the name of a variable")
	}
	side, i, ok := scalarName(p.lx.text)
	if !ok {
		return p.fail("VNN-LIB 1.0 names inputs X_0, X_1, … and outputs Y_0, Y_1, …, not %s", quoteWord(p.lx.text))
	}
	s := &p.vars
	if n := p.sig.size(side); n >= 0 && i >= n {
		return p.mismatch(p.lx.at, len(p.lx.text), "%s", p.noSuch(side, i, n))
	}
	if i >= p.lim.vars {
		return p.fail("%s_%d: more than %d variables", sides[side], i, p.lim.vars)
	}
	if s.seen[side].has(i) {
		return p.fail("%s_%d is declared twice", sides[side], i)
	}
	s.seen[side].set(i)
	s.count[side]++
	s.last[side] = p.lx.at
	if fun {
		for range 2 {
			if err := p.next(open); err != nil {
				return err
			}
			if p.lx.kind != tokOpen && p.lx.kind != tokClose {
				return p.fail("functions with arguments are not part of VNN-LIB; expected ()")
			}
		}
	}
	if err := p.next(open); err != nil {
		return err
	}
	if t := string(p.lx.text); t != "Real" && t != "real" {
		return p.fail("expected the type Real, not %s", quoteWord(p.lx.text))
	}
	return p.expectClose(open)
}

// noSuch says that X_i or Y_i is beyond the n the model has.
func (p *parser) noSuch(side, i, n int) string {
	return fmt.Sprintf("%s_%d does not exist, the model has %s", sides[side], i, count(n, side))
}

// count spells "10 outputs (Y_0…Y_9)".
func count(n, side int) string {
	switch n {
	case 0:
		return "no " + sideWords[side]
	case 1:
		return fmt.Sprintf("1 %s (%s_0)", sideWords[side], sides[side])
	}
	return fmt.Sprintf("%d %ss (%s_0…%s_%d)", n, sideWords[side], sides[side], sides[side], n-1)
}

// variable resolves the current token, and its index list in version 2.0, to a scalar. It leaves the last token of the
// reference current.
func (p *parser) variable(open place) (varID, error) {
	if p.v2 {
		return p.element(open)
	}
	side, i, ok := scalarName(p.lx.text)
	if ok && p.vars.seen[side].has(i) {
		return varID(i<<1 | side), nil
	}
	if !ok {
		return 0, p.fail("%s is not declared; inputs are X_0, X_1, …, outputs Y_0, Y_1, …", quoteWord(p.lx.text))
	}
	if n := p.sig.size(side); n >= 0 && i >= n {
		return 0, p.mismatch(p.lx.at, len(p.lx.text), "%s", p.noSuch(side, i, n))
	}
	return 0, p.fail("%s_%d is not declared", sides[side], i)
}

// finish checks the declarations against each other and against the model.
func (p *parser) finish() error {
	if p.v2 {
		if len(p.vars.tensors) == 0 {
			return p.fail("the query declares no network")
		}
		return nil
	}
	s := &p.vars
	for side := range 2 {
		if s.count[side] == 0 {
			return p.fail("the query declares no %ss (%s_0, …)", sideWords[side], sides[side])
		}
		if gap := s.seen[side].gap(); gap < s.count[side] {
			return p.lx.failAt(s.last[side], 0, "%s_%d is not declared although %s_%d and others are", sides[side], gap,
				sides[side], p.highest(side))
		}
		if n := p.sig.size(side); n >= 0 && s.count[side] != n {
			return p.mismatch(s.last[side], 0, "the query declares %s, the model has %s", count(s.count[side], side),
				p.sig.describe(side))
		}
	}
	s.size = s.count
	return nil
}

func (p *parser) highest(side int) int {
	b := p.vars.seen[side]
	return len(b)<<6 - 1 - bits.LeadingZeros64(b[len(b)-1])
}

// declared returns the variables as the problem lists them.
func (p *parser) declared() []Var {
	if !p.v2 {
		return []Var{
			{Name: "X", Type: "Real", Shape: []int{p.vars.size[0]}},
			{Name: "Y", Type: "Real", Shape: []int{p.vars.size[1]}, Output: true},
		}
	}
	vars := make([]Var, 0, len(p.vars.tensors))
	for _, t := range p.vars.tensors {
		vars = append(vars, t.Var)
	}
	return vars
}

// scalar names the flattened input or output for messages: X_3, or X[0,3] in version 2.0.
func (p *parser) scalar(v varID) string {
	side := int(v & 1)
	if !p.v2 {
		return sides[side] + "_" + strconv.Itoa(v.index())
	}
	for _, t := range p.vars.tensors {
		if t.Output == v.output() && v.index() >= t.offset && v.index() < t.offset+t.size {
			return t.element(v.index() - t.offset)
		}
	}
	return sides[side] + "_" + strconv.Itoa(v.index())
}

// element names scalar i of a tensor.
func (t *tensor) element(i int) string {
	if len(t.Shape) == 0 {
		return t.Name
	}
	index := make([]string, len(t.Shape))
	for d := len(t.Shape) - 1; d >= 0; d-- {
		index[d] = strconv.Itoa(i % t.Shape[d])
		i /= t.Shape[d]
	}
	return t.Name + "[" + strings.Join(index, ",") + "]"
}

// A Port is one input or output of a network.
type Port struct {
	Name  string
	Shape []int  // unknown dimensions are 1
	Type  string // element type as ONNX names it ("float32"); "" when unknown
}

// A Signature is what a query must fit: the inputs and outputs of a network in order.
type Signature struct{ Inputs, Outputs []Port }

// size returns the number of scalars on a side, −1 for a nil signature.
func (s *Signature) size(side int) int {
	if s == nil {
		return -1
	}
	n := 0
	for _, port := range s.ports(side) {
		n += elements(port.Shape)
	}
	return n
}

func (s *Signature) ports(side int) []Port {
	if side == 0 {
		return s.Inputs
	}
	return s.Outputs
}

// describe spells a side of the signature: "784 inputs (input [1,28,28])".
func (s *Signature) describe(side int) string {
	var b bytes.Buffer
	for i, port := range s.ports(side) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s", port.Name, shapeText(port.Shape))
	}
	n, plural := s.size(side), "s"
	if n == 1 {
		plural = ""
	}
	return fmt.Sprintf("%d %s%s (%s)", n, sideWords[side], plural, b.String())
}

// elements returns the product of a shape.
func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// shapeText spells a shape as VNN-LIB does: [1,3,32,32].
func shapeText(shape []int) string {
	return strings.ReplaceAll(fmt.Sprint(slices.Clone(shape)), " ", ",")
}
