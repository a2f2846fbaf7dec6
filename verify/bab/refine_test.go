package bab

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/verifytest"
)

// layered draws networks of affine maps with small dyadic coefficients, each followed by f.
type layered struct {
	r *rand.Rand
	b *prog.Builder
}

func (l *layered) values(n, scale int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(l.r.IntN(9)-4) / float64(scale)
	}
	return v
}

func (l *layered) dense(src, n int, more ...prog.Term) int {
	in := l.b.N(src)
	return l.b.Affine("", n, l.values(n, 16), 0, append(more, prog.Term{Src: src, Map: prog.Dense(n, in, l.values(n*in, 4))})...)
}

// conv appends a convolution of 3×3 pixels to a picture of c×h×h, which it makes one of m×h×h.
func (l *layered) conv(src, c, h, m int, more ...prog.Term) int {
	g := prog.ConvGeom{C: c, H: h, W: h, M: m, KH: 3, KW: 3, Group: 1, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1, PadT: 1, PadL: 1, PadB: 1, PadR: 1}
	return l.b.Affine("", m*h*h, l.values(m*h*h, 16), 0, append(more, prog.Term{Src: src, Map: prog.Conv(g, l.values(m*c*9, 4))})...)
}

// refineNets are networks of the shapes that matter to Refine: what is refined is the same on all of a kind.
var refineNets = map[string]func(l *layered) int{
	"dense": func(l *layered) int {
		x := l.b.Relu("", l.dense(0, 40))
		return l.b.Relu("", l.dense(l.b.Relu("", l.dense(x, 40)), 40))
	},
	"residual": func(l *layered) int {
		x := l.b.Relu("", l.dense(0, 20))
		for range 3 {
			x = l.b.Relu("", l.dense(x, 20, prog.Term{Src: x, Map: prog.Identity(20)}))
		}
		return x
	},
	"one neuron": func(l *layered) int {
		x := l.b.Relu("", l.dense(l.b.Relu("", l.dense(0, 6)), 1))
		return l.b.Relu("", l.dense(l.b.Relu("", l.dense(x, 5)), 1))
	},
	"sigmoids": func(l *layered) int {
		z := l.dense(0, 12)
		x := l.b.Relu("", l.dense(l.b.Sigmoid("", l.b.Relu("", z)), 12, prog.Term{Src: l.b.Relu("", z), Map: prog.Dense(12, 12, l.values(144, 4))}))
		return l.b.Relu("", l.dense(x, 12))
	},
	"ReLUs of the input": func(l *layered) int {
		return l.b.Relu("", l.dense(l.b.Relu("", l.dense(l.b.Relu("", 0), 8)), 8))
	},
	"convolutions": func(l *layered) int {
		x := l.b.Relu("", l.conv(0, 1, 6, 2))
		x = l.b.Relu("", l.conv(x, 2, 6, 2, prog.Term{Src: x, Map: prog.Identity(72)}))
		return l.b.Relu("", l.conv(x, 2, 6, 1))
	},
	"windows": func(l *layered) int { // a curve keeps the cone from being cut out: convolutions work on windows of pixels
		x := l.b.Relu("", l.conv(0, 1, 6, 2))
		sq := l.b.Curve("", prog.Square, l.conv(0, 1, 6, 1))
		g := prog.ConvGeom{C: 1, H: 6, W: 6, M: 2, KH: 1, KW: 1, Group: 1, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1}
		x = l.b.Relu("", l.conv(x, 2, 6, 2, prog.Term{Src: sq, Map: prog.Conv(g, l.values(2, 16))}))
		return l.b.Relu("", l.conv(x, 2, 6, 1))
	},
	"product beside": func(l *layered) int {
		z := l.dense(0, 8)
		x := l.b.Relu("", l.dense(l.b.Relu("", z), 8))
		p := l.b.Product("", z, l.b.Relu("", z)) // read by the output alone
		y := l.b.Relu("", l.dense(x, 8))
		return l.dense(y, 2, prog.Term{Src: p, Map: prog.Dense(2, 8, l.values(16, 4))})
	},
	"output is an input": func(l *layered) int { // of a ReLU that nobody reads, as another is
		x := l.b.Relu("", l.dense(0, 8))
		l.b.Relu("", l.dense(x, 5))
		z := l.dense(x, 8)
		l.b.Relu("", z)
		return z
	},
	"permuted": func(l *layered) int { // sums of permutations, a transposed map
		x := l.b.Relu("", l.b.Affine("", 9, l.values(9, 16), 0, prog.Term{Src: 0, Map: prog.Index(9, []int32{8, 1, 0, 4, 5, 2, 2, 3, 7})},
			prog.Term{Src: 0, Map: prog.Index(9, []int32{-1, 0, 3, 3, 1, 6, 7, 0, 2})}))
		m := prog.Sparse(9, 9, []int32{0, 3, 4, 6, 6, 8, 11, 12, 14, 16}, []int32{0, 1, 8, 4, 2, 3, 0, 7, 5, 6, 1, 8, 2, 4, 3, 5}, l.values(16, 4))
		x = l.b.Relu("", l.b.Affine("", 9, l.values(9, 16), 0, prog.Term{Src: x, Map: prog.Transpose(m)}, prog.Term{Src: x, Map: prog.Diag(l.values(9, 4))}))
		return l.b.Relu("", l.dense(x, 9))
	},
}

// drawRefine draws a network of the named kind and a box.
func drawRefine(t *testing.T, kind string, seed uint64) (*prog.Program, relax.Box) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 61))
	inputs := map[string]int{"convolutions": 36, "windows": 36, "permuted": 9, "ReLUs of the input": 12}[kind]
	if inputs == 0 {
		inputs = 5
	}
	l := &layered{r, prog.NewBuilder(inputs)}
	p, err := l.b.Program(refineNets[kind](l))
	if err != nil {
		t.Fatal(err)
	}
	box := relax.Box{}
	for range inputs {
		c := float64(r.IntN(33)-16) / 16
		box.Lo, box.Hi = append(box.Lo, c-0.25), append(box.Hi, c+0.5)
	}
	return p, box
}

// rootOf bounds the box as the search does before it refines.
func rootOf(t *testing.T, p *prog.Program, box relax.Box, workers int) (*relax.Frame, *relax.Pool) {
	t.Helper()
	net := relax.NewNet(p)
	b := net.NewBounds()
	net.IBP(box, b)
	f := net.NewFrame(box, b, net.NewScale(b))
	pool := relax.NewPool(net, workers)
	if !net.Crown(context.Background(), pool, f, relax.Tightening{Alpha: 6}) {
		t.Fatal("a box with points counts as empty")
	}
	return f, pool
}

func copyOf(f *relax.Frame) *relax.Bounds {
	b := f.Net.NewBounds()
	b.Copy(f.B)
	return b
}

// holdsAt fails when a value at x, enclosed, is outside its bounds.
func holdsAt(t *testing.T, what string, p *prog.Program, b *relax.Bounds, x []float64) {
	t.Helper()
	L, U := p.Enclose(x, x, 0x1p-53)
	for k := range L {
		for j := range L[k] {
			if U[k][j] < b.L[k][j] || L[k][j] > b.U[k][j] {
				t.Fatalf("%s: node %d (%v) element %d: %v outside [%v, %v]", what, k, p.Nodes[k].Kind, j, U[k][j], b.L[k][j], b.U[k][j])
			}
		}
	}
}

// pointOf draws a point of the box, often a corner.
func pointOf(r *rand.Rand, box relax.Box) []float64 {
	x := make([]float64, len(box.Lo))
	corner := r.IntN(2) == 0
	for i := range x {
		switch {
		case corner && r.IntN(2) == 0:
			x[i] = box.Lo[i]
		case corner:
			x[i] = box.Hi[i]
		default:
			x[i] = min(max(box.Lo[i]+r.Float64()*(box.Hi[i]-box.Lo[i]), box.Lo[i]), box.Hi[i])
		}
	}
	return x
}

// TestRefineHoldsAtPoints refines networks of every shape, and looks for a point of the box that is outside a bound. Bounds never
// become wider, and what Refined says about them is true.
func TestRefineHoldsAtPoints(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			stable, neurons := 0, 0
			for seed := range seeds(6, 20) {
				p, box := drawRefine(t, kind, seed)
				f, pool := rootOf(t, p, box, 2)
				before := copyOf(f)
				got, ok := Refine(context.Background(), pool, f, Refinement{Work: 3e6})
				if !ok {
					t.Fatalf("seed %d: a box with points counts as empty", seed)
				}
				r := rand.New(rand.NewPCG(seed, 62))
				for range 100 {
					holdsAt(t, fmt.Sprintf("seed %d", seed), p, f.B, pointOf(r, box))
				}
				if want := changes(t, f, before); got.Neurons != want.Neurons || got.Stable != want.Stable || math.Abs(got.Width-want.Width) > 1e-12 ||
					got.Neurons > 0 && got.Leaves < 1 {
					t.Errorf("seed %d: says %+v, want %+v", seed, got, want)
				}
				neurons, stable = neurons+got.Neurons, stable+got.Stable
			}
			t.Logf("%d neurons, %d became stable", neurons, stable)
			if neurons == 0 {
				t.Error("nothing was refined")
			}
		})
	}
}

func kinds() []string {
	var names []string
	for name := range refineNets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// changes says what became of the open neurons of before, and fails where a bound became wider or one of another neuron moved.
func changes(t *testing.T, f *relax.Frame, before *relax.Bounds) Refined {
	t.Helper()
	var is Refined
	for k := range f.B.L {
		for j, l := range f.B.L[k] {
			u, l0, u0 := f.B.U[k][j], before.L[k][j], before.U[k][j]
			if l < l0 || u > u0 {
				t.Fatalf("node %d element %d: [%v, %v] became [%v, %v]", k, j, l0, u0, l, u)
			}
			if !slices.Contains(refinable(f.Net), k) || l0 >= 0 || u0 <= 0 {
				if l != l0 || u != u0 {
					t.Fatalf("node %d (%v) element %d, which was not asked for: [%v, %v] became [%v, %v]", k, f.Net.P.Nodes[k].Kind, j, l0, u0, l, u)
				}
				continue
			}
			is.Neurons++
			is.Width += (u - l) / (u0 - l0)
			if l >= 0 || u <= 0 {
				is.Stable++
			}
		}
	}
	for _, k := range refinable(f.Net) {
		var open []int32
		for j, l := range f.B.L[k] {
			if l < 0 && f.B.U[k][j] > 0 {
				open = append(open, int32(j))
			}
		}
		for _, a := range f.Net.Acts[k] {
			if !slices.Equal(f.Unstable(a), open) {
				t.Fatalf("node %d relaxes the elements %v of node %d, of which %v are open", a, f.Unstable(a), k, open)
			}
		}
	}
	is.Width /= float64(max(is.Neurons, 1))
	return is
}

// tinyNet is a network of two inputs with a layer of ReLUs or two before the neurons that matter, which are its output.
func tinyNet(t *testing.T, seed uint64) (*prog.Program, relax.Box) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 63))
	l := &layered{r, prog.NewBuilder(2)}
	cur := l.dense(0, 4+r.IntN(3))
	for range 1 + seed%2 {
		cur = l.dense(l.b.Relu("", cur), 4)
	}
	l.b.Relu("", cur)
	p, err := l.b.Program(cur)
	if err != nil {
		t.Fatal(err)
	}
	return p, relax.Box{Lo: []float64{-1, -1}, Hi: []float64{1, 1}}
}

// TestRefineAgainstOracle compares refined bounds with the exact ranges of inner neurons: none is inside them, and of the room that
// ascended bounds leave, most is won. (A tree ends where its worst leaf has nothing to decide, exact or not: its multipliers are
// ascended for a few steps only.)
func TestRefineAgainstOracle(t *testing.T) {
	before, after := 0.0, 0.0
	exact, sides, stable := 0, 0, 0
	for seed := range seeds(8, 24) {
		p, box := tinyNet(t, seed)
		f, pool := rootOf(t, p, box, 1)
		b := copyOf(f)
		got, ok := Refine(context.Background(), pool, f, Refinement{Work: 1e9})
		if !ok {
			t.Fatalf("seed %d: empty", seed)
		}
		stable += got.Stable
		low, high := verifytest.RangeExact(withoutLast(p), box.Lo, box.Hi)
		for _, k := range refinable(f.Net) {
			for j := range low[k] {
				if b.L[k][j] >= 0 || b.U[k][j] <= 0 {
					continue
				}
				if rat(f.B.L[k][j]).Cmp(low[k][j]) > 0 || rat(f.B.U[k][j]).Cmp(high[k][j]) < 0 {
					t.Fatalf("seed %d: node %d element %d: bounds [%v, %v], exact range [%v, %v]", seed, k, j, f.B.L[k][j], f.B.U[k][j],
						low[k][j].FloatString(9), high[k][j].FloatString(9))
				}
				if f.B.L[k][j] >= 0 || f.B.U[k][j] <= 0 {
					continue // stable: its tree was left
				}
				l, _ := low[k][j].Float64()
				u, _ := high[k][j].Float64()
				for _, d := range [][2]float64{{l - b.L[k][j], l - f.B.L[k][j]}, {b.U[k][j] - u, f.B.U[k][j] - u}} {
					before, after, sides = before+d[0]/(u-l), after+d[1]/(u-l), sides+1
					if d[1] <= 1e-3*(u-l) {
						exact++
					}
				}
			}
		}
	}
	t.Logf("%d sides, %d within 0.001 of the exact range; room %.3f before, %.3f after; %d neurons became stable", sides, exact,
		before/float64(sides), after/float64(sides), stable)
	if after > 0.2*before || 2*exact < sides || stable == 0 {
		t.Error("the trees find too little")
	}
}

// withoutLast returns p without its last node: the oracle need not decide its signs.
func withoutLast(p *prog.Program) *prog.Program {
	return &prog.Program{Nodes: p.Nodes[:len(p.Nodes)-1], Output: p.Output}
}

func rat(v float64) *big.Rat { return new(big.Rat).SetFloat64(v) }

// TestRefineForAnyWorkers compares bounds, bit by bit, and work for one and three workers.
func TestRefineForAnyWorkers(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			for seed := range seeds(2, 5) {
				for _, work := range []int64{3e5, 1e7} {
					p, box := drawRefine(t, kind, seed)
					var want *relax.Bounds
					var said Refined
					var spent int64
					for _, workers := range []int{1, 3} {
						f, pool := rootOf(t, p, box, workers)
						begun := pool.Work()
						got, ok := Refine(context.Background(), pool, f, Refinement{Work: work})
						if !ok {
							t.Fatalf("seed %d: empty", seed)
						}
						if workers == 1 {
							want, said, spent = f.B, got, pool.Work()-begun
							continue
						}
						if got != said || pool.Work()-begun != spent {
							t.Errorf("seed %d, work %d: %+v for %d with %d workers, %+v for %d with one", seed, work, got, pool.Work()-begun, workers, said, spent)
						}
						for k := range want.L {
							if !slices.Equal(f.B.L[k], want.L[k]) || !slices.Equal(f.B.U[k], want.U[k]) {
								t.Fatalf("seed %d, work %d: node %d has other bounds with %d workers than with one", seed, work, k, workers)
							}
						}
					}
				}
			}
		})
	}
}

// TestRefineKeepsItsBudget: besides the roots of its trees, Refine does at most twice the work it may do, and does it where there is
// enough to do; more work gives tighter bounds.
func TestRefineKeepsItsBudget(t *testing.T) {
	for _, kind := range []string{"dense", "convolutions", "windows", "ReLUs of the input"} {
		t.Run(kind, func(t *testing.T) {
			p, box := drawRefine(t, kind, 3)
			var roots int64
			f, pool := rootOf(t, p, box, 1)
			for _, k := range refinable(f.Net) {
				rows := f.OpenRows(k, nil)
				f.Net.ByPixel(k, rows)
				for at := 0; at < len(rows); at += refineGroup {
					var trees []*boundTree
					for _, j := range rows[at:min(len(rows), at+refineGroup)] {
						trees = append(trees, newBoundTree(j, 1, f.B.L[k][j]), newBoundTree(j, -1, -f.B.U[k][j]))
					}
					w := pool.W[0]
					begun := w.Work
					newTreeGroup(f, k, trees).grow(context.Background(), w, 1)
					if w.Work == begun {
						t.Errorf("the roots of node %d cost nothing", k)
					}
					roots += w.Work - begun
				}
			}
			ascended, widths := f, []float64{2}
			for _, work := range []int64{0, 1e4, 1e5, 1e7, 2.5e7} {
				f, pool := rootOf(t, p, box, 1)
				begun := pool.Work()
				got, ok := Refine(context.Background(), pool, f, Refinement{Work: work})
				spent := pool.Work() - begun
				t.Logf("%d of %d, roots %d: %+v", spent, work, roots, got)
				if !ok || spent > 2*work+roots || work == 0 && spent > 0 {
					t.Errorf("%d of %d spent, roots take %d", spent, work, roots)
				}
				if work > roots && spent < work-work/100 && kind != "ReLUs of the input" {
					t.Errorf("%d of %d spent, and there is more to do", spent, work)
				}
				if last := widths[len(widths)-1]; got.Width > last {
					t.Errorf("width %v with work %d, %v with less", got.Width, work, last)
				}
				widths = append(widths, got.Width)
				for _, k := range refinable(f.Net) { // each layer has its share, but where its first bounds are exact
					if before := ascended.B; kind != "ReLUs of the input" && work > 2*roots && slices.Equal(f.B.L[k], before.L[k]) && slices.Equal(f.B.U[k], before.U[k]) {
						t.Errorf("nothing was won at node %d with work %d", k, work)
					}
				}
			}
			if first, last := widths[1], widths[len(widths)-1]; first != 1 || last > 0.95 {
				t.Errorf("widths %v", widths)
			}
		})
	}
}

// TestStableNeuronsAreLeft: trees of which one has shown the sign get no more work; the others get it all.
func TestStableNeuronsAreLeft(t *testing.T) {
	p, box := drawRefine(t, "dense", 2)
	f, pool := rootOf(t, p, box, 1)
	k := refinable(f.Net)[0]
	rows := f.OpenRows(k, nil)[:4]
	var trees []*boundTree
	for _, j := range rows {
		trees = append(trees, newBoundTree(j, 1, f.B.L[k][j]), newBoundTree(j, -1, -f.B.U[k][j]))
	}
	g := newTreeGroup(f, k, trees)
	for range 4 { // enough leaves for all
		jobs := g.jobs()
		lanes := 0
		for i := range jobs {
			lanes += jobs[i].lanes()
		}
		g.expand(pool.W[0], jobs, lanes)
	}
	trees[2].lb, trees[5].lb = 0, 1e-9
	count := make([]int, len(trees))
	for _, j := range g.jobs() {
		count[slices.Index(trees, j.t)]++
	}
	if want := []int{8, 8, 0, 0, 0, 0, 8, 8}; !slices.Equal(count, want) {
		t.Errorf("leaves taken from trees: %v, want %v", count, want)
	}
}

// TestRefineCancelled cancels at every point of its course, from within the passes: the bounds that there are hold, and no pass is
// begun any more.
func TestRefineCancelled(t *testing.T) {
	tiny, tinyBox := tinyNet(t, 3)
	low, high := verifytest.RangeExact(withoutLast(tiny), tinyBox.Lo, tinyBox.Hi)
	cancelled := func(t *testing.T, p *prog.Program, box relax.Box, left int) (*relax.Frame, Refined) {
		f, pool := rootOf(t, p, box, 1)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		calls := 0
		pool.W[0].Stop = func() bool {
			if calls++; calls > left {
				cancel()
			}
			return ctx.Err() != nil
		}
		if left < 0 {
			cancel()
		}
		got, ok := Refine(ctx, pool, f, Refinement{Work: 1e9})
		if !ok {
			t.Fatalf("cancelled after %d: a box with points counts as empty", left)
		}
		if calls > left+1 {
			t.Errorf("cancelled after %d, asked %d times more", left, calls-left)
		}
		return f, got
	}
	outcomes := map[float64]bool{}
	for left := -1; left < 2000; left += 1 + left/4 {
		f, got := cancelled(t, tiny, tinyBox, left)
		if left < 0 && got.Neurons > 0 {
			t.Errorf("cancelled before it began: %+v", got)
		}
		outcomes[got.Width] = true
		for _, k := range refinable(f.Net) {
			for j := range low[k] {
				if rat(f.B.L[k][j]).Cmp(low[k][j]) > 0 || rat(f.B.U[k][j]).Cmp(high[k][j]) < 0 {
					t.Fatalf("cancelled after %d: node %d element %d: bounds [%v, %v], exact range [%v, %v]", left, k, j,
						f.B.L[k][j], f.B.U[k][j], low[k][j].FloatString(9), high[k][j].FloatString(9))
				}
			}
		}
	}
	p, box := drawRefine(t, "dense", 1)
	for _, left := range []int{0, 3, 100, 1000} { // several groups and layers are left
		f, got := cancelled(t, p, box, left)
		outcomes[got.Width] = true
		r := rand.New(rand.NewPCG(1, 64))
		for range 20 {
			holdsAt(t, fmt.Sprintf("cancelled after %d", left), p, f.B, pointOf(r, box))
		}
	}
	if len(outcomes) < 10 {
		t.Errorf("only %d different outcomes: the test has lost its grip", len(outcomes))
	}
}

// TestRefineLeavesTheRestAlone: neurons outside the window that the property depends on are not worked on.
func TestRefineLeavesTheRestAlone(t *testing.T) {
	p, box := drawRefine(t, "convolutions", 1)
	f, pool := rootOf(t, p, box, 1)
	need := make([]prog.Window, len(p.Nodes))
	for k := range need {
		need[k] = prog.Window{C: p.Nodes[k].N / 36, H: 6, W: 6, Y0: 1, Y1: 4, X0: 2, X1: 6}
	}
	before := copyOf(f)
	got, ok := Refine(context.Background(), pool, f, Refinement{Work: 1e7, Need: need})
	if !ok {
		t.Fatal("empty")
	}
	inside := 0
	for _, k := range refinable(f.Net) {
		for j := range f.B.L[k] {
			moved := f.B.L[k][j] != before.L[k][j] || f.B.U[k][j] != before.U[k][j]
			if moved && !need[k].Contains(j) {
				t.Errorf("node %d element %d was worked on", k, j)
			}
			if moved {
				inside++
			}
		}
	}
	if inside == 0 || got.Neurons < inside {
		t.Errorf("%d neurons moved, %d worked on", inside, got.Neurons)
	}
}

// TestRefineFindsContradictions gives a neuron that is never off a bound from above that it always exceeds.
func TestRefineFindsContradictions(t *testing.T) {
	found := 0
	for seed := range uint64(40) {
		p, box := tinyNet(t, seed)
		f, pool := rootOf(t, p, box, 1)
		before := copyOf(f)
		if _, ok := Refine(context.Background(), pool, f, Refinement{Work: 1e9}); !ok {
			t.Fatalf("seed %d: empty", seed)
		}
		for _, k := range refinable(f.Net) {
			for j, l := range f.B.L[k] {
				if l <= 0 || before.L[k][j] >= 0 {
					continue
				}
				g, pool := rootOf(t, p, box, 1)
				g.B.U[k][j] = l / 2
				g.Refresh(k)
				if _, ok := Refine(context.Background(), pool, g, Refinement{Work: 1e9}); ok {
					t.Errorf("seed %d: node %d element %d is at least %v and, it was said, at most %v", seed, k, j, l, l/2)
				}
				found++
			}
		}
	}
	if found == 0 {
		t.Error("no neuron is never off: the test means nothing")
	}
}
