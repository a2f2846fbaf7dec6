package robust

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/sdp"
	"github.com/spai-project/certify/verify"
)

// hostileLayer is an affine map with, or without, a ReLU and a skip around both.
type hostileLayer struct {
	in, out    int
	w, b       []float64 // w is [in out]
	relu, skip bool
}

// TestBoundHostile compares bounds with networks in exact arithmetic, and with binary32 executions in random order where they are
// asked about: weights that cancel, vanish and overflow, ranges that are points, ReLUs on the input and on the output, skips.
func TestBoundHostile(t *testing.T) {
	trials := 400
	if testing.Short() {
		trials = 150
	}
	finite, tight := 0, 0
	for trial := range trials {
		r := rand.New(rand.NewPCG(uint64(trial), 77))
		layers := drawHostile(r)
		sem := []verify.Semantics{verify.Real, verify.Float32, verify.Both}[r.IntN(3)]
		m := model(t, hostileGraph(t, layers), sem)
		if m.proof == nil {
			continue
		}
		in, classes := layers[0].in, layers[len(layers)-1].out
		x := make([]float64, in)
		for i := range x {
			x[i] = hostileNumber(r, 1)
		}
		d := Domain{}
		if r.IntN(2) == 0 {
			lo, hi := make([]float64, in), make([]float64, in)
			for i, v := range x {
				lo[i], hi[i] = v, v
				if r.IntN(3) > 0 {
					lo[i], hi[i] = v-float64(float32(r.Float64())), v+float64(float32(r.Float64()))
				}
			}
			d.Lower, d.Upper = lo, hi
		}
		if r.IntN(2) == 0 {
			d.Unit = []float64{1 / float64(float32(0.3081))}
		}
		eps := []float64{0, 1e-300, 1e-6, 0.1, 1, 1e6, 1e30}[r.IntN(7)]
		for _, method := range BoundMethods() {
			for _, norm := range method.Norms {
				b, err := method.New(t.Context(), m.proof)
				if err != nil && strings.HasPrefix(method.Name, "sdp") {
					continue // these know few networks, and real arithmetic alone
				}
				if err != nil {
					t.Fatal(err)
				}
				s := &boundSolver{solver: &solver{m: m, opt: Options{Norm: norm, Domain: d}}, method: method, bounder: b}
				label := r.IntN(classes)
				n := s.neighbourhood(x, label, eps)
				lower := make([]float64, classes)
				if err := b.Margins(t.Context(), n, label, lower); errors.Is(err, sdp.ErrShape) {
					continue
				} else if err != nil {
					t.Fatal(err)
				}
				for k := range 12 {
					p := hostilePoint(r, n, layers, label, k)
					y := exactly(layers, p)
					for c, v := range lower {
						if c == label || math.IsInf(v, -1) {
							continue
						}
						finite++
						if math.IsNaN(v) {
							t.Errorf("trial %d: NaN", trial)
							continue
						}
						lead := new(big.Float).SetPrec(4000).Sub(y[label], y[c])
						if lead.Cmp(big.NewFloat(v)) < 0 {
							t.Errorf("trial %d, %s, %v, %v, eps %v: bound %v, lead %v", trial, method.Name, norm, sem, eps, v, lead)
						}
						if f, _ := lead.Float64(); f-v <= 1e-9*(math.Abs(v)+1) {
							tight++
						}
					}
					if sem == verify.Real {
						continue
					}
					z, ok := singly(r, layers, p)
					for c, v := range lower {
						if ok && c != label && float64(z[label])-float64(z[c]) < v {
							t.Errorf("trial %d, %s, %v, %v, eps %v: bound %v, binary32 lead %v", trial, method.Name, norm, sem, eps, v,
								float64(z[label])-float64(z[c]))
						}
					}
				}
			}
		}
	}
	t.Logf("%d finite bounds looked at, %d tight", finite, tight)
	if finite < 20*trials || tight < trials {
		t.Error("too few")
	}
}

func hostileNumber(r *rand.Rand, scale float64) float64 {
	v := r.NormFloat64() * scale
	switch r.IntN(12) {
	case 0:
		v = math.Copysign(0, v)
	case 1:
		v *= 1e-40
	case 2:
		v *= 1e4
	case 3:
		v = math.Round(v)
	}
	return float64(float32(v))
}

func drawHostile(r *rand.Rand) []hostileLayer {
	var layers []hostileLayer
	scale := []float64{1, 1, 1, 1e-38, 1e15, 1e-3}[r.IntN(6)]
	bias := []float64{0.1, 0.1, 1e3, 1e7, 0}[r.IntN(5)]
	in := 1 + r.IntN(4)
	depth := 1 + r.IntN(3)
	for k := range depth {
		l := hostileLayer{in: in, out: 2 + r.IntN(4), relu: k < depth-1 || r.IntN(4) == 0}
		if r.IntN(3) == 0 && in >= 2 {
			l.out, l.skip = in, true
		}
		for range l.in * l.out {
			l.w = append(l.w, hostileNumber(r, scale))
		}
		if r.IntN(4) == 0 { // rows that are the same, or opposite
			sign := float64(1 - 2*r.IntN(2))
			for i := range l.in {
				l.w[i*l.out+1] = sign * l.w[i*l.out]
			}
		}
		for range l.out {
			b := hostileNumber(r, bias)
			if r.IntN(2) == 0 {
				b = math.Abs(b)
			}
			l.b = append(l.b, b)
		}
		layers = append(layers, l)
		in = l.out
	}
	return layers
}

func hostileGraph(t *testing.T, layers []hostileLayer) *nn.Graph {
	t.Helper()
	d := &nn.Draft{Opset: 13, Hash: "hostile", Inputs: []nn.DraftPort{{Name: "x", Type: op.Float32, Shape: []int{1, layers[0].in}}},
		Outputs: []nn.DraftPort{{Name: "y"}}}
	node := func(kind, out string, in ...string) {
		d.Nodes = append(d.Nodes, nn.DraftNode{Node: op.Node{Name: kind + out, Type: kind, Opset: 13, Outputs: 1}, In: in, Out: []string{out}})
	}
	at := "x"
	for k, l := range layers {
		name := func(s string) string { return fmt.Sprint(s, k) }
		d.Consts = append(d.Consts,
			nn.DraftConst{Name: name("w"), Tensor: &op.Tensor{Type: op.Float32, Shape: []int{l.in, l.out}, Data: l.w}},
			nn.DraftConst{Name: name("b"), Tensor: &op.Tensor{Type: op.Float32, Shape: []int{l.out}, Data: l.b}})
		node("Gemm", name("h"), at, name("w"), name("b"))
		next := name("h")
		if l.relu {
			node("Relu", name("r"), next)
			next = name("r")
		}
		if l.skip {
			node("Add", name("s"), next, at)
			next = name("s")
		}
		at = next
	}
	node("Identity", "y", at)
	g, err := nn.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func exactly(layers []hostileLayer, p []float64) []*big.Float {
	num := func(v float64) *big.Float { return new(big.Float).SetPrec(4000).SetFloat64(v) }
	x := make([]*big.Float, len(p))
	for i, v := range p {
		x[i] = num(v)
	}
	for _, l := range layers {
		y := make([]*big.Float, l.out)
		for j := range y {
			y[j] = num(l.b[j])
			for i, v := range x {
				y[j].Add(y[j], new(big.Float).SetPrec(4000).Mul(v, num(l.w[i*l.out+j])))
			}
			if l.relu && y[j].Sign() < 0 {
				y[j] = num(0)
			}
			if l.skip {
				y[j].Add(y[j], x[j])
			}
		}
		x = y
	}
	return x
}

// singly is one binary32 execution; it reports whether it met no number that is not finite.
func singly(r *rand.Rand, layers []hostileLayer, p []float64) ([]float32, bool) {
	x := make([]float32, len(p))
	for i, v := range p {
		if x[i] = float32(v); float64(x[i]) != v {
			return nil, false
		}
	}
	for _, l := range layers {
		y := make([]float32, l.out)
		for j := range y {
			terms := []float32{float32(l.b[j])}
			for i, v := range x {
				terms = append(terms, v*float32(l.w[i*l.out+j]))
			}
			for len(terms) > 1 {
				r.Shuffle(len(terms), func(a, b int) { terms[a], terms[b] = terms[b], terms[a] })
				terms = append(terms[2:], terms[0]+terms[1])
			}
			y[j] = terms[0]
			if l.relu {
				y[j] = max(y[j], 0)
			}
			if l.skip {
				y[j] += x[j]
			}
			if y[j]-y[j] != 0 {
				return nil, false
			}
		}
		x = y
	}
	return x, true
}

// hostilePoint returns a point of the neighbourhood, mostly one that is bad for the label.
func hostilePoint(r *rand.Rand, n *Neighbourhood, layers []hostileLayer, label, k int) []float64 {
	d := len(n.X)
	rival := r.IntN(layers[len(layers)-1].out)
	direction := make([]float64, d)
	for i := range direction { // differences
		q := append([]float64{}, n.X...)
		h := max(1e-6, math.Abs(q[i])*1e-6)
		q[i] += h
		a, b := exactly(layers, q), exactly(layers, n.X)
		da := new(big.Float).Sub(a[label], a[rival])
		db := new(big.Float).Sub(b[label], b[rival])
		diff, _ := da.Sub(da, db).Float64()
		direction[i] = -diff / h
		if k%3 == 2 {
			direction[i] = r.NormFloat64()
		}
		if direction[i]-direction[i] != 0 || k == 1 {
			direction[i] = 0
		}
	}
	most, sq := 0, 0.0
	for i, v := range direction {
		if math.Abs(v) > math.Abs(direction[most]) {
			most = i
		}
	}
	top := math.Abs(direction[most])
	for _, v := range direction {
		if top > 0 {
			sq += v / top * v / top
		}
	}
	p := make([]float64, d)
	for scale := 1.0; ; scale *= 1 - 1e-15 {
		for i, v := range n.X {
			step := 0.0
			switch {
			case direction[i] == 0:
			case n.Norm == evasion.Linf:
				step = math.Inf(int(math.Copysign(1, direction[i])))
			case n.Norm == evasion.L2:
				step = scale * n.Radius * (direction[i] / top / math.Sqrt(sq))
			case i == most:
				step = scale * math.Copysign(n.Radius, direction[i])
			}
			p[i] = min(max(v+step, n.Lower[i]), n.Upper[i])
			if k%4 == 3 { // binary32
				w := float64(float32(p[i]))
				if w < n.Lower[i] || w > n.Upper[i] || math.IsInf(w, 0) {
					w = v
				}
				p[i] = w
			}
		}
		if n.Norm == evasion.Linf || within(n, p) {
			return p
		}
		if scale < 1-1e-12 {
			copy(p, n.X)
			return p
		}
	}
}

// within decides in exact arithmetic.
func within(n *Neighbourhood, p []float64) bool {
	sum := new(big.Float).SetPrec(6000)
	for i, v := range p {
		e := new(big.Float).SetPrec(6000).Sub(new(big.Float).SetPrec(3000).SetFloat64(v), new(big.Float).SetPrec(3000).SetFloat64(n.X[i]))
		if n.Norm == evasion.L2 {
			e.Mul(e, e)
		}
		sum.Add(sum, e.Abs(e))
	}
	most := new(big.Float).SetPrec(3000).SetFloat64(n.Radius)
	if n.Norm == evasion.L2 {
		most.Mul(most, most)
	}
	return sum.Cmp(most) <= 0
}
