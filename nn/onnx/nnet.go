package onnx

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
)

// NNetOptions steer reading .nnet files. The zero value gives the raw network in float32, which is what the ONNX files
// made from .nnet files hold.
type NNetOptions struct {
	// Normalise includes the file's normalisation: x ↦ (x − mean)/range before the network and y ↦ y·range + mean behind
	// it, so that inputs and outputs are in physical units.
	Normalise bool
	// Float64 keeps the file's decimals in float64 instead of rounding them to float32.
	Float64 bool
}

// ReadNNet reads a network in the .nnet text format of K. Julian (ACAS Xu), gzipped or not: Gemm and Relu nodes on an input
// of shape [1, n]. A malformed file is a *FormatError with its line.
func (o Options) ReadNNet(data []byte) (*nn.Graph, error) {
	data, err := o.unpack(data)
	if err != nil {
		return nil, err
	}
	p := &nnetReader{rest: data, opt: o.NNet, typ: op.Float32}
	if o.NNet.Float64 {
		p.typ = op.Float64
	}
	d, err := p.read()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	d.Hash = hex.EncodeToString(sum[:])
	return build(d)
}

// nnetReader reads the numbers of a .nnet file line by line.
type nnetReader struct {
	rest []byte
	line int
	opt  NNetOptions
	typ  op.DType
	d    nn.Draft
}

func (p *nnetReader) fail(what, format string, args ...any) error {
	return &FormatError{Offset: -1, Line: p.line, What: what, Why: fmt.Sprintf(format, args...)}
}

// numbers returns the comma-separated numbers of the next line that is neither empty nor a comment; n < 0 is any number.
func (p *nnetReader) numbers(what string, n int) ([]float64, error) {
	var text string
	for text == "" || strings.HasPrefix(text, "//") {
		if len(p.rest) == 0 {
			return nil, p.fail(what, "the file ends before it")
		}
		var l []byte
		l, p.rest, _ = bytes.Cut(p.rest, []byte("\n"))
		text = strings.TrimSpace(string(l))
		p.line++
	}
	fields := strings.Split(strings.TrimSuffix(text, ","), ",")
	if n >= 0 && len(fields) != n {
		return nil, p.fail(what, "%d numbers, want %d", len(fields), n)
	}
	v := make([]float64, len(fields))
	for i, s := range fields {
		var err error
		if v[i], err = p.number(strings.TrimSpace(s)); err != nil {
			return nil, p.fail(what, "number %d: %v", i+1, err)
		}
	}
	return v, nil
}

// number parses a finite decimal, rounded once to the type of the network.
func (p *nnetReader) number(s string) (float64, error) {
	bits := 32
	if p.typ == op.Float64 {
		bits = 64
	}
	v, err := strconv.ParseFloat(s, bits)
	if err != nil {
		return 0, err
	}
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, fmt.Errorf("%s is not finite", s)
	}
	return v, nil
}

// read reads the header, the normalisation and the layers.
func (p *nnetReader) read() (*nn.Draft, error) {
	head, err := p.numbers("header", -1)
	if err != nil {
		return nil, err
	}
	if len(head) < 3 || head[0] != math.Trunc(head[0]) || head[0] < 1 || head[0] > 1000 {
		return nil, p.fail("header", "want the numbers of layers (1 to 1000), inputs and outputs")
	}
	layers := int(head[0])
	sizes, err := p.sizes(layers, head)
	if err != nil {
		return nil, err
	}
	ins := sizes[0]
	if _, err := p.numbers("flag line", -1); err != nil {
		return nil, err
	}
	for _, what := range []string{"input minima", "input maxima"} {
		if _, err := p.numbers(what, ins); err != nil {
			return nil, err
		}
	}
	mean, err := p.numbers("means", ins+1)
	if err != nil {
		return nil, err
	}
	span, err := p.numbers("ranges", ins+1)
	if err != nil {
		return nil, err
	}
	p.d = nn.Draft{Opset: 13, Producer: "nnet", Inputs: []nn.DraftPort{{Name: "X", Type: p.typ, Shape: []int{1, ins}}}}
	last := "X"
	if p.opt.Normalise {
		last = p.node("Sub", "centred", last, p.constant("input_mean", []int{ins}, mean[:ins]))
		last = p.node("Div", "scaled", last, p.constant("input_range", []int{ins}, span[:ins]))
	}
	for k := 1; k <= layers; k++ {
		if last, err = p.layer(k, layers, sizes, last); err != nil {
			return nil, err
		}
	}
	if p.opt.Normalise {
		last = p.node("Mul", "unscaled", last, p.constant("output_range", []int{}, span[ins:]))
		last = p.node("Add", "uncentred", last, p.constant("output_mean", []int{}, mean[ins:]))
	}
	p.d.Outputs = []nn.DraftPort{{Name: last}}
	return &p.d, nil
}

// sizes reads the layer sizes and checks them against the header.
func (p *nnetReader) sizes(layers int, head []float64) ([]int, error) {
	v, err := p.numbers("layer sizes", layers+1)
	if err != nil {
		return nil, err
	}
	s := make([]int, len(v))
	for i, x := range v {
		if x < 1 || x > 1<<20 || x != math.Trunc(x) {
			return nil, p.fail("layer sizes", "%v is no size", x)
		}
		s[i] = int(x)
	}
	if v[0] != head[1] || v[layers] != head[2] {
		return nil, p.fail("layer sizes", "do not begin with %v inputs and end with %v outputs", head[1], head[2])
	}
	return s, nil
}

// layer reads layer k's weights and biases and appends its nodes; the last layer has no ReLU.
func (p *nnetReader) layer(k, layers int, sizes []int, in string) (string, error) {
	rows, cols := sizes[k], sizes[k-1]
	var w, b []float64 // grown line by line: a header cannot ask for more memory than the file fills
	for i := 0; i < rows; i++ {
		row, err := p.numbers(fmt.Sprintf("layer %d, weight row %d", k, i+1), cols)
		if err != nil {
			return "", err
		}
		w = append(w, row...)
	}
	for i := 0; i < rows; i++ {
		v, err := p.numbers(fmt.Sprintf("layer %d, bias %d", k, i+1), 1)
		if err != nil {
			return "", err
		}
		b = append(b, v[0])
	}
	z := p.node("Gemm", fmt.Sprintf("z%d", k), in,
		p.constant(fmt.Sprintf("W%d", k), []int{rows, cols}, w), p.constant(fmt.Sprintf("b%d", k), []int{rows}, b))
	p.d.Nodes[len(p.d.Nodes)-1].Attrs = map[string]op.Attr{"transB": {I: 1}}
	if k == layers {
		return z, nil
	}
	return p.node("Relu", fmt.Sprintf("x%d", k), z), nil
}

// constant adds a constant and returns its name.
func (p *nnetReader) constant(name string, shape []int, v []float64) string {
	p.d.Consts = append(p.d.Consts, nn.DraftConst{Name: name, Tensor: &op.Tensor{Type: p.typ, Shape: shape, Data: v}})
	return name
}

// node adds a node and returns the name of its output.
func (p *nnetReader) node(typ, out string, in ...string) string {
	n := op.Node{Name: out, Type: typ, Opset: p.d.Opset}
	p.d.Nodes = append(p.d.Nodes, nn.DraftNode{Node: n, In: in, Out: []string{out}})
	return out
}
