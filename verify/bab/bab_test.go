package bab

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/verifytest"
)

// search is InputSplit or ReluSplit.
type search func(context.Context, *Query, *relax.Frame, []int32, *Config) *Outcome

var searches = map[string]search{"input": InputSplit, "relu": ReluSplit, "input, whole network": splitWhole}

func splitWhole(ctx context.Context, q *Query, f *relax.Frame, alive []int32, cfg *Config) *Outcome {
	whole := *cfg
	whole.Whole = true
	return InputSplit(ctx, q, f, alive, &whole)
}

// answer is what must not depend on the number of workers.
type answer struct {
	Status   Status
	Reason   string
	Branches int
	Bound    float64
	Volume   float64
	X        []float64
}

// decide runs one search on every box of a problem, with candidates tried and nothing else looking for counterexamples.
func decide(t *testing.T, in *verifytest.Instance, s search, workers int, change func(*Config)) []answer {
	t.Helper()
	p, err := in.Net.Program()
	if err != nil {
		t.Fatal(err)
	}
	net := relax.NewNet(p)
	var all []answer
	for id := range in.Problem.Boxes {
		box := &in.Problem.Boxes[id]
		q := &Query{Net: net, Box: relax.Box{Lo: box.Lower, Hi: box.Upper}}
		var alive []int32
		for _, c := range in.Problem.Cases {
			if c.Box == id {
				alive = append(alive, int32(len(q.Cases)))
				q.Cases = append(q.Cases, c)
			}
		}
		if len(alive) == 0 {
			continue
		}
		cfg := &Config{Pool: relax.NewPool(net, workers), Try: func(x []float64) *spec.Witness { return try(in.Problem, p, box, x) }}
		if change != nil {
			change(cfg)
		}
		b := net.NewBounds()
		net.IBP(q.Box, b)
		f := net.NewFrame(q.Box, b, net.NewScale(b))
		if !net.Crown(context.Background(), cfg.Pool, f, relax.Tightening{}) {
			t.Fatal("the root's bounds say that a box with points is empty")
		}
		out := s(context.Background(), q, f, alive, cfg)
		a := answer{Status: out.Status, Reason: out.Reason, Branches: out.Branches, Bound: out.Bound, Volume: out.Volume}
		if (out.Status == Found) != (out.Witness != nil) {
			t.Fatalf("status %v with witness %v", out.Status, out.Witness)
		}
		if out.Witness != nil {
			a.X = out.Witness.X
		}
		all = append(all, a)
	}
	return all
}

// try rounds a candidate to the float32 grid of its box and confirms it.
func try(pr *spec.Problem, p *prog.Program, b *spec.Box, x []float64) *spec.Witness {
	g := make([]float64, len(x))
	for i, v := range x {
		g[i] = float64(min(max(float32(v), b.InLower[i]), b.InUpper[i]))
	}
	w, _ := pr.Confirm(p, g)
	return w
}

func parse(t *testing.T, text string) *verifytest.Instance {
	t.Helper()
	in, err := verifytest.ParseInstance(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return in
}

func seeds(short, long uint64) uint64 {
	if testing.Short() {
		return short
	}
	return long
}

// TestWorkersDoNotMatter compares whole outcomes for one, two and three workers.
func TestWorkersDoNotMatter(t *testing.T) {
	for name, s := range searches {
		t.Run(name, func(t *testing.T) {
			branched := 0
			for n := range seeds(150, 300) {
				in := verifytest.RandomInstance(n)
				limit := func(c *Config) { c.Memory = 20000 } // searches that cannot end stop here, also at the same place
				want := decide(t, in, s, 1, limit)
				for workers := 2; workers <= 3; workers++ {
					if got := decide(t, in, s, workers, limit); !reflect.DeepEqual(got, want) {
						t.Fatalf("seed %d: %d workers: %+v, one worker: %+v", n, workers, got, want)
					}
				}
				for _, a := range want {
					if a.Branches > 2 {
						branched++
					}
				}
			}
			if branched < 5 {
				t.Errorf("only %d searches branched: the comparison means little", branched)
			}
		})
	}
}

// fourWaves is y = |x0+x1| + |x0−x1|, built from four ReLUs; the greatest value over [−1,1]² is 2 and no single relaxation of
// the ReLUs shows less than 4.
const fourWaves = "node input 2\nnode affine 4\nterm 0 dense 4 2 1 1 -1 -1 1 -1 -1 1\nnode relu 1\nnode affine 1\nterm 2 dense 1 4 1 1 1 1\noutput 3\n" +
	"box -1 1 -1 1\ncase 0\n"

// cutOff ends in ReLUs that are both 0 on most of the box, so that the objective is constant on branches: y0 = relu(|x|−3/4),
// y1 = relu(1/2−|x|) over [−1,1], where |x| needs both its ReLUs.
const cutOff = "node input 1\nnode affine 2\nterm 0 dense 2 1 1 -1\nnode relu 1\nnode affine 2\nbias -0.75 0.5\nterm 2 dense 2 2 1 1 -1 -1\nnode relu 3\noutput 4\n" +
	"box -1 1\ncase 0\n"

// contradiction has pre-activations x−0.25 and −x−0.25 that cannot both be positive, and an output that is large only if they
// are: y = relu(4·min(h0, h1)) with min(a, b) = b − relu(b − a).
const contradiction = "node input 1\nnode affine 2\nbias -0.25 -0.25\nterm 0 dense 2 1 1 -1\nnode relu 1\nnode affine 2\nterm 2 dense 2 2 0 1 -1 1\nnode relu 3\n" +
	"node affine 1\nterm 4 dense 1 2 4 -4\nnode relu 5\noutput 6\nbox -1 1\ncase 0\n"

// TestReluSplitIsComplete: with one row per case, deciding every ReLU ends in linear programs whose multipliers prove the rest.
// The margins are 1e-5 and less either way.
func TestReluSplitIsComplete(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       Status
	}{
		{"four waves, beyond the crest", fourWaves + "row y0 -1 < -2.00001", Closed},
		{"four waves, at the crest", fourWaves + "row y0 -1 <= -1.99999", Found},
		{"constant branches, far", cutOff + "row y0 1 y1 1 <= -0.00001", Closed},
		{"constant branches, both zero", cutOff + "row y0 1 y1 1 <= 0.00001", Found},
		{"constant branches, first at its end", cutOff + "row y0 -1 < -0.25001", Closed},
		{"constant branches, second at its middle", cutOff + "row y1 -1 < -0.50001", Closed},
		{"constant branches, difference", cutOff + "row y0 -1 y1 1 <= -0.24999", Found},
		{"contradicting signs", contradiction + "row y0 -1 <= -0.00001", Closed},
		{"contradicting signs, zero", contradiction + "row y0 1 <= 0.00001", Found},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, a := range decide(t, parse(t, c.text), ReluSplit, 1, nil) {
				if a.Status != c.want {
					t.Errorf("got %+v, want status %d", a, c.want)
				}
			}
		})
	}
}

// TestSearchesAgainstOracle checks both searches, without any help, on random questions: nothing wrong, and nothing open that
// is clear by more than 1e-6 (ReLU splitting of cases with several rows excepted: it pushes one row of a case).
func TestSearchesAgainstOracle(t *testing.T) {
	clear := big.NewRat(1, 1_000_000)
	for name, s := range searches {
		t.Run(name, func(t *testing.T) {
			seen := map[Status]int{}
			excused := 0
			for n := uint64(1000); n < 1000+seeds(60, 400); n++ {
				in := verifytest.RandomInstance(n)
				p, err := in.Net.Program()
				if err != nil {
					t.Fatal(err)
				}
				truth := verifytest.SolveExact(p, in.Problem)
				status, rows := Closed, 0
				for _, a := range decide(t, in, s, 2, func(c *Config) { c.Memory = 200_000 }) {
					switch {
					case a.Status == Found:
						status = Found
					case a.Status == Open && status == Closed:
						status = Open
					}
				}
				for i := range in.Problem.Cases {
					rows = max(rows, len(in.Problem.Cases[i].Rows))
				}
				seen[status]++
				m := truth.Margin
				switch {
				case status == Found && !truth.Sat:
					t.Fatalf("seed %d: found a counterexample where none is (margin %v)\n%v", n, m, in)
				case status == Closed && truth.Sat && m.Sign() > 0:
					t.Fatalf("seed %d: closed although there is a counterexample of margin %v\n%v", n, m, in)
				case status == Open && new(big.Rat).Abs(m).Cmp(clear) > 0 && !(truth.Sat && in.GridHides()):
					if name == "relu" && rows > 1 {
						excused++
						continue
					}
					f, _ := m.Float64()
					t.Errorf("seed %d: open at margin %g\n%v", n, f, in)
				}
			}
			t.Logf("closed %d, found %d, open %d (%d with several rows)", seen[Closed], seen[Found], seen[Open], excused)
			if seen[Closed] < 10 || seen[Found] < 10 {
				t.Error("lopsided")
			}
		})
	}
}

// TestRefuted: a bound of exactly zero excludes strict rows only.
func TestRefuted(t *testing.T) {
	for _, c := range []struct {
		lb     float64
		strict bool
		want   bool
	}{{1e-300, false, true}, {0, false, false}, {0, true, true}, {-1e-300, true, false}, {math.NaN(), true, false}, {math.Inf(-1), false, false}} {
		if got := Refuted(&spec.Row{Strict: c.strict}, c.lb); got != c.want {
			t.Errorf("bound %g, strict %v: %v", c.lb, c.strict, got)
		}
	}
}

// TestLeaf decides single branches by their linear program.
func TestLeaf(t *testing.T) {
	all := func(signs string) (splits []relax.Split) {
		for i, c := range signs {
			sign := int8(1)
			if c == '-' {
				sign = -1
			}
			splits = append(splits, relax.Split{Act: 2, Elem: int32(i), Sign: sign})
		}
		return splits
	}
	for _, c := range []struct {
		net, row, signs string
		closed, witness bool
	}{
		{fourWaves, "row y0 -1 <= -2.00001", "+-+-", true, false}, // x0+x1 ≥ 0, x0−x1 ≥ 0: y = 2·x0
		{fourWaves, "row y0 -1 <= -1.99999", "+-+-", false, true}, // reached at x0 = 1
		{fourWaves, "row y0 -1 <= -0.00001", "++++", true, false}, // only 0 is left, where y = 0
		{fourWaves, "row y0 -1 <= -0.00001", "----", true, false}, // the same
		{fourWaves, "row y0 1 <= 0.00001", "+-+-", false, true},   // reached at 0
		{fourWaves, "row y0 1 <= -0.00001", "-+-+", true, false},  // y ≥ 0
		// x ≥ 1/4 and x ≤ −1/4 leave nothing, whatever the row says.
		{contradiction, "row y0 -1 <= 100", "++", true, false},
		{contradiction, "row y0 -1 <= 100", "+-", false, true},
		{contradiction, "row x0 1 y0 1 <= 0.24999", "+-", true, false},
		{contradiction, "row x0 1 y0 1 <= 0.25001", "+-", false, true},
		{contradiction, "row x0 -1 y0 1 <= 0.24999", "-+", true, false},
		{fourWaves, "row x0 1 y0 -1 <= -3.00001", "-+-+", true, false}, // y = −2·x0, so x0 − y = 3·x0 ≥ −3
	} {
		t.Run(c.row+" "+c.signs, func(t *testing.T) {
			in := parse(t, c.net+c.row)
			p, err := in.Net.Program()
			if err != nil {
				t.Fatal(err)
			}
			net, box := relax.NewNet(p), &in.Problem.Boxes[0]
			q := &Query{Net: net, Box: relax.Box{Lo: box.Lower, Hi: box.Upper}, Cases: in.Problem.Cases}
			b := net.NewBounds()
			net.IBP(q.Box, b)
			f := net.NewFrame(q.Box, b, net.NewScale(b))
			w := relax.NewWorker(net)
			s := &reluSearch{q: q, root: f, out: &Outcome{},
				cfg: &Config{Try: func(x []float64) *spec.Witness { return try(in.Problem, p, box, x) }}}
			wit, closed := s.leaf(context.Background(), w, &reluBranch{splits: all(c.signs), at: f})
			if closed != c.closed || (wit != nil) != c.witness {
				t.Errorf("closed %v, witness %v; want %v, %v", closed, wit, c.closed, c.witness)
			}
		})
	}
}

// TestMemoryBudget: a search that exceeds its budget stops with the reason and a bound.
func TestMemoryBudget(t *testing.T) {
	in := parse(t, fourWaves+"row y0 -1 <= -2.00001")
	for name, s := range searches {
		t.Run(name, func(t *testing.T) {
			for _, a := range decide(t, in, s, 1, func(c *Config) { c.Memory = 1 }) {
				if a.Status != Open || a.Reason != "memory" {
					t.Errorf("%+v", a)
				}
			}
		})
	}
}

// TestVolume: the later a search is stopped, the more of it is proved, and never all.
func TestVolume(t *testing.T) {
	for name, s := range searches {
		t.Run(name, func(t *testing.T) {
			most := 0.0
			for _, row := range []string{"row y0 -1 <= -2.00001", "row x0 1 y0 -1 <= -3.00001"} {
				in, last := parse(t, fourWaves+row), 0.0
				for memory := int64(250); memory <= 10_000; memory += 250 {
					for _, a := range decide(t, in, s, 1, func(c *Config) { c.Memory = memory }) {
						if a.Status != Open {
							continue
						}
						if a.Volume < last || a.Volume >= 1 {
							t.Errorf("%s, %d bytes: %v proved, %v with less", row, memory, a.Volume, last)
						}
						last = a.Volume
					}
				}
				most = max(most, last)
			}
			if most == 0 {
				t.Error("nothing was ever proved")
			}
		})
	}
}

// TestPause: a witness that the pause brings ends the search, after as many branches for any number of workers.
func TestPause(t *testing.T) {
	in := parse(t, fourWaves+"row y0 -1 <= -2.00001")
	want := &spec.Witness{X: []float64{1, 2}}
	for name, s := range searches {
		t.Run(name, func(t *testing.T) {
			branches := -1
			for workers := 1; workers <= 3; workers++ {
				calls := 0
				pause := func() *spec.Witness {
					if calls++; calls == 2 {
						return want
					}
					return nil
				}
				for _, a := range decide(t, in, s, workers, func(c *Config) { c.Pause = pause }) {
					if a.Status != Found || fmt.Sprint(a.X) != "[1 2]" || calls != 2 {
						t.Errorf("%d workers: %+v after %d calls", workers, a, calls)
					}
					if branches < 0 {
						branches = a.Branches
					}
					if a.Branches != branches {
						t.Errorf("%d workers: %d branches, one worker: %d", workers, a.Branches, branches)
					}
				}
			}
		})
	}
}

// TestClipKeepsCounterexamples: clipping a box never loses a point where every row of a case holds.
func TestClipKeepsCounterexamples(t *testing.T) {
	kept := 0
	for n := range seeds(100, 600) {
		in := verifytest.RandomInstance(n)
		p, err := in.Net.Program()
		if err != nil {
			t.Fatal(err)
		}
		truth := verifytest.SolveExact(p, in.Problem)
		if !truth.Sat || truth.Margin.Sign() <= 0 {
			continue
		}
		id := in.Problem.Cases[truth.Case].Box
		box := &in.Problem.Boxes[id]
		net := relax.NewNet(p)
		q := &Query{Net: net, Box: relax.Box{Lo: box.Lower, Hi: box.Upper}, Cases: []spec.Case{in.Problem.Cases[truth.Case]}}
		b := net.NewBounds()
		net.IBP(q.Box, b)
		w := relax.NewWorker(net)
		s := &inputSearch{q: q, cfg: &Config{}}
		br := &boxBranch{alive: []int32{0}}
		for i := range q.Box.Lo {
			s.dims = append(s.dims, i)
			br.lo, br.hi = append(br.lo, q.Box.Lo[i]), append(br.hi, q.Box.Hi[i])
		}
		s.root = net.NewFrame(q.Box, b, net.NewScale(b))
		br.in = s.reduceRoot(br.alive)
		for _, by := range []boxBounder{newFrameBounder(s, w), newReducedBounder(s)} {
			clipKeeps(t, s, by, br, truth.X)
		}
		kept++
	}
	if kept < 20 {
		t.Errorf("only %d questions with counterexamples", kept)
	}
}

// clipKeeps bounds a box that holds the counterexample x, clips it and its halves, and fails when x is lost.
func clipKeeps(t *testing.T, s *inputSearch, by boxBounder, br *boxBranch, x []*big.Rat) {
	planes, ok := by.bound(context.Background(), br)
	alive, _ := s.aliveOf(br, planes)
	if !ok || len(alive) != 1 {
		t.Fatal("refuted although sat")
	}
	inside := func(lo, hi []float64) bool {
		for i, x := range x {
			if x.Cmp(new(big.Rat).SetFloat64(lo[i])) < 0 || x.Cmp(new(big.Rat).SetFloat64(hi[i])) > 0 {
				return false
			}
		}
		return true
	}
	for d := -1; d < len(br.lo); d++ {
		for side := range 2 {
			lo, hi := append([]float64(nil), br.lo...), append([]float64(nil), br.hi...)
			if d >= 0 {
				mid := lo[d] + (hi[d]-lo[d])/2
				if side == 0 {
					hi[d] = mid
				} else {
					lo[d] = mid
				}
			}
			if inside(lo, hi) && (len(s.clip(br, planes, alive, lo, hi)) == 0 || !inside(lo, hi)) {
				t.Fatalf("input %d side %d: the counterexample %v is outside [%v, %v]", d, side, x, lo, hi)
			}
		}
	}
}

// TestPlateau: a case whose objective is 0 on a whole face of the box, which no split decides, must not keep the search from the
// counterexamples of other cases elsewhere.
func TestPlateau(t *testing.T) {
	in := verifytest.RandomInstance(5113)
	for _, a := range decide(t, in, InputSplit, 2, nil) {
		if a.Status != Found {
			t.Errorf("%+v", a)
		}
	}
}

// TestLabels: a profile tells the parts of a search apart, on its workers too.
func TestLabels(t *testing.T) {
	in := parse(t, fourWaves+"row y0 -1 <= -2.00001")
	for _, workers := range []int{1, 2} {
		seen := 0
		var mu sync.Mutex
		decide(t, in, ReluSplit, workers, func(c *Config) {
			try := c.Try
			c.Try = func(x []float64) *spec.Witness {
				var b strings.Builder
				if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if seen++; !strings.Contains(b.String(), `"part":"try"`) {
					t.Errorf("%d workers: no goroutine is labelled", workers)
				}
				return try(x)
			}
		})
		if seen == 0 {
			t.Error("no candidate was tried")
		}
	}
}
