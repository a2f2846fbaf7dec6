package relax

import (
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// tableNet draws a network over rows of a table, the way set models do: features of every row through a shared layer, masked,
// averaged by the sum of the mask, and a head. Inputs are rows·cols cells and one mask per row.
func tableNet(r *rand.Rand, t *testing.T, rows, cols, h int) *prog.Program {
	n := rows*cols + rows
	b := prog.NewBuilder(n)
	w := make([]float64, h*cols)
	for i := range w {
		w[i] = float64(float32(r.NormFloat64()))
	}
	first := make([]float64, rows*h*n)
	second := make([]float64, rows*h*rows*h)
	pool := make([]float64, h*rows*h)
	mask := make([]int32, rows*h)
	for i := range rows {
		for j := range h {
			copy(first[(i*h+j)*n+i*cols:], w[j*cols:(j+1)*cols])
			for k := range h {
				second[(i*h+j)*rows*h+i*h+k] = w[(j*k)%len(w)]
			}
			pool[j*rows*h+i*h+j] = 1
			mask[i*h+j] = int32(rows*cols + i)
		}
	}
	bias := fill(rows*h, float64(float32(r.NormFloat64())))
	x := b.Relu("", b.Affine("", rows*h, bias, 0, prog.Term{Src: 0, Map: prog.Dense(rows*h, n, first)}))
	x = b.Relu("", b.Affine("", rows*h, bias, 0, prog.Term{Src: x, Map: prog.Dense(rows*h, rows*h, second)}))
	masked := b.Product("", x, b.Affine("", rows*h, nil, 0, prog.Term{Src: 0, Map: prog.Index(n, mask)}))
	sum := b.Affine("", h, nil, 0, prog.Term{Src: masked, Map: prog.Dense(h, rows*h, pool)})
	ones := make([]float64, n)
	for i := range rows {
		ones[rows*cols+i] = 1
	}
	rec := b.Curve("", prog.Reciprocal, b.Affine("", 1, nil, 0, prog.Term{Src: 0, Map: prog.Dense(1, n, ones)}))
	mean := b.Product("", sum, b.Affine("", h, nil, 0, prog.Term{Src: rec, Map: prog.Index(1, make([]int32, h))}))
	head := make([]float64, h*h)
	for i := range head {
		head[i] = float64(float32(r.NormFloat64()))
	}
	y := b.Relu("", b.Affine("", h, fill(h, 0.25), 0, prog.Term{Src: mean, Map: prog.Dense(h, h, head)}, prog.Term{Src: 0, Map: prog.Dense(h, n, first[:h*n])}))
	return mustProgram(t, b, b.Affine("", 2, nil, 0, prog.Term{Src: y, Map: prog.Dense(2, h, head[:2*h])}, prog.Term{Src: mean, Map: prog.Dense(2, h, head[:2*h])}))
}

// tableBox fixes all cells but a few; masks are 0 or 1, one of them now and then a thin interval or free.
func tableBox(r *rand.Rand, rows, cols int) Box {
	n := rows*cols + rows
	box := Box{make([]float64, n), make([]float64, n)}
	for i := range n {
		v := float64(float32(r.NormFloat64()))
		if r.IntN(3) == 0 {
			v = 0
		}
		if i >= rows*cols {
			v = float64(r.IntN(2))
			if i == n-1 {
				v = 1
			}
		}
		box.Lo[i], box.Hi[i] = v, v
		if r.IntN(5) == 0 && i < rows*cols { // a decimal between two floats
			box.Hi[i] = up(v + math.Abs(v)*0x1p-24*r.Float64())
		}
	}
	for range 1 + r.IntN(3) {
		i := r.IntN(rows * cols)
		box.Hi[i] = box.Lo[i] + r.Float64()
	}
	switch r.IntN(6) {
	case 0:
		box.Hi[n-1] = 1.5
	case 1:
		box.Hi[n-1] = 1 + 0x1p-30
	}
	return box
}

// TestSpecializeAgainstExactValues: whatever is bounded on the reduced network contains the original's exact output, and is not
// looser than what the original gives.
func TestSpecializeAgainstExactValues(t *testing.T) {
	rounds := uint64(150)
	if testing.Short() {
		rounds = 40
	}
	reduced, products, left, all := 0, 0, 0, 0
	for s := range rounds {
		r := rand.New(rand.NewPCG(s, 41))
		rows, cols, h := 2+r.IntN(3), 2+r.IntN(3), 2+r.IntN(3)
		p := tableNet(r, t, rows, cols, h)
		net := NewNet(p)
		box := tableBox(r, rows, cols)
		f := ibpFrame(net, box)
		sp, ok := net.Specialize(box, f.B)
		if !ok {
			continue
		}
		reduced++
		q := sp.Net.P
		for k := range q.Nodes {
			if q.Nodes[k].Kind == prog.Product {
				products++
			}
		}
		g := ibpFrame(sp.Net, sp.Box)
		if !sp.Net.Forward(g) || !sp.Net.Crown(context.Background(), NewPool(sp.Net, 1), g, Tightening{Alpha: int(s % 3)}) {
			t.Fatalf("seed %d: empty", s)
		}
		g.SetScale(sp.Net.NewScale(g.B))
		w := NewWorker(sp.Net)
		w.Begin(8)
		for lane := range 4 {
			w.Seed(q.Output, lane/2, lane, float64(1-2*(lane%2)))
		}
		w.Run(g, q.Output)
		for range 4 {
			v := exactEval(p, samplePoint(r, box))[p.Output]
			for j, y := range v {
				neg := new(big.Rat).Neg(y)
				if !below(g.B.L[q.Output][j], y) || !below(-g.B.U[q.Output][j], neg) || !below(w.LB[2*j], y) || !below(w.LB[2*j+1], neg) {
					e, _ := y.Float64()
					t.Fatalf("seed %d: output %d is %v, bounds [%v, %v] and [%v, %v]", s, j, e, g.B.L[q.Output][j], g.B.U[q.Output][j], w.LB[2*j], -w.LB[2*j+1])
				}
			}
		}
		if !net.Forward(f) || !net.Crown(context.Background(), NewPool(net, 1), f, Tightening{Alpha: int(s % 3)}) {
			t.Fatalf("seed %d: empty", s)
		}
		for j, l := range f.B.L[p.Output] {
			if g.B.L[q.Output][j] < l-0.01*(f.B.U[p.Output][j]-l)-1e-6*(1+math.Abs(l)) {
				t.Errorf("seed %d: output %d: lower bound %v, without reduction %v", s, j, g.B.L[q.Output][j], l)
			}
		}
		left, all = left+size(q), all+size(p)
	}
	if 3*left > 2*all {
		t.Errorf("%d elements of %d are left", left, all)
	}
	if reduced < int(rounds)*3/4 || products == 0 {
		t.Errorf("%d of %d boxes reduced, %d products left: the test shows little", reduced, rounds, products)
	}
}

// size counts the elements behind the inputs.
func size(p *prog.Program) int {
	n := 0
	for k := range p.Nodes[1:] {
		n += p.Nodes[k+1].N
	}
	return n
}

// TestSpecializeFindsInputs: the reduced inputs stand for the varying ones, in order, on their intervals.
func TestSpecializeFindsInputs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 42))
	p := tableNet(r, t, 3, 3, 2)
	net := NewNet(p)
	box := tableBox(r, 3, 3)
	copy(box.Hi, box.Lo)
	if _, ok := net.Specialize(box, ibpFrame(net, box).B); ok {
		t.Error("a point was reduced")
	}
	box.Hi[2], box.Hi[7] = box.Lo[2]+1, box.Lo[7]+2
	box.Lo[11], box.Hi[11] = 1, 1
	sp, ok := net.Specialize(box, ibpFrame(net, box).B)
	if !ok || len(sp.Free) != 2 || sp.Free[0] != 2 || sp.Free[1] != 7 {
		t.Fatalf("free inputs %v, want 2 and 7", sp)
	}
	for i, at := range sp.Free {
		if sp.Box.Lo[i] != box.Lo[at] || sp.Box.Hi[i] != box.Hi[at] {
			t.Errorf("input %d: [%v, %v]", at, sp.Box.Lo[i], sp.Box.Hi[i])
		}
	}
}
