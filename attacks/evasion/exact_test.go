package evasion

import (
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/internal/exact"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
)

// tiny is a small ReLU network over [0,1]ⁿ with numbers that are eighths, and an input.
type tiny struct {
	w       [][][]float64 // layer, output, input
	b       [][]float64
	x       []float64
	label   int
	program *prog.Program
	model   access.Gradients
}

func newTiny(t testing.TB, seed uint64) *tiny {
	rng := rand.New(rand.NewPCG(11, seed))
	sizes := []int{2 + rng.IntN(3), 6 + rng.IntN(7), 3}
	if rng.IntN(2) == 0 { // two hidden layers
		sizes = []int{sizes[0], 3 + rng.IntN(4), 3 + rng.IntN(4), 3}
	}
	n := &tiny{}
	bd := prog.NewBuilder(sizes[0])
	at := 0
	for l := 1; l < len(sizes); l++ {
		var w [][]float64
		var flat, b []float64
		for range sizes[l] {
			row := make([]float64, sizes[l-1])
			for i := range row {
				row[i] = math.Round(8*rng.NormFloat64()) / 8
			}
			w, flat, b = append(w, row), append(flat, row...), append(b, math.Round(4*rng.NormFloat64())/8)
		}
		n.w, n.b = append(n.w, w), append(n.b, b)
		if at = bd.Affine("affine", sizes[l], b, 0, prog.Term{Src: at, Map: prog.Dense(sizes[l], sizes[l-1], flat)}); l < len(sizes)-1 {
			at = bd.Relu("relu", at)
		}
	}
	p, err := bd.Program(at)
	if err != nil {
		t.Fatal(err)
	}
	n.program, n.model = p, access.Program(p)
	for range sizes[0] {
		n.x = append(n.x, float64(rng.IntN(257))/256)
	}
	y := make([]float64, 3)
	if err := n.model.Scores(context.Background(), access.Batch{N: 1, X: n.x, Draws: []uint64{0}}, y); err != nil {
		t.Fatal(err)
	}
	n.label = access.Argmax(y)
	return n
}

func (n *tiny) task() Task {
	hi := make([]float64, len(n.x))
	for i := range hi {
		hi[i] = 1
	}
	return Task{X: n.x, Lower: make([]float64, len(n.x)), Upper: hi, Goal: Untargeted(n.label, 3)}
}

// distance returns the exact least Linf distance at which another class scores at least as much, when it is less than most: the
// activation patterns that the ball of that radius meets are enumerated, and the distance within each is a linear program in
// rationals.
func (n *tiny) distance(most float64) (float64, bool) {
	d := len(n.x)
	lo, hi := exact.Zeros(d+1), exact.Zeros(d+1)
	for i := range d {
		hi[i] = exact.Rat(1)
	}
	hi[d] = exact.Rat(most)
	s := &enumeration{n: n, best: exact.Rat(most), lp: exact.NewLP(lo, hi)}
	cost := exact.Zeros(d + 1)
	cost[d] = exact.Rat(1)
	s.lp.SetObjective(cost)
	rows := make([][]*big.Rat, d)
	for i, x := range n.x {
		up, down := exact.Zeros(d+1), exact.Zeros(d+1)
		up[i], up[d], down[i], down[d] = exact.Rat(1), exact.Rat(-1), exact.Rat(-1), exact.Rat(-1)
		s.lp.AddRow(up, exact.Rat(x))
		s.lp.AddRow(down, exact.Rat(-x))
		rows[i] = exact.Zeros(d + 1)
		rows[i][i] = exact.Rat(1)
	}
	s.layer(s.lp, 0, rows)
	v, _ := s.best.Float64()
	return v, s.found
}

// enumeration goes through the activation patterns. Affine functions of the input are rows of d coefficients and the constant.
type enumeration struct {
	n     *tiny
	best  *big.Rat
	found bool
	lp    *exact.LP
}

// layer composes the next affine layer with the functions in and goes through its phases.
func (s *enumeration) layer(lp *exact.LP, l int, in [][]*big.Rat) {
	d := len(s.n.x)
	out := make([][]*big.Rat, len(s.n.w[l]))
	for j, w := range s.n.w[l] {
		out[j] = exact.Zeros(d + 1)
		out[j][d].Set(exact.Rat(s.n.b[l][j]))
		for i, c := range w {
			for k := range out[j] {
				out[j][k].Add(out[j][k], new(big.Rat).Mul(exact.Rat(c), in[i][k]))
			}
		}
	}
	if l == len(s.n.w)-1 {
		for j := range out {
			if j != s.n.label {
				s.solve(lp, minus(out[s.n.label], out[j]), true)
			}
		}
		return
	}
	s.phases(lp, l, 0, out)
}

func minus(a, b []*big.Rat) []*big.Rat {
	c := exact.Zeros(len(a))
	for k := range c {
		c[k].Sub(a[k], b[k])
	}
	return c
}

// phases fixes neuron j of layer l to either side and goes on.
func (s *enumeration) phases(lp *exact.LP, l, j int, out [][]*big.Rat) {
	if j == len(out) {
		s.layer(lp, l+1, out)
		return
	}
	zero := exact.Zeros(len(out[j]))
	for _, active := range []bool{true, false} {
		f := out[j]
		if active {
			f = minus(zero, f)
		}
		next := s.solve(lp, f, false)
		if next == nil {
			continue
		}
		rest := append([][]*big.Rat(nil), out...)
		if !active {
			rest[j] = zero
		}
		s.phases(next, l, j+1, rest)
	}
}

// solve adds f ≤ 0 and returns the program if something of it is closer than the best; a goal makes that the best.
func (s *enumeration) solve(lp *exact.LP, f []*big.Rat, goal bool) *exact.LP {
	d := len(s.n.x)
	next := lp.Clone()
	row := append([]*big.Rat(nil), f...)
	row[d] = new(big.Rat)
	next.AddRow(row, new(big.Rat).Neg(f[d]))
	sol := next.Solve()
	if sol.Status != exact.Optimal || sol.Value.Cmp(s.best) >= 0 {
		return nil
	}
	if goal {
		s.best, s.found = sol.Value, true
	}
	return next
}

// TestExactDistance compares attacks in Linf with the exact distance on 100 networks on which that is below a quarter: none is
// ever below it, and those with random starts come within two percent of it on 95 of 100.
func TestExactDistance(t *testing.T) {
	attacks := []struct {
		name   string
		within int // networks on which it must be within two percent
	}{
		{"fab:restarts=20", 97}, {"fab:targets=2,restarts=10", 96}, {"cw-linf:restarts=10,steps=50", 96},
		{"pgd:steps=40,restarts=100,loss=margin", 95},
		{"deepfool", 18},
	}
	within := make([]int, len(attacks))
	const limit = 0.25
	nets := 0
	wanted := 100
	if testing.Short() {
		wanted = 20
	}
	for seed := uint64(0); nets < wanted; seed++ {
		n := newTiny(t, seed)
		dist, best := make([]float64, len(attacks)), math.Inf(1)
		for k, a := range attacks {
			dist[k] = math.Inf(1)
			if m, _, _ := Parse(a.name); m.Minimal {
				dist[k] = attack(t, a.name, n.model, n.task(), Options{Norm: Linf, Eps: math.Inf(1)}).Distance
				best = min(best, dist[k])
			}
		}
		if best == 0 { // a tie at the input
			continue
		}
		d, ok := n.distance(min(limit, 1.05*best))
		if !ok {
			if best < limit {
				t.Errorf("seed %d: an attack at %v, the exact search finds nothing", seed, best)
			}
			continue
		}
		nets++
		for k, a := range attacks {
			if m, _, _ := Parse(a.name); !m.Minimal {
				if r := attack(t, a.name, n.model, n.task(), Options{Norm: Linf, Eps: 1.02 * d}); r.Status == Found {
					dist[k] = r.Distance
				}
			}
			if dist[k] < d*(1-1e-12) {
				t.Errorf("seed %d: %s at %v, below the exact %v", seed, a.name, dist[k], d)
			}
			if dist[k] <= 1.02*d {
				within[k]++
			}
			if nets <= 20 {
				if r := attack(t, a.name, n.model, n.task(), Options{Norm: Linf, Eps: d * (1 - 1e-6)}); r.Status != Failed {
					t.Errorf("seed %d: %s %v below the exact distance", seed, a.name, r.Status)
				}
			}
		}
		if nets <= 12 {
			n.check(t, seed, d)
		}
	}
	for k, a := range attacks {
		t.Logf("%s: within two percent on %d of %d", a.name, within[k], nets)
		if !testing.Short() && within[k] < a.within {
			t.Errorf("%s is within two percent on %d of %d, want %d", a.name, within[k], nets, a.within)
		}
	}
}

// check asks the verifier whether the exact distance is one.
func (n *tiny) check(t *testing.T, seed uint64, d float64) {
	for _, c := range []struct {
		factor float64
		want   verify.Verdict
	}{{1 - 1e-4, verify.Holds}, {1 + 1e-4, verify.Violated}} {
		r, err := verify.Program(context.Background(), n.program, spec.LinfBall(n.x, d*c.factor, 0, 1, n.label, 3),
			verify.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != c.want {
			t.Errorf("seed %d: %v times the exact distance %v is %v", seed, c.factor, d, r.Verdict)
		}
	}
}

// several returns forty tasks about random inputs.
func (n *tiny) several() []Task {
	rng := rand.New(rand.NewPCG(10, 10))
	var tasks []Task
	for range 40 {
		task := n.task()
		task.X = make([]float64, len(n.x))
		for i := range task.X {
			task.X[i] = float64(float32(rng.Float64()))
		}
		tasks = append(tasks, task)
	}
	return tasks
}
