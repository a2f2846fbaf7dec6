package relax

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// TestAbandonedPassRecordsNothing abandons the passes over inner rows at every point: what an earlier, narrower pass left in the
// worker must not be read as the coefficients of this one.
func TestAbandonedPassRecordsNothing(t *testing.T) {
	p := randomNet(rand.New(rand.NewPCG(3, 1)), 6, []int{24, 24, 24}, false)
	net := NewNet(p)
	box := Box{fill(6, -1), fill(6, 1)}
	recorded := 0
	for left := range 120 {
		f := ibpFrame(net, box)
		pool := NewPool(net, 1)
		if !net.Crown(context.Background(), pool, f, Tightening{Lanes: 8}) {
			t.Fatal("empty")
		}
		in := NewInfluence(f)
		calls := 0
		pool.W[0].Stop = func() bool { calls++; return calls > left }
		net.Crown(context.Background(), pool, f, Tightening{Alpha: 3, Lanes: 16, Record: in})
		n := 0
		for _, row := range in.rows {
			if row != nil {
				n++
			}
		}
		if left == 0 && n > 0 {
			t.Fatalf("%d rows recorded though every pass was abandoned", n)
		}
		recorded = max(recorded, n)
	}
	if recorded == 0 {
		t.Error("no pass was ever recorded: the test means nothing")
	}
}

// TestInfluenceForAnyWorkers records convolutional networks, whose rows see windows, with one worker and with more, in memory that is
// NaN at first: what an earlier batch or nobody wrote outside a window is not read, and the workers do not matter.
func TestInfluenceForAnyWorkers(t *testing.T) {
	windowed := 0
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 4))
		p, _ := convNet(r)
		net := NewNet(p)
		box := Box{make([]float64, p.Nodes[0].N), make([]float64, p.Nodes[0].N)}
		for i := range box.Lo {
			c := r.NormFloat64()
			box.Lo[i], box.Hi[i] = c-0.2, c+0.2
		}
		var want [][]float32
		for workers := 1; workers <= 3; workers++ {
			f := ibpFrame(net, box)
			pool := NewPool(net, workers)
			if !net.Crown(context.Background(), pool, f, Tightening{}) {
				t.Fatal("empty")
			}
			const lanes = 16
			for _, w := range pool.W {
				for k := range w.save {
					w.save[k] = fill(p.Nodes[k].N*lanes, math.NaN())
				}
			}
			in := NewInfluence(f)
			if !net.Crown(context.Background(), pool, f, Tightening{Alpha: 3, Lanes: lanes, Record: in}) {
				t.Fatal("empty")
			}
			for q, row := range in.rows {
				for i, v := range row {
					if v != v {
						t.Fatalf("seed %d, %d workers: neuron %d in row %d: memory that no pass wrote", seed, workers, i, q)
					}
				}
			}
			if workers == 1 {
				want = in.rows
				w := pool.W[0]
				w.Begin(8)
				w.PlanWindows(net.Pre[2], []int32{0})
				if !w.win[2].IsAll() {
					windowed++
				}
				continue
			}
			for q, row := range in.rows {
				if !slices.Equal(row, want[q]) {
					t.Fatalf("seed %d: row %d is %v with %d workers, %v with one", seed, q, row, workers, want[q])
				}
			}
		}
	}
	if windowed == 0 {
		t.Error("no network used windows: the test means nothing")
	}
}

// TestInfluenceTotals works one example by hand: a first neuron costs the objective 1 directly and, through a second one that costs
// 4 over a width of 10, a share of its inner row.
func TestInfluenceTotals(t *testing.T) {
	// node 1: z0 = x on [-1, 3], relu; node 3: z1 = 2·relu(z0) + x on [-4, 6], relu; output their difference
	b := prog.NewBuilder(1)
	z0 := b.Affine("", 1, nil, 0, prog.Term{Src: 0, Map: prog.Dense(1, 1, []float64{1})})
	h0 := b.Relu("", z0)
	z1 := b.Affine("", 1, nil, 0, prog.Term{Src: h0, Map: prog.Dense(1, 1, []float64{2})}, prog.Term{Src: 0, Map: prog.Dense(1, 1, []float64{1})})
	h1 := b.Relu("", z1)
	out := b.Affine("", 1, nil, 0, prog.Term{Src: h1, Map: prog.Dense(1, 1, []float64{1})})
	p, err := b.Program(out)
	if err != nil {
		t.Fatal(err)
	}
	net := NewNet(p)
	bounds := net.NewBounds()
	set := func(k int, l, u float64) { bounds.L[k][0], bounds.U[k][0] = l, u }
	set(0, -1, 3)
	set(z0, -1, 3)
	set(h0, 0, 3)
	set(z1, -4, 6)
	set(h1, 0, 6)
	set(out, 0, 6)
	f := net.NewFrame(Box{[]float64{-1}, []float64{3}}, bounds, net.NewScale(bounds))
	in := NewInfluence(f)
	w := NewWorker(net)
	w.Begin(8)
	w.keep = true
	w.seedRows(f, z1, []int32{0}) // coefficients on h0: 2 from below, −2 from above
	w.Run(f, z1)
	in.record(w, f, z1, []int32{0})
	all := []Open{{Split: Split{Act: int32(h0)}, Intercept: 1}, {Split: Split{Act: int32(h1)}, Intercept: 4}}
	in.SetTotals(f, all)
	// the upper line of h0 is 3/4·z + 3/4: the upper row is off by 2·3/4 of a width of 10
	if want := 1 + 4*1.5/10; math.Abs(all[0].Total-want) > 1e-6 || all[1].Total != 4 {
		t.Errorf("totals %v and %v, want %v and 4", all[0].Total, all[1].Total, want)
	}
	(*Influence)(nil).SetTotals(f, all)
	if all[0].Total != 1 || all[1].Total != 4 {
		t.Errorf("totals %v and %v where nothing is known of inner bounds, want 1 and 4", all[0].Total, all[1].Total)
	}
}
