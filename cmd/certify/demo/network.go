package demo

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
)

// Network returns a fully connected ReLU network with the given layer sizes, inputs first, and weights drawn from seed:
// normal with variance 2/fan-in, rounded to multiples of 2⁻¹² so that they are float32 numbers. The same arguments always
// give the same network.
func Network(seed uint64, sizes ...int) *nn.Draft {
	r := rand.New(rand.NewPCG(seed, 0))
	d := &nn.Draft{Opset: 13, Producer: "certify demo",
		Inputs:  []nn.DraftPort{{Name: "x", Type: op.Float32, Shape: []int{1, sizes[0]}}},
		Outputs: []nn.DraftPort{{Name: "y"}}}
	draw := func(scale float64) float64 { return math.Round(r.NormFloat64()*scale*4096) / 4096 }
	from := "x"
	for k := 1; k < len(sizes); k++ {
		in, out := sizes[k-1], sizes[k]
		w, b := make([]float64, in*out), make([]float64, out)
		for i := range w {
			w[i] = draw(math.Sqrt(2 / float64(in)))
		}
		for i := range b {
			b[i] = draw(0.1)
		}
		name := func(s string) string { return fmt.Sprintf("%s%d", s, k) }
		d.Consts = append(d.Consts,
			nn.DraftConst{Name: name("w"), Tensor: &op.Tensor{Type: op.Float32, Shape: []int{in, out}, Data: w}},
			nn.DraftConst{Name: name("b"), Tensor: &op.Tensor{Type: op.Float32, Shape: []int{out}, Data: b}})
		to := name("z")
		if k == len(sizes)-1 {
			to = "y"
		}
		d.Nodes = append(d.Nodes, nn.DraftNode{Node: op.Node{Name: name("gemm"), Type: "Gemm", Opset: 13, Outputs: 1},
			In: []string{from, name("w"), name("b")}, Out: []string{to}})
		if to != "y" {
			d.Nodes = append(d.Nodes, nn.DraftNode{Node: op.Node{Name: name("relu"), Type: "Relu", Opset: 13, Outputs: 1},
				In: []string{to}, Out: []string{name("x")}})
			from = name("x")
		}
	}
	return d
}
