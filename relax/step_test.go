package relax

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// TestStepBoundsAgainstExactValues compares every method's bounds of networks with step functions with exact values. Weights and boxes
// are small integers over four, so arguments at a jump are common.
func TestStepBoundsAgainstExactValues(t *testing.T) {
	jumps := 0
	for s := range uint64(400) {
		r := rand.New(rand.NewPCG(s, 36))
		n, h := 1+r.IntN(3), 2+r.IntN(4)
		b := prog.NewBuilder(n)
		layer := func(src, rows, cols int) int {
			w, bias := make([]float64, rows*cols), make([]float64, rows)
			for i := range w {
				w[i] = float64(r.IntN(9)-4) / 4
			}
			for i := range bias {
				bias[i] = float64(r.IntN(9)-4) / 4
			}
			return b.Affine("", rows, bias, 0, prog.Term{Src: src, Map: prog.Dense(rows, cols, w)})
		}
		first := []prog.Fn{prog.Sign, prog.Floor}
		z := layer(0, h, n)
		x := b.Curve("", first[r.IntN(2)], z)
		y := b.Curve("", first[r.IntN(2)], layer(b.Relu("", layer(x, h, h)), h, h))
		p := mustProgram(t, b, layer(y, 2, h))
		net := NewNet(p)
		box := Box{Lo: make([]float64, n), Hi: make([]float64, n)}
		for i := range n {
			box.Lo[i] = float64(r.IntN(9)-4) / 4
			box.Hi[i] = box.Lo[i] + float64(r.IntN(5))/4
		}
		var points [][][]*big.Rat
		for range 8 {
			x := make([]float64, n)
			for i := range x {
				x[i] = box.Lo[i] + float64(r.IntN(5))/4*(box.Hi[i]-box.Lo[i])
			}
			v := exactEval(p, x)
			for _, a := range v[z] {
				if a.Sign() == 0 {
					jumps++
				}
			}
			points = append(points, v)
		}
		f := boundsContain(t, net, box, points, s)
		rowsAgainstExact(t, r, net, f, points, s)
	}
	if jumps < 100 {
		t.Errorf("%d arguments at a jump: the test has lost its grip", jumps)
	}
}
