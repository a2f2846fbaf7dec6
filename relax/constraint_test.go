package relax

import (
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// constraintThrough returns a random constraint on the output (and an input) that point v satisfies, with next to nothing to spare in
// half of the cases.
func constraintThrough(r *rand.Rand, p *prog.Program, v [][]*big.Rat) *Constraint {
	c := &Constraint{Width: 1 + r.ExpFloat64()*10}
	sum := new(big.Rat)
	add := func(node, elem int) {
		x := r.NormFloat64()
		c.Terms = append(c.Terms, ConstraintTerm{node, elem, x})
		sum.Add(sum, new(big.Rat).Mul(ratOf(x), v[node][elem]))
	}
	for j := range v[p.Output] {
		add(p.Output, j)
	}
	if r.IntN(3) == 0 {
		add(0, r.IntN(len(v[0])))
	}
	if r.IntN(2) == 0 {
		sum.Add(sum, ratOf(r.ExpFloat64()))
	}
	c.C, _ = sum.Neg(sum).Float64()
	c.C = math.Nextafter(c.C, math.Inf(-1))
	return c
}

// TestConstrainedBoundsAgainstExactValues lays constraints through points of random ReLU networks, at the point itself in half of the
// cases: all bounds for the inputs that satisfy the constraint must contain the point, with and without splits, and they must be
// tighter than those for the box.
func TestConstrainedBoundsAgainstExactValues(t *testing.T) {
	rounds := uint64(500)
	if testing.Short() {
		rounds = 150
	}
	tighter := 0
	for s := range rounds {
		r := rand.New(rand.NewPCG(s, 31))
		var p *prog.Program
		if s%2 == 0 {
			p = cancellingNet(r, t, 2)
		} else {
			p = randomConvNet(r, t, s%4 == 1)
		}
		net := NewNet(p)
		box := wildBox(r, p.Nodes[0].N)
		for i := range box.Lo {
			c := r.NormFloat64()
			box.Lo[i], box.Hi[i] = c-1, c+1
		}
		f := ibpFrame(net, box)
		pool := NewPool(net, 1)
		if !net.Crown(context.Background(), pool, f, Tightening{Alpha: 6}) {
			t.Fatalf("seed %d: empty", s)
		}
		v := exactEval(p, samplePoint(r, box))
		con := constraintThrough(r, p, v)
		g, ok := f.Under(context.Background(), pool, con, []int{0, 0, net.Pre[len(net.Pre)-1]}[s%3], 12)
		if !ok {
			t.Fatalf("seed %d: a set with a point counts as empty", s)
		}
		if s%5 == 0 {
			if g, ok = g.Sub(context.Background(), pool, splitsOf(r, g, v), 6); !ok {
				t.Fatalf("seed %d: a set with a point counts as empty under splits", s)
			}
		}
		for k := range v {
			for j, y := range v[k] {
				if !below(g.B.L[k][j], y) || !below(-g.B.U[k][j], new(big.Rat).Neg(y)) {
					z, _ := y.Float64()
					t.Fatalf("seed %d: node %d (%v) element %d: %v outside [%v, %v]", s, k, p.Nodes[k].Kind, j, z, g.B.L[k][j], g.B.U[k][j])
				}
				if s%5 != 0 && g.B.U[k][j]-g.B.L[k][j] < 0.9*(f.B.U[k][j]-f.B.L[k][j]) {
					tighter++
				}
			}
		}
	}
	if tighter < int(rounds) {
		t.Errorf("only %d bounds became tighter", tighter)
	}
}

// splitsOf decides every third open ReLU of g as point v has it.
func splitsOf(r *rand.Rand, g *Frame, v [][]*big.Rat) []Split {
	var splits []Split
	for k := range g.Net.P.Nodes {
		for _, j := range g.Unstable(k) {
			if r.IntN(3) > 0 {
				continue
			}
			sign := int8(1)
			if v[g.Net.P.Nodes[k].Src][j].Sign() < 0 {
				sign = -1
			}
			splits = append(splits, Split{int32(k), j, sign})
		}
	}
	return splits
}

// TestRoundingOfConstraints makes an objective that a multiple of the constraint cancels: what is left is the rounding of the
// multiples, which has to be paid for.
func TestRoundingOfConstraints(t *testing.T) {
	const R = 8
	near := 0
	for s := range uint64(300) {
		r := rand.New(rand.NewPCG(s, 32))
		p := cancellingNet(r, t, 2)
		net := NewNet(p)
		box := wildBox(r, p.Nodes[0].N)
		f := ibpFrame(net, box)
		w := NewWorker(net)
		v := exactEval(p, samplePoint(r, box))
		con := constraintThrough(r, p, v)
		gamma := make([]float64, R)
		w.Begin(R)
		for l := range R {
			gamma[l] = r.ExpFloat64() * 10
			for _, c := range con.Terms {
				w.Seed(c.Node, c.Elem, l, -gamma[l]*c.Value)
			}
		}
		w.seedConstraint(f, con, gamma)
		w.Run(f, p.Output)
		for l := range R {
			exact := new(big.Rat)
			for _, c := range con.Terms {
				exact.Add(exact, new(big.Rat).Mul(ratOf(-gamma[l]*c.Value), v[c.Node][c.Elem]))
			}
			if !below(w.LB[l], exact) {
				t.Fatalf("seed %d lane %d: bound %v above the objective", s, l, w.LB[l])
			}
			if x, _ := exact.Float64(); x-w.LB[l] < 1e-9*(1+math.Abs(x)) {
				near++
			}
		}
	}
	if near < 500 {
		t.Errorf("%d bounds were near", near)
	}
}

// TestConstrainedSigmoids is the same for networks of sigmoids, whose points are evaluated to 200 bits: a constraint that keeps a part of
// the box, bounds that contain the points in that part.
func TestConstrainedSigmoids(t *testing.T) {
	tighter, inside := 0, 0
	for s := range uint64(30) {
		r := rand.New(rand.NewPCG(s, 33))
		p := sigmoidNet(r, []int{3, 6, 5, 2}, 3)
		net := NewNet(p)
		box := randomBox(r, 3)
		f := ibpFrame(net, box)
		pool := NewPool(net, 2)
		if !net.Crown(context.Background(), pool, f, Tightening{Alpha: 8}) {
			t.Fatal("empty")
		}
		x := samplePoint(r, box)
		y := bigEval(p, x)
		con := &Constraint{Terms: []ConstraintTerm{{p.Output, 0, r.NormFloat64()}, {p.Output, 1, r.NormFloat64()}}}
		value := func(y []*big.Float) *big.Float {
			a := new(big.Float).Mul(bigOf(con.Terms[0].Value), y[0])
			return a.Add(a, new(big.Float).Mul(bigOf(con.Terms[1].Value), y[1]))
		}
		c, _ := value(y).Float64()
		con.C = math.Nextafter(-c, math.Inf(-1))
		con.Width = pool.W[0].Width(f, con)
		g, ok := f.Under(context.Background(), pool, con, 0, 15)
		if !ok {
			t.Fatalf("seed %d: a set with a point counts as empty", s)
		}
		for range 20 {
			if value(y).Cmp(bigOf(-con.C)) <= 0 {
				inside++
				in := bigNodes(p, x)
				for k := range in {
					for j, v := range in[k] {
						if bigOf(g.B.L[k][j]).Cmp(v) > 0 || bigOf(g.B.U[k][j]).Cmp(v) < 0 {
							t.Fatalf("seed %d: node %d element %d: %v outside [%v, %v]", s, k, j, v, g.B.L[k][j], g.B.U[k][j])
						}
					}
				}
			}
			x = samplePoint(r, box)
			y = bigEval(p, x)
		}
		for k := range g.B.L {
			for j := range g.B.L[k] {
				if g.B.U[k][j]-g.B.L[k][j] < 0.9*(f.B.U[k][j]-f.B.L[k][j]) {
					tighter++
				}
			}
		}
	}
	if tighter < 60 || inside < 100 {
		t.Errorf("%d bounds became tighter, %d points were inside", tighter, inside)
	}
}
