package kernel

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/verify/verifytest"
)

// rounded declares a chain's layers sums of products.
func (c *chain) rounded() *chain {
	for k := range c.net.nodes {
		if c.net.nodes[k].kind == affine {
			c.net.nodes[k].round = 2
		}
	}
	return c
}

// execute simulates a binary32 execution and returns the pre-activations of the last layer.
func (c *chain) execute(a *verifytest.Arithmetic, x []float32) (z []float32) {
	for k, layer := range c.w {
		z = nil
		for _, row := range layer {
			w := make([]float32, len(x))
			for j := range w {
				w[j] = float32(row[j])
			}
			v := a.Dot(w, x, float32(row[len(x)]))
			if k < len(c.w)-1 {
				v = max(v, 0)
			}
			z = append(z, v)
		}
		x = z
	}
	return z
}

// TestBinary32 compares the kernel's bounds with simulated executions: intervals, and the inequality for random objectives.
func TestBinary32(t *testing.T) {
	r := rand.New(rand.NewPCG(32, 2))
	runs, outside := 0, [2]int{}
	for range 200 {
		c := newChain(r, []int{1 + r.IntN(4), 1 + r.IntN(6), 1 + r.IntN(6), 2}, false).rounded()
		var lo, hi []*big.Rat
		var x []float32
		width := []float32{0, 0, 0x1p-16}[r.IntN(3)]
		for range c.net.nodes[0].n {
			v := float32(r.NormFloat64())
			x = append(x, v)
			lo, hi = append(lo, newRat(float64(v-width))), append(hi, newRat(float64(v+width)))
		}
		objective := []float64{r.NormFloat64(), r.NormFloat64()}
		seeds := []seed{{c.net.output, 0, newRat(objective[0])}, {c.net.output, 1, newRat(objective[1])}}
		for range 10 {
			y := c.execute(verifytest.RandomArithmetic(r), x)
			total := new(big.Rat)
			for j, v := range y {
				total.Add(total, new(big.Rat).Mul(newRat(objective[j]), newRat(float64(v))))
			}
			runs++
			for semantics := range outside {
				b := c.net.root(lo, hi, semantics == 1)
				v := newEvaluator(c.net, &budget{limit: 1 << 40}).lower(b, starts(nil, seeds, unit), sum{}, &chooser{next: -1})
				bad := scaled(v.v.big(), v.exp).Cmp(total) > 0
				for j, v := range y {
					k := c.net.output
					l, u := scaled(big.NewInt(b.lo[k][j]), b.fr.exp[k]), scaled(big.NewInt(b.hi[k][j]), b.fr.exp[k])
					bad = bad || l.Cmp(newRat(float64(v))) > 0 || u.Cmp(newRat(float64(v))) < 0
				}
				if bad {
					outside[semantics]++
				}
			}
		}
	}
	t.Logf("of %d executions, outside the bounds of real arithmetic %d, of binary32 %d", runs, outside[0], outside[1])
	if outside[1] > 0 || outside[0] < runs/10 {
		t.Errorf("of %d executions, outside the bounds of real arithmetic %d, of binary32 %d", runs, outside[0], outside[1])
	}
}

// TestBinary32Error has sums whose execution from the left loses nearly all that the error allows: half of it is too little.
func TestBinary32Error(t *testing.T) {
	const n = 64
	for _, sign := range [][2]float32{{1, 1}, {1, -1}, {-1, 1}, {-1, -1}} {
		net := &network{}
		net.add(node{n: n})
		net.add(node{n: 1})
		sum := term{w: table{v: []int64{int64(sign[0])}}}
		w, x := make([]float32, n), make([]float32, n)
		var at []*big.Rat
		for i := range x {
			sum.runs = append(sum.runs, run{in: int32(i), n: 1})
			w[i], x[i] = sign[0], sign[1]*0x1.fffffcp-25
			if i == 0 {
				x[i] = sign[1] * (1 + 0x1p-23)
			}
			at = append(at, newRat(float64(x[i])))
		}
		k := net.add(node{kind: affine, n: 1, terms: []term{sum}, round: 2})
		y := newRat(float64((&verifytest.Arithmetic{Rand: rand.New(rand.NewPCG(1, 1))}).Dot(w, x, 0)))
		b := net.root(at, at, true)
		holds := func(less int64) bool {
			lo, hi := scaled(big.NewInt(b.lo[k][0]+less), b.fr.exp[k]), scaled(big.NewInt(b.hi[k][0]-less), b.fr.exp[k])
			return lo.Cmp(y) <= 0 && hi.Cmp(y) >= 0
		}
		if !holds(0) {
			t.Errorf("signs %v: %v lies outside the bounds", sign, y.FloatString(12))
		}
		if holds(b.fr.slack[k][0] / 2) {
			t.Errorf("signs %v: half of the error is enough: the test sees nothing", sign)
		}
	}
}

// TestBinary32Refusals has networks whose roundings are not known or may overflow.
func TestBinary32Refusals(t *testing.T) {
	point := []*big.Rat{newRat(1)}
	for name, c := range map[string]*chain{
		"undeclared": newChain(rand.New(rand.NewPCG(1, 1)), []int{1, 2}, false),
		"large":      {net: large()},
	} {
		for _, float32 := range []bool{false, true} {
			err := func() (err error) {
				defer door(&err)
				c.net.root(point, point, float32)
				return nil
			}()
			if (err != nil) != float32 {
				t.Errorf("%s, binary32 %v: %v", name, float32, err)
			}
		}
	}
}

// large is a network with a weight of 2^50.
func large() *network {
	n := &network{}
	n.add(node{n: 1})
	n.add(node{n: 1})
	n.output = n.add(node{kind: affine, n: 1, round: 2, terms: []term{{w: quantise([]float64{1 << 50}, false), runs: []run{{n: 1}}}}})
	return n
}

// TestBinary32Operators executes single operators: what rounds does so as the kernel says, what it holds for exact is exact.
func TestBinary32Operators(t *testing.T) {
	pool := map[string]op.Attr{"kernel_shape": {Is: []int64{2, 2}}}
	vector, picture := []int{1, 6}, []int{1, 2, 3, 3}
	for i, c := range []struct {
		kind   string
		shape  []int
		attrs  map[string]op.Attr
		consts [][]int
	}{
		{"LeakyRelu", vector, map[string]op.Attr{"alpha": {F: float64(float32(0.1))}}, nil},
		{"LeakyRelu", vector, map[string]op.Attr{"alpha": {F: 0x1.fffffep-31}}, nil},
		{"PRelu", vector, nil, [][]int{{6}}},
		{"Abs", vector, nil, nil}, {"Neg", vector, nil, nil}, {"MaxPool", picture, pool, nil}, {"Clip", vector, nil, [][]int{{}, {}}},
		{"Sum", vector, nil, [][]int{{6}, {1, 1}, {6}}}, {"Div", vector, nil, [][]int{{6}}}, {"Mul", vector, nil, [][]int{{6}}},
		{"AveragePool", picture, pool, nil}, {"GlobalAveragePool", picture, nil, nil},
	} {
		d := &nn.Draft{Opset: 13, Inputs: []nn.DraftPort{{Name: "x", Type: op.Float32, Shape: c.shape}},
			Outputs: []nn.DraftPort{{Name: "y"}}}
		r := rand.New(rand.NewPCG(uint64(i), 32))
		in := []string{"x"}
		for k, shape := range c.consts {
			w := &op.Tensor{Type: op.Float32, Shape: shape}
			for range op.Size(shape) {
				w.Data = append(w.Data, float64(float32(float64(k)+math.Abs(r.NormFloat64()))))
			}
			in = append(in, fmt.Sprint("c", k))
			d.Consts = append(d.Consts, nn.DraftConst{Name: in[k+1], Tensor: w})
		}
		d.Nodes = []nn.DraftNode{{Node: op.Node{Name: "y", Type: c.kind, Opset: 13, Attrs: c.attrs}, In: in, Out: []string{"y"}}}
		g, err := nn.Build(d)
		if err != nil {
			t.Fatal(err)
		}
		var model bytes.Buffer
		if err := onnx.Write(&model, g); err != nil {
			t.Fatal(err)
		}
		net := parseModel(model.Bytes())
		outside := [2]int{}
		for range 300 {
			x, at := make([]float32, g.NumInputs()), []*big.Rat{}
			for j := range x {
				x[j] = float32(r.NormFloat64() * []float64{1, 1e3, 1e-39}[r.IntN(3)])
				at = append(at, newRat(float64(x[j])))
			}
			y := verifytest.RandomArithmetic(r).Execute(g, x)
			for semantics := range outside {
				b := net.root(at, at, semantics == 1)
				lo, hi := b.of(net.output)
				for j, v := range y {
					exp := b.fr.exp[net.output]
					l, u := scaled(big.NewInt(lo[j]), exp), scaled(big.NewInt(hi[j]), exp)
					if l.Cmp(newRat(float64(v))) > 0 || u.Cmp(newRat(float64(v))) < 0 {
						outside[semantics]++
					}
				}
			}
		}
		rounds := rules[c.kind].round != copies
		if outside[1] > 0 || (outside[0] > 100) != rounds || !rounds && outside[0] > 0 {
			t.Errorf("%s: of 300 executions, outside the bounds of real arithmetic %d, of binary32 %d", c.kind, outside[0], outside[1])
		}
	}
}
