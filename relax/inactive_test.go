package relax

import (
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// TestDropInactiveAgainstExactValues bounds random objectives on frames with and without their inactive neurons, with splits and
// multipliers: both bounds hold at a point of the set, and they agree but for rounding.
func TestDropInactiveAgainstExactValues(t *testing.T) {
	rounds := uint64(400)
	if testing.Short() {
		rounds = 150
	}
	dropped, tight := 0, 0
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
			box.Lo[i], box.Hi[i] = c-0.1, c+0.1
		}
		f := ibpFrame(net, box)
		pool := NewPool(net, 1)
		if !net.Crown(context.Background(), pool, f, Tightening{}) {
			t.Fatalf("seed %d: empty", s)
		}
		v := exactEval(p, samplePoint(r, box))
		splits := heldSplits(r, f, v, 2)
		g, ok := f.Sub(context.Background(), pool, Tightening{Alpha: 3, Splits: splits})
		if !ok {
			t.Fatalf("seed %d: a set with a point counts as empty", s)
		}
		h := g.DropInactive(splits)
		if h != g {
			dropped++
		}
		lb := [2]float64{}
		row := touchingRow(r, v[0], v[p.Output])
		beta := make([]float64, len(splits))
		for i := range beta {
			beta[i] = r.ExpFloat64()
		}
		w := pool.W[0]
		for i, fr := range []*Frame{g, h} {
			w.On(fr.Net)
			w.Begin(8)
			local := make([]Split, len(splits))
			for j, sp := range splits {
				local[j] = fr.Net.Local(sp)
				if fr.Net.Original(local[j]) != sp {
					t.Fatalf("seed %d: split %v comes back as %v", s, sp, fr.Net.Original(local[j]))
				}
			}
			w.SeedObjective(fr, row, 0, 1)
			w.SetSplits([][]Split{local, nil, nil, nil, nil, nil, nil, nil}, [][]float64{beta, nil, nil, nil, nil, nil, nil, nil})
			w.Run(fr, p.Output)
			lb[i] = w.LB[0]
			value := new(big.Rat).Sub(rowValue(row.X, v[0]), ratOf(row.RHSUpper))
			value.Add(value, rowValue(row.Y, v[p.Output]))
			if !below(lb[i], value) {
				t.Fatalf("seed %d, frame %d: bound %v above the objective", s, i, lb[i])
			}
		}
		if d := math.Abs(lb[0] - lb[1]); d <= 1e-9*(1+math.Abs(lb[0])) {
			tight++
		}
	}
	if dropped < int(rounds)/4 {
		t.Errorf("only %d of %d frames lost neurons", dropped, rounds)
	}
	if tight < int(rounds)*9/10 {
		t.Errorf("only %d of %d bounds agree", tight, rounds)
	}
}

// rowValue is Σ c·v exactly.
func rowValue(row []spec.Coef, v []*big.Rat) *big.Rat {
	s := new(big.Rat)
	for _, c := range row {
		s.Add(s, new(big.Rat).Mul(ratOf(c.Value), v[c.Index]))
	}
	return s
}

// TestMapAlphaAcrossNetworks carries slopes to a frame without inactive neurons and back.
func TestMapAlphaAcrossNetworks(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 32))
	moved := 0
	for range 100 {
		p := cancellingNet(r, t, 2)
		net := NewNet(p)
		box := Box{make([]float64, p.Nodes[0].N), make([]float64, p.Nodes[0].N)}
		for i := range box.Lo {
			c := r.NormFloat64()
			box.Lo[i], box.Hi[i] = c-0.3, c+0.3
		}
		f := ibpFrame(net, box)
		h := f.DropInactive(nil)
		var packed []uint8
		for k := range p.Nodes {
			for range f.Unstable(k) {
				packed = append(packed, uint8(r.IntN(256)))
			}
		}
		if h != f && len(packed) > 0 {
			moved++
		}
		if back := h.MapAlpha(f, f.MapAlpha(h, packed)); string(back) != string(packed) {
			t.Fatalf("%v became %v", packed, back)
		}
	}
	if moved < 20 {
		t.Errorf("only %d networks lost neurons", moved)
	}
}
