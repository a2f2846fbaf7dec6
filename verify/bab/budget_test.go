package bab

import (
	"context"
	"math"
	"testing"

	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/verifytest"
)

// manyCases asks about y = |x0+x1| + |x0−x1| and z = relu(y−1) − relu(1−y)/2 whether rows below and above their ranges can be reached:
// some cases take no branch, some several, and none has a counterexample.
const manyCases = "node input 2\nnode affine 4\nterm 0 dense 4 2 1 1 -1 -1 1 -1 -1 1\nnode relu 1\nnode affine 2\nbias -1 1\nterm 2 dense 2 4 1 1 1 1 -1 -1 -1 -1\n" +
	"node relu 3\nnode affine 2\nterm 4 dense 2 2 1 -0.5 1 -1\noutput 5\nbox -1 1 -1 1\n" +
	"case 0\nrow y0 -1 <= -1.00001\ncase 0\nrow y0 -1 <= -90\ncase 0\nrow y1 -1 <= -1.0001\ncase 0\nrow y0 1 <= -0.50001\ncase 0\nrow y1 1 <= -80\n" +
	"case 0\nrow y1 1 <= -1.00001\ncase 0\nrow y0 1 y1 -1 <= -0.00001\n"

// TestLeft stops searches after more and more work: Left lists the cases with open branches, each once and in order. Work that was
// done before does not count, and a stopped search has done a round.
func TestLeft(t *testing.T) {
	in := parse(t, manyCases)
	p, err := in.Net.Program()
	if err != nil {
		t.Fatal(err)
	}
	net, box := relax.NewNet(p), &in.Problem.Boxes[0]
	q := &Query{Net: net, Box: relax.Box{Lo: box.Lower, Hi: box.Upper}, Cases: in.Problem.Cases}
	alive := []int32{0, 1, 2, 3, 4, 5, 6}
	if truth := verifytest.SolveExact(p, in.Problem); truth.Sat { // so that what is not left was refuted rightly
		t.Fatalf("case %d can be reached", truth.Case)
	}
	sizes := map[int]bool{}
	for work := int64(1); work < 1e6; work += 1 + work/4 {
		pool := relax.NewPool(net, 1)
		pool.W[0].Work = 1e9
		s := &reluSearch{q: q, root: rootFrameOf(t, q, pool), cfg: &Config{Pool: pool, Work: work}, steps: 2, cands: 1,
			out: &Outcome{Bound: math.Inf(-1)}}
		if w := s.start(context.Background(), alive); w != nil {
			t.Fatal("found a counterexample where none is")
		}
		open := len(s.open)
		out := s.run(context.Background())
		want := map[int32]bool{}
		for _, b := range s.open {
			want[b.c] = true
		}
		for i, c := range out.Left {
			if !want[c] || i > 0 && c <= out.Left[i-1] {
				t.Fatalf("work %d: left %v, open branches of %v", work, out.Left, want)
			}
		}
		if len(out.Left) != len(want) || out.Open != len(s.open) || (out.Status == Open) != (len(want) > 0) {
			t.Fatalf("work %d: left %v, open branches of %v, %+v", work, out.Left, want, out)
		}
		if out.Status == Open && out.Reason != OutOfWork || open > 0 && out.Branches == 0 {
			t.Fatalf("work %d: %q after %d branches", work, out.Reason, out.Branches)
		}
		sizes[len(want)] = true
	}
	if !sizes[0] || len(sizes) < 3 {
		t.Errorf("numbers of cases left: %v: the test has lost its grip", sizes)
	}
}

// rootFrameOf bounds q's box by intervals.
func rootFrameOf(t *testing.T, q *Query, pool *relax.Pool) *relax.Frame {
	t.Helper()
	b := q.Net.NewBounds()
	q.Net.IBP(q.Box, b)
	return q.Net.NewFrame(q.Box, b, q.Net.NewScale(b))
}
