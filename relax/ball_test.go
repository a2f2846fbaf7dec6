package relax

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// TestBallLinear: the bound of a linear function on a ball is not above Σ a·x − ε‖a‖_*, in arithmetic of 300 bits, and close to
// it.
func TestBallLinear(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for trial := range 200 {
		n := 1 + r.IntN(20)
		w, x := make([]float64, 8*n), make([]float64, n)
		scale := math.Ldexp(1, r.IntN(40)-20)
		for i := range w {
			w[i] = r.NormFloat64() * scale
		}
		for i := range x {
			x[i] = r.NormFloat64() * 100
		}
		b := prog.NewBuilder(n)
		out := b.Affine("", 8, nil, 0, prog.Term{Src: 0, Map: prog.Dense(8, n, w)})
		p, err := b.Program(out)
		if err != nil {
			t.Fatal(err)
		}
		eps := r.Float64()
		norm := []Norm{L2, L1}[trial%2]
		box := Box{make([]float64, n), make([]float64, n)}
		for i, v := range x {
			box.Lo[i], box.Hi[i] = down(v-eps), up(v+eps)
		}
		net := NewNet(p)
		bounds := net.NewBounds()
		net.IBP(box, bounds)
		f := net.NewFrame(box, bounds, net.NewScale(bounds))
		f.Ball = &Ball{norm, x, eps}
		worker := NewWorker(net)
		worker.Begin(8)
		for j := range 8 {
			worker.Seed(p.Output, j, j, 1)
		}
		worker.Run(f, p.Output)
		for j, lb := range worker.LB[:8] {
			exact := exactOnBall(norm, w[j*n:(j+1)*n], x, eps)
			if gap := new(big.Float).Sub(exact, big.NewFloat(lb)); gap.Sign() < 0 {
				t.Fatalf("bound %v above the minimum %v", lb, exact)
			} else if g, _ := gap.Float64(); g > 1e-11*scale*float64(n)*100 {
				t.Fatalf("bound %v is %v below the minimum", lb, g)
			}
		}
	}
}

// exactOnBall is Σ a·x − eps·‖a‖_*, nearly exactly.
func exactOnBall(norm Norm, a, x []float64, eps float64) *big.Float {
	num := func(v float64) *big.Float { return new(big.Float).SetPrec(300).SetFloat64(v) }
	sum, size := num(0), num(0)
	for i, v := range a {
		sum.Add(sum, new(big.Float).Mul(num(v), num(x[i])))
		if norm == L2 {
			size.Add(size, new(big.Float).Mul(num(v), num(v)))
		} else if m := num(math.Abs(v)); m.Cmp(size) > 0 {
			size = m
		}
	}
	if norm == L2 {
		size.Sqrt(size)
	}
	return sum.Sub(sum, size.Mul(size, num(eps)))
}
