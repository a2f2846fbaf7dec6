package train

import (
	"fmt"
	"slices"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
)

// A Source says where a tensor of parameters of a net came from.
type Source struct {
	Name       string // of the initialiser, "" for a parameter that the graph does not have
	Shape      []int
	Transposed bool // the initialiser is [out in] where the net has [in out]
}

// Unload writes a tensor in the net's order, like a gradient, in the order of the source.
func (s *Source) Unload(out, p []float32) {
	if !s.Transposed {
		copy(out, p)
		return
	}
	kernel.Transpose(out, s.Shape[1], p, s.Shape[0], s.Shape[1], s.Shape[0])
}

// FromGraph returns a graph as a net that can be trained, with the source of each of its Params. The graph must be a sequence of
// Gemm or MatMul, Conv, BatchNormalization after these, Relu, and what only changes shapes, from one input with a batch of 1 to one
// output. An error names the first node that is none of these.
func FromGraph[T kernel.Float](g *nn.Graph) (*Net[T], []Source, error) {
	if len(g.Inputs) != 1 || len(g.Outputs) != 1 || len(g.Inputs[0].Shape) < 2 || g.Inputs[0].Shape[0] != 1 {
		return nil, nil, fmt.Errorf("train: a net for training has one input with a batch of 1 and one output")
	}
	r := &graphReader{g: g, at: g.Inputs[0].Value}
	for i := range g.Nodes {
		if err := r.node(&g.Nodes[i]); err != nil {
			return nil, nil, fmt.Errorf("train: node %q (%s): %w", g.Nodes[i].Name, g.Nodes[i].Type, err)
		}
	}
	if r.at != g.Outputs[0].Value {
		return nil, nil, fmt.Errorf("train: the output %q is not what the last node computes", g.Outputs[0].Name)
	}
	input := g.Inputs[0].Shape[1:]
	if len(input) != 3 {
		input = []int{op.Size(input)}
	}
	net, err := New[T](0, slices.Clone(input), r.layers...)
	if err != nil {
		return nil, nil, err
	}
	for i := range net.stages {
		if s := &net.stages[i]; !s.reads(r.shapes[i]) {
			return nil, nil, fmt.Errorf("train: %s reads numbers of shape %v in the graph, and %v in a sequence of layers", s.Name,
				r.shapes[i], s.In)
		}
	}
	for i, p := range net.params {
		copyTo(p.Data, r.data[i], &r.sources[i])
	}
	return net, r.sources, nil
}

// reads reports whether a stage is the same function on what a graph has of this shape: only a Dense and a ReLU do not mind in
// which way a row is folded.
func (s *Stage) reads(shape []int) bool {
	if op.Size(shape) != op.Size(s.In) {
		return false
	}
	switch s.Layer.(type) {
	case ReLU:
		return true
	case Dense:
		return len(shape) > 0 && shape[0] == 1
	}
	return len(shape) > 0 && shape[0] == 1 && slices.Equal(shape[1:], s.In)
}

func copyTo[T kernel.Float](to []T, data []float64, s *Source) {
	if data == nil {
		clear(to)
		return
	}
	for i := range to {
		if s.Transposed {
			in, out := s.Shape[1], s.Shape[0]
			to[i] = T(data[i%out*in+i/out])
		} else {
			to[i] = T(data[i])
		}
	}
}

// graphReader collects layers and their parameters, one entry of data and sources per tensor.
type graphReader struct {
	g       *nn.Graph
	at      int // the value computed last
	layers  []Layer
	shapes  [][]int     // per layer: of what it reads
	data    [][]float64 // nil for zeros
	sources []Source
	biased  bool // the last layer's bias came from the graph, or can no longer come
}

func (r *graphReader) node(n *nn.Node) error {
	constant := func(i int) (*nn.Value, error) {
		if i >= len(n.In) || n.In[i] < 0 {
			return nil, nil
		}
		if v := &r.g.Values[n.In[i]]; v.Const != nil {
			return v, nil
		}
		return nil, fmt.Errorf("input %d is no constant", i+1)
	}
	other := 1
	if len(n.In) == 0 || n.In[0] != r.at {
		if n.Type != "Add" || len(n.In) != 2 || n.In[1] != r.at {
			return fmt.Errorf("it does not follow the node before: only sequences can be trained")
		}
		other = 0
	}
	w, err := constant(other)
	if err != nil {
		return err
	}
	b, err := constant(2)
	if err != nil {
		return err
	}
	shape := r.g.Values[r.at].Shape
	r.at = n.Out[0]
	switch n.Type {
	case "Flatten", "Reshape", "Identity", "Dropout", "Squeeze", "Unsqueeze":
		return nil
	case "Relu":
		r.add(ReLU{}, shape)
		r.biased = true
		return nil
	case "Add":
		if op.Size(r.g.Values[r.at].Shape) != op.Size(shape) {
			return fmt.Errorf("a bias needs one number for each output of a dense layer")
		}
		return r.addBias(w)
	case "Gemm":
		return r.gemm(n, w, b, shape)
	case "MatMul":
		if len(shape) != 2 || w == nil || len(w.Shape) != 2 {
			return fmt.Errorf("want a row times a constant matrix")
		}
		r.affine(Dense{w.Shape[1]}, w, nil, false, shape)
		return nil
	case "Conv":
		return r.conv(n, w, b, shape)
	case "BatchNormalization":
		return r.norm(n, shape)
	}
	return fmt.Errorf("it cannot be trained")
}

// add adds a layer that reads numbers of a shape.
func (r *graphReader) add(l Layer, shape []int) {
	r.layers, r.shapes = append(r.layers, l), append(r.shapes, shape)
}

// affine adds a layer with a weight and a bias, nil for zeros.
func (r *graphReader) affine(l Layer, w, b *nn.Value, transposed bool, shape []int) {
	r.add(l, shape)
	r.data = append(r.data, w.Const.Data, nil)
	r.sources = append(r.sources, Source{w.Name, w.Shape, transposed}, Source{})
	r.biased = false
	if b != nil {
		r.bias(b)
	}
}

func (r *graphReader) bias(b *nn.Value) {
	last := len(r.data) - 1
	r.data[last], r.sources[last] = b.Const.Data, Source{Name: b.Name, Shape: b.Shape}
	r.biased = true
}

// addBias takes an Add of one number per output as the bias of a layer that has none.
func (r *graphReader) addBias(b *nn.Value) error {
	if b == nil || len(r.layers) == 0 || r.biased {
		return fmt.Errorf("a sum is a bias only after a layer without one")
	}
	if d, ok := r.layers[len(r.layers)-1].(Dense); !ok || len(b.Const.Data) != d.Out {
		return fmt.Errorf("a bias needs one number for each output of a dense layer")
	}
	r.bias(b)
	return nil
}

func (r *graphReader) gemm(n *nn.Node, w, b *nn.Value, shape []int) error {
	number := func(name string) float64 {
		if a, ok := n.Attrs[name]; ok {
			return a.F
		}
		return 1
	}
	if w == nil || len(w.Shape) != 2 || number("alpha") != 1 || b != nil && number("beta") != 1 || n.Attrs["transA"].I != 0 {
		return fmt.Errorf("want x·W + b with constant W and b")
	}
	transposed := n.Attrs["transB"].I != 0
	out := w.Shape[1]
	if transposed {
		out = w.Shape[0]
	}
	if b != nil && len(b.Const.Data) != out {
		return fmt.Errorf("a bias needs one number for each output")
	}
	r.affine(Dense{out}, w, b, transposed, shape)
	return nil
}

func (r *graphReader) conv(n *nn.Node, w, b *nn.Value, shape []int) error {
	same := func(name string, otherwise int64) (int, bool) {
		v := n.Attrs[name].Is
		if len(v) == 0 {
			return int(otherwise), true
		}
		for _, x := range v {
			if x != v[0] {
				return 0, false
			}
		}
		return int(v[0]), true
	}
	stride, ok1 := same("strides", 1)
	pad, ok2 := same("pads", 0)
	dilation, ok3 := same("dilations", 1)
	auto := n.Attrs["auto_pad"].S
	if w == nil || len(w.Shape) != 4 || w.Shape[2] != w.Shape[3] || !ok1 || !ok2 || !ok3 || dilation != 1 || n.Attrs["group"].I > 1 ||
		auto != "" && auto != "NOTSET" && auto != "VALID" {
		return fmt.Errorf("want a convolution with a constant square kernel, the same stride and padding on all sides, and one group")
	}
	r.affine(Conv2D{w.Shape[0], w.Shape[2], stride, pad}, w, b, false, shape)
	return nil
}

func (r *graphReader) norm(n *nn.Node, shape []int) error {
	if e, ok := n.Attrs["epsilon"]; ok && e.F != float64(float32(1e-5)) {
		return fmt.Errorf("epsilon is %v: want 1e-5", e.F)
	}
	if len(n.In) < 5 || len(r.layers) == 0 || !affine(r.layers[len(r.layers)-1]) {
		return fmt.Errorf("it must follow a convolution or a dense layer")
	}
	for _, i := range n.In[1:5] {
		if i < 0 || r.g.Values[i].Const == nil || len(shape) < 2 || len(r.g.Values[i].Const.Data) != shape[1] {
			return fmt.Errorf("its parameters are no constants, one for each channel")
		}
		v := &r.g.Values[i]
		r.data, r.sources = append(r.data, v.Const.Data), append(r.sources, Source{Name: v.Name, Shape: v.Shape})
	}
	r.add(BatchNorm{}, shape)
	r.biased = true
	return nil
}
