package verifytest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// ParseInstance reads the text form of an instance; empty lines and lines starting with # are skipped.
func ParseInstance(text string) (*Instance, error) {
	in := &Instance{Net: &Net{}, Problem: &spec.Problem{Version: "2.0"}}
	for i, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		p := &lineParser{fields: f[1:]}
		in.line(f[0], p)
		if p.err == nil && len(p.fields) > 0 {
			p.fail("too many fields")
		}
		if p.err != nil {
			return nil, fmt.Errorf("verifytest: line %d: %w", i+1, p.err)
		}
	}
	if len(in.Net.Nodes) == 0 || in.Net.Nodes[0].Kind != prog.Input {
		return nil, fmt.Errorf("verifytest: the first node is not an input")
	}
	p, err := in.Net.Program()
	if err != nil {
		return nil, err
	}
	in.Problem.NumInputs, in.Problem.NumOutputs = p.Nodes[0].N, p.Nodes[p.Output].N
	return in, in.check()
}

// check verifies that the problem's indices fit the network.
func (in *Instance) check() error {
	p := in.Problem
	for i := range p.Boxes {
		if len(p.Boxes[i].Lower) != p.NumInputs {
			return fmt.Errorf("verifytest: box %d has %d dimensions, want %d", i, len(p.Boxes[i].Lower), p.NumInputs)
		}
	}
	for i := range p.Cases {
		if b := p.Cases[i].Box; b < 0 || b >= len(p.Boxes) {
			return fmt.Errorf("verifytest: case %d: no box %d", i, b)
		}
		for _, r := range p.Cases[i].Rows {
			for _, c := range r.X {
				if c.Index >= p.NumInputs {
					return fmt.Errorf("verifytest: case %d: no input %d", i, c.Index)
				}
			}
			for _, c := range r.Y {
				if c.Index >= p.NumOutputs {
					return fmt.Errorf("verifytest: case %d: no output %d", i, c.Index)
				}
			}
		}
	}
	return nil
}

// line reads one line by its first word.
func (in *Instance) line(word string, p *lineParser) {
	nodes := in.Net.Nodes
	switch word {
	case "node":
		in.Net.Nodes = append(nodes, p.node(nodes))
	case "bias", "term":
		if len(nodes) == 0 || nodes[len(nodes)-1].Kind != prog.Affine {
			p.fail(word + " not after an affine node")
			return
		}
		if last := &nodes[len(nodes)-1]; word == "bias" {
			last.Bias = p.floats()
		} else {
			last.Terms = append(last.Terms, p.term())
		}
	case "output":
		in.Net.Output = p.int()
	case "box":
		in.Problem.Boxes = append(in.Problem.Boxes, p.box())
	case "grid":
		in.Problem.Boxes = append(in.Problem.Boxes, p.grid())
	case "inexact":
		if len(in.Problem.Boxes) == 0 {
			p.fail("inexact before any box")
			return
		}
		in.Problem.Boxes[len(in.Problem.Boxes)-1].Inexact = true
	case "case":
		in.Problem.Cases = append(in.Problem.Cases, spec.Case{Box: p.int()})
	case "row":
		if len(in.Problem.Cases) == 0 {
			p.fail("row before any case")
			return
		}
		c := &in.Problem.Cases[len(in.Problem.Cases)-1]
		c.Rows = append(c.Rows, p.row())
	default:
		p.fail("unknown word " + word)
	}
}

// lineParser consumes the fields of a line and keeps the first error.
type lineParser struct {
	fields []string
	err    error
}

func (p *lineParser) fail(why string) {
	if p.err == nil {
		p.err = fmt.Errorf("%s", why)
	}
}

func (p *lineParser) word() string {
	if len(p.fields) == 0 {
		p.fail("too few fields")
		return ""
	}
	w := p.fields[0]
	p.fields = p.fields[1:]
	return w
}

func (p *lineParser) int() int { return p.parseInt(p.word()) }

func (p *lineParser) parseInt(w string) int {
	n, err := strconv.Atoi(w)
	if err != nil || n < 0 || n > 1<<20 {
		p.fail(fmt.Sprintf("%q is not a small number", w))
		return 0
	}
	return n
}

func (p *lineParser) parseFloat(w string) float64 {
	v, err := strconv.ParseFloat(w, 64)
	if err != nil || v-v != 0 {
		p.fail(fmt.Sprintf("%q is not a finite number", w))
		return 0
	}
	return v
}

// floats reads the rest of the line.
func (p *lineParser) floats() []float64 {
	var x []float64
	for len(p.fields) > 0 {
		x = append(x, p.parseFloat(p.word()))
	}
	return x
}

func (p *lineParser) node(nodes []NetNode) NetNode {
	switch w := p.word(); w {
	case "input":
		return NetNode{Kind: prog.Input, N: p.int()}
	case "affine":
		return NetNode{Kind: prog.Affine, N: p.int()}
	case "relu":
		src := p.int()
		if src >= len(nodes) {
			p.fail("the source is not an earlier node")
			return NetNode{}
		}
		return NetNode{Kind: prog.Relu, Src: src, N: nodes[src].N}
	default:
		p.fail(fmt.Sprintf("unknown node %q", w))
		return NetNode{}
	}
}

func (p *lineParser) term() NetTerm {
	t := NetTerm{Src: p.int()}
	m := &t.Map
	switch w := p.word(); w {
	case "dense":
		m.Kind, m.Out, m.In = Dense, p.int(), p.int()
		if m.W = p.floats(); len(m.W) != m.Out*m.In {
			p.fail("wrong number of entries")
		}
	case "sparse":
		m.Kind, m.Out, m.In = Sparse, p.int(), p.int()
		p.entries(m)
	case "conv", "convt":
		m.Kind = Conv
		for _, f := range geomFields(&m.Geom) {
			*f = p.int()
		}
		p.geometry(m)
		if w == "convt" {
			m.Kind, m.Out, m.In = ConvT, m.In, m.Out
		}
	default:
		p.fail(fmt.Sprintf("unknown map %q", w))
	}
	return t
}

// entries reads the row,column,value triples of a sparse map, which come row by row.
func (p *lineParser) entries(m *NetMap) {
	m.Ptr = []int32{0}
	for len(p.fields) > 0 && p.err == nil {
		f := strings.Split(p.word(), ",")
		if len(f) != 3 {
			p.fail("an entry is row,column,value")
			return
		}
		i, j, v := p.parseInt(f[0]), p.parseInt(f[1]), p.parseFloat(f[2])
		if i >= m.Out || j >= m.In || i < len(m.Ptr)-1 {
			p.fail("entry out of range or order")
			return
		}
		for len(m.Ptr)-1 < i {
			m.Ptr = append(m.Ptr, int32(len(m.Idx)))
		}
		m.Idx, m.W = append(m.Idx, int32(j)), append(m.W, v)
	}
	for len(m.Ptr)-1 < m.Out {
		m.Ptr = append(m.Ptr, int32(len(m.Idx)))
	}
}

// geometry checks a convolution and reads its kernel.
func (p *lineParser) geometry(m *NetMap) {
	g := &m.Geom
	if g.Group < 1 || g.StrideH < 1 || g.StrideW < 1 || g.KH < 1 || g.KW < 1 || g.C%g.Group != 0 || g.M%g.Group != 0 ||
		g.DilH*(g.KH-1)+1 > g.H+g.PadT+g.PadB || g.DilW*(g.KW-1)+1 > g.W+g.PadL+g.PadR {
		p.fail("bad convolution geometry")
		return
	}
	oh, ow := g.OutHW()
	m.Out, m.In = g.M*oh*ow, g.C*g.H*g.W
	if m.W = p.floats(); len(m.W) != g.M*(g.C/g.Group)*g.KH*g.KW {
		p.fail("wrong number of kernel entries")
	}
}

func (p *lineParser) box() spec.Box {
	x := p.columns(2)
	return plainBox(x[0], x[1])
}

func (p *lineParser) grid() spec.Box {
	x := p.columns(4)
	b := plainBox(x[2], x[3])
	b.Lower, b.Upper = x[0], x[1]
	return b
}

// columns reads the rest of the line into n columns, of which the first two are the ends of non-empty intervals.
func (p *lineParser) columns(n int) [][]float64 {
	c := make([][]float64, n)
	x := p.floats()
	if len(x)%n != 0 {
		p.fail(fmt.Sprintf("the number of ends is not a multiple of %d", n))
		return c
	}
	for j, v := range x {
		c[j%n] = append(c[j%n], v)
		if j%n == 1 && x[j-1] > v {
			p.fail("empty box")
		}
	}
	return c
}

func (p *lineParser) row() spec.Row {
	var r spec.Row
	for p.err == nil {
		w := p.word()
		if w == "<=" || w == "<" {
			r.Strict = w == "<"
			r.RHSLower = p.parseFloat(p.word())
			r.RHSUpper = r.RHSLower
			return r
		}
		if len(w) < 2 {
			p.fail(fmt.Sprintf("%q is not a variable", w))
			return r
		}
		c := spec.Coef{Index: p.parseInt(w[1:]), Value: p.parseFloat(p.word())}
		switch w[0] {
		case 'x':
			r.X = append(r.X, c)
		case 'y':
			r.Y = append(r.Y, c)
		default:
			p.fail(fmt.Sprintf("%q is not a variable", w))
		}
	}
	return r
}
