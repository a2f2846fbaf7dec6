package verifytest

import (
	"bytes"
	"fmt"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/nn/prog"
)

// ONNX writes the net as a model: dense maps as MatMul or Gemm, convolutions as Conv between Reshapes. Its Relus are the net's, in
// order.
func (net *Net) ONNX() ([]byte, error) {
	d := &nn.Draft{Opset: 13, Inputs: []nn.DraftPort{{Name: "v0", Type: op.Float32, Shape: []int{1, net.Nodes[0].N}}}}
	fresh := 0
	node := func(kind string, attrs map[string]op.Attr, in ...string) string {
		fresh++
		out := fmt.Sprintf("t%d", fresh)
		d.Nodes = append(d.Nodes, nn.DraftNode{Node: op.Node{Name: out, Type: kind, Opset: 13, Attrs: attrs}, In: in, Out: []string{out}})
		return out
	}
	tensor := func(dt op.DType, data []float64, shape ...int) string {
		fresh++
		name := fmt.Sprintf("c%d", fresh)
		d.Consts = append(d.Consts, nn.DraftConst{Name: name, Tensor: &op.Tensor{Type: dt, Shape: shape, Data: data}})
		return name
	}
	ints := func(v ...float64) string { return tensor(op.Int64, v, len(v)) }
	names := []string{"v0"}
	for k := 1; k < len(net.Nodes); k++ {
		nd := &net.Nodes[k]
		if nd.Kind == prog.Relu {
			names = append(names, node("Relu", nil, names[nd.Src]))
			continue
		}
		sum := ""
		for i := range nd.Terms {
			m := &nd.Terms[i].Map
			x := names[nd.Terms[i].Src]
			var y string
			if g := m.Geom; m.Kind == Conv {
				x = node("Reshape", nil, x, ints(1, float64(g.C), float64(g.H), float64(g.W)))
				y = node("Conv", map[string]op.Attr{"group": {I: int64(g.Group)}, "strides": {Is: []int64{int64(g.StrideH), int64(g.StrideW)}},
					"dilations": {Is: []int64{int64(g.DilH), int64(g.DilW)}},
					"pads":      {Is: []int64{int64(g.PadT), int64(g.PadL), int64(g.PadB), int64(g.PadR)}}},
					x, tensor(op.Float32, m.W, g.M, g.C/g.Group, g.KH, g.KW))
				y = node("Reshape", nil, y, ints(1, -1))
			} else {
				w := make([]float64, m.Out*m.In)
				trans := (k+i)%2 == 0
				m.Linear().Each(func(i, j int, v float64) {
					if trans {
						w[i*m.In+j] += v
					} else {
						w[j*m.Out+i] += v
					}
				})
				if trans {
					y = node("Gemm", map[string]op.Attr{"transB": {I: 1}}, x, tensor(op.Float32, w, m.Out, m.In))
				} else {
					y = node("MatMul", nil, x, tensor(op.Float32, w, m.In, m.Out))
				}
			}
			if sum != "" {
				y = node("Add", nil, sum, y)
			}
			sum = y
		}
		if sum == "" { // a constant node: nothing of the input
			sum = node("MatMul", nil, names[0], tensor(op.Float32, make([]float64, net.Nodes[0].N*nd.N), net.Nodes[0].N, nd.N))
		}
		if nd.Bias != nil {
			sum = node("Add", nil, sum, tensor(op.Float32, nd.Bias, nd.N))
		}
		names = append(names, sum)
	}
	// An Identity gives the output a name that nothing else has.
	out := node("Identity", nil, names[net.Output])
	d.Outputs = []nn.DraftPort{{Name: out}}
	g, err := nn.Build(d)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = onnx.Write(&b, g)
	return b.Bytes(), err
}
