package relax

import (
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// twinNet draws a network whose layers hold equal and opposite neurons next to others, as maxima and absolute values do.
func twinNet(r *rand.Rand, t *testing.T) *prog.Program {
	b := prog.NewBuilder(1 + r.IntN(3))
	cur := 0
	for range 1 + r.IntN(3) {
		n, m := b.N(cur), 2+r.IntN(4)
		w, v := make([]float64, m*n), make([]float64, m)
		for i := range m {
			for j := range n {
				w[i*n+j] = wild(r, 2)
			}
			v[i] = wild(r, 1)
			if i > 0 && r.IntN(3) > 0 {
				s := []float64{1, -1, 1 + 0x1p-44, -1 + 0x1p-45}[r.IntN(4)]
				for j := range n {
					w[i*n+j] = s * w[(i-1)*n+j]
				}
				v[i] = s * v[i-1]
			}
		}
		cur = b.Relu("", b.Affine("", m, v, 0, prog.Term{Src: cur, Map: prog.Dense(m, n, w)}))
	}
	n := b.N(cur)
	w := make([]float64, 2*n)
	for i := range w {
		w[i] = wild(r, 1)
	}
	return mustProgram(t, b, b.Affine("", 2, nil, 0, prog.Term{Src: cur, Map: prog.Dense(2, n, w)}))
}

// reducedCase is a question about a box of a network's reduction, and points of the box with their exact values.
type reducedCase struct {
	seed   uint64
	p      *prog.Program
	f      *Frame
	dims   []int
	objs   []Objective
	box    Box // part of f.Box
	points [][][]*big.Rat
	xs     [][]float64
}

func drawReduced(t *testing.T, seed uint64) *reducedCase {
	r := rand.New(rand.NewPCG(seed, 31))
	c := &reducedCase{seed: seed}
	if seed%3 == 0 {
		c.p = twinNet(r, t)
	} else {
		c.p = cancellingNet(r, t, []int{0, 4, 20}[r.IntN(3)])
	}
	if seed%7 == 0 {
		for k := range c.p.Nodes {
			if c.p.Nodes[k].Kind == prog.Affine {
				c.p.Nodes[k].Rel = r.IntN(3)
			}
		}
	}
	net := NewNet(c.p)
	root := wildBox(r, c.p.Nodes[0].N)
	c.f = ibpFrame(net, root)
	if seed%2 == 0 && !net.Crown(context.Background(), NewPool(net, 1), c.f, Tightening{}) {
		t.Fatalf("seed %d: empty", seed)
	}
	c.box = root.Clone()
	for i := range root.Lo {
		if r.IntN(5) == 0 {
			continue // stays as wide as it is, as a fixed input that is off by that much
		}
		c.dims = append(c.dims, i)
		if r.IntN(2) == 0 {
			m := root.Lo[i] + r.Float64()*(root.Hi[i]-root.Lo[i])
			c.box.Lo[i] = min(max(m, root.Lo[i]), root.Hi[i])
		}
	}
	for range 4 {
		x := samplePoint(r, c.box)
		c.xs, c.points = append(c.xs, x), append(c.points, exactEval(c.p, x))
	}
	for range 5 {
		o := Objective{}
		for range 1 + r.IntN(3) {
			k := []int{c.p.Output, r.IntN(len(c.p.Nodes))}[r.IntN(2)]
			o.Terms = append(o.Terms, ObjectiveTerm{k, r.IntN(c.p.Nodes[k].N), wild(r, 3)})
		}
		if r.IntN(2) == 0 {
			o.Const = wild(r, 10)
		}
		c.objs = append(c.objs, o)
	}
	return c
}

// check bounds the case's objectives on r and counts the bounds above an exact value, and those within rounding of one. over
// is reported for bounds, and for planes at the points.
func (c *reducedCase) check(t *testing.T, r *Reduced, L, U []float64, of []int32) (over, tight int) {
	var w Cell
	lo, hi := make([]float64, len(c.dims)), make([]float64, len(c.dims))
	for d, i := range c.dims {
		lo[d], hi[d] = c.box.Lo[i], c.box.Hi[i]
	}
	w.Enter(r, lo, hi, L, U)
	if !w.Neurons() {
		return 1, 0
	}
	planes := make([]Plane, len(of))
	objs := make([]int32, len(of))
	for i := range planes {
		planes[i].A, objs[i] = make([]float64, len(lo)), int32(i)
	}
	w.Objectives(objs, planes)
	for i, p := range planes {
		o := &c.objs[of[i]]
		for n, v := range c.points {
			y := ratOf(o.Const)
			for _, term := range o.Terms {
				y.Add(y, new(big.Rat).Mul(ratOf(term.Coef), v[term.Node][term.Elem]))
			}
			if !below(p.LB, y) {
				over++
			}
			if !math.IsInf(p.C, 0) {
				z := ratOf(p.C)
				for d, j := range c.dims {
					z.Add(z, new(big.Rat).Mul(ratOf(p.A[d]), ratOf(c.xs[n][j])))
				}
				if z.Cmp(y) > 0 {
					over++
				}
			}
			if g, _ := y.Float64(); math.Abs(g-p.LB) < 1e-9*math.Abs(g) {
				tight++
			}
		}
	}
	return over, tight
}

// runs bounds every case on its reduction and on the reduction of that on the case's box, after mutate; forward or backward.
func runReduced(t *testing.T, cases []*reducedCase, crown bool, mutate func(*Reduced)) (over, tight int, first uint64) {
	count := func(c *reducedCase, r *Reduced, L, U []float64, of []int32) {
		mutate(r)
		r.crown = crown
		o, n := c.check(t, r, L, U, of)
		if over == 0 && o > 0 {
			first = c.seed
		}
		over, tight = over+o, tight+n
	}
	for _, c := range cases {
		r, L, U := c.f.Reduce(c.dims, c.objs)
		if r == nil {
			continue
		}
		count(c, r, L, U, []int32{0, 1, 2, 3, 4})
		var w Cell
		lo, hi := make([]float64, len(c.dims)), make([]float64, len(c.dims))
		for d, i := range c.dims {
			lo[d], hi[d] = c.box.Lo[i], c.box.Hi[i]
		}
		w.Enter(r, lo, hi, L, U)
		if !w.Neurons() {
			over++
			continue
		}
		of := []int32{1, 3, 4}
		s, from := w.Reduce(lo, hi, of)
		if s == nil {
			continue
		}
		l, u := make([]float64, len(from)), make([]float64, len(from))
		for i, q := range from {
			l[i], u[i] = w.L[q], w.U[q]
		}
		count(c, s, l, u, of)
	}
	return over, tight, first
}

// TestReducedAgainstExactValues compares bounds and planes on reduced networks with exact values, without tolerance, and makes
// sure that the comparison notices when a rounding or folding error is not paid for.
func TestReducedAgainstExactValues(t *testing.T) {
	rounds := uint64(600)
	if testing.Short() {
		rounds = 200
	}
	var cases []*reducedCase
	for s := range rounds {
		cases = append(cases, drawReduced(t, s))
	}
	for _, mode := range []struct {
		name  string
		crown bool
	}{{"backward", true}, {"forward", false}} {
		t.Run(mode.name, func(t *testing.T) {
			over, tight, first := runReduced(t, cases, mode.crown, func(*Reduced) {})
			if over > 0 {
				t.Errorf("%d bounds above the exact value, first at seed %d", over, first)
			}
			if tight < int(rounds)/2 {
				t.Errorf("only %d bounds within 1e-9 of a value: the test has lost its grip", tight)
			}
			for name, mutate := range map[string]func(*Reduced){
				"no charge": func(r *Reduced) {
					for _, l := range r.levels {
						clear(l.charge)
					}
				},
				"no folding error": func(r *Reduced) {
					for _, l := range r.levels {
						for i := range l.charge {
							l.charge[i] -= l.err[i]
						}
					}
				},
				"a coefficient off by its last bits": func(r *Reduced) {
					for _, l := range r.levels {
						for k, c := range l.idx {
							if c > 0 {
								l.val[k] *= 1 + 0x1p-40
							}
						}
					}
				},
			} {
				if over, _, _ := runReduced(t, cases, mode.crown, mutate); over == 0 {
					t.Errorf("%s: not noticed", name)
				}
			}
		})
	}
}

// TestTwins: neurons that are equal or opposite but for what is charged become one, and the charge covers the difference.
func TestTwins(t *testing.T) {
	for _, c := range []struct {
		name    string
		w       []float64 // z0, z1 over x0 and two inputs that are fixed but for ±1e-3
		coef    [2]float64
		neurons int
	}{
		{"equal", []float64{1, 0, 0, 1, 0, 0}, [2]float64{1, -1}, 0},
		{"opposite", []float64{1, 0, 0, -1, 0, 0}, [2]float64{1, -1}, 0}, // relu(x) − relu(−x) = x
		{"absolute value", []float64{1, 0, 0, -1, 0, 0}, [2]float64{1, 1}, 1},
		{"nearly equal", []float64{1, 0, 0, 1 + 0x1p-42, 0, 0}, [2]float64{1, -1}, 0},
		{"nearly opposite", []float64{1, 0, 0, -1 - 0x1p-42, 0, 0}, [2]float64{-1, 1}, 0},
		{"equal but for what is fixed", []float64{1, 1, 0, 1, 0, 1}, [2]float64{1, -1}, 0},
		{"opposite but for what is fixed", []float64{1, 1, 0, -1, 0, 1}, [2]float64{1, -1}, 0},
		{"another slope", []float64{1, 0, 0, 1.5, 0, 0}, [2]float64{1, -1}, 2},
		{"another slope and what is fixed", []float64{1, 1, 0, 1.5, 0, 1}, [2]float64{1, 1}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := prog.NewBuilder(3)
			h := b.Relu("", b.Affine("", 2, nil, 0, prog.Term{Src: 0, Map: prog.Dense(2, 3, c.w)}))
			p := mustProgram(t, b, b.Affine("", 1, nil, 0, prog.Term{Src: h, Map: prog.Dense(1, 2, c.coef[:])}))
			f := ibpFrame(NewNet(p), Box{[]float64{-1, -1e-3, -1e-3}, []float64{1, 1e-3, 1e-3}})
			objs := []Objective{{Terms: []ObjectiveTerm{{p.Output, 0, 1}}}, {Terms: []ObjectiveTerm{{p.Output, 0, -1}}}}
			r, L, U := f.Reduce([]int{0}, objs)
			// assemble keeps neurons that no objective reads: what counts is whether one does
			read := map[int32]bool{}
			for _, j := range r.levels[len(r.levels)-1].idx {
				read[j] = read[j] || j > 1
			}
			n := 0
			for _, is := range read {
				if is {
					n++
				}
			}
			if n != c.neurons {
				t.Errorf("the objectives read %d neurons, want %d", n, c.neurons)
			}
			var w Cell
			for i, part := range [][2]float64{{-1, 1}, {-1, -1}, {1, 1}, {0.5, 0.5}, {-5e-4, -5e-4}, {-5e-4, -5e-4}, {5e-4, 1e-3}, {-1, 1}} {
				r.crown = i%2 == 0
				w.Enter(r, part[:1], part[1:], L, U)
				if !w.Neurons() {
					t.Fatal("empty")
				}
				planes := []Plane{{A: make([]float64, 1)}, {A: make([]float64, 1)}}
				w.Objectives([]int32{0, 1}, planes)
				for _, x := range part {
					for _, e := range [][]float64{{0, 0}, {1e-3, -1e-3}, {-1e-3, 1e-3}, {1e-3, 1e-3}, {-1e-3, -1e-3}} {
						y := exactEval(p, []float64{x, e[0], e[1]})[p.Output][0]
						if !below(planes[0].LB, y) || !below(planes[1].LB, new(big.Rat).Neg(y)) {
							g, _ := y.Float64()
							t.Errorf("[%g, %g]: bounds [%g, %g], value %g at %g, %g", part[0], part[1], planes[0].LB, -planes[1].LB, g, x, e)
						}
					}
				}
			}
		})
	}
}

// TestCellAllocatesNothing: a box in steady state costs no memory, bounded either way.
func TestCellAllocatesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	p := randomNet(r, 3, []int{20, 20, 20, 3}, false)
	net := NewNet(p)
	f := ibpFrame(net, Box{fill(3, -1), fill(3, 1)})
	objs := []Objective{{Terms: []ObjectiveTerm{{p.Output, 0, 1}}}, {Terms: []ObjectiveTerm{{p.Output, 1, -1}}, Const: 1}}
	red, L, U := f.Reduce([]int{0, 1, 2}, objs)
	if red == nil || red.Neurons() < 10 {
		t.Fatal("nothing to bound")
	}
	var w Cell
	planes := []Plane{{A: make([]float64, 3)}, {A: make([]float64, 3)}}
	of, y := []int32{0, 1}, make([]float64, 2)
	lo, hi := fill(3, -0.5), fill(3, 1)
	for _, crown := range []bool{true, false} {
		red.crown = crown
		if n := testing.AllocsPerRun(20, func() {
			w.Enter(red, lo, hi, L, U)
			w.Neurons()
			w.Objectives(of, planes)
			w.Eval(lo, of, y)
		}); n != 0 {
			t.Errorf("crown %v: %v allocations", crown, n)
		}
	}
}

// TestStoppedCell: a bound that was asked to stop says nothing.
func TestStoppedCell(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	p := randomNet(r, 2, []int{8, 8, 3}, false)
	f := ibpFrame(NewNet(p), Box{fill(2, -1), fill(2, 1)})
	red, L, U := f.Reduce([]int{0, 1}, []Objective{{Terms: []ObjectiveTerm{{p.Output, 0, 1}}}})
	stop := false
	w := Cell{Stop: func() bool { return stop }}
	planes := []Plane{{A: make([]float64, 2)}}
	for _, stop = range []bool{false, true} {
		w.Enter(red, fill(2, -1), fill(2, 1), L, U)
		if !w.Neurons() {
			t.Fatal("empty")
		}
		if w.Objectives([]int32{0}, planes); math.IsInf(planes[0].LB, -1) != stop || math.IsInf(planes[0].C, -1) != stop {
			t.Errorf("stop %v: %+v", stop, planes[0])
		}
	}
}
