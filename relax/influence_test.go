package relax

import (
	"context"
	"math/rand/v2"
	"testing"
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
