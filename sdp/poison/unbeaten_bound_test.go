package poison

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	attack "github.com/spai-project/certify/attacks/poison"
	"github.com/spai-project/certify/nn/data"
)

// TestUnbeatenBound inserts ⌊εn⌋ points of every attack of package attacks/poison, as they are and moved to where the filter
// keeps them, and those of the strongest attack, and trains to the minimum on what the filter leaves: neither the clean loss nor
// the whole one exceeds the bound. The strongest attack must come near enough, and exceed it with three times the points.
func TestUnbeatenBound(t *testing.T) {
	cases := 160
	if testing.Short() {
		cases = 16
	}
	var attacks, near, fixed, beyond, kept int
	names := map[string]bool{}
	for n := range cases {
		r := rand.New(rand.NewPCG(uint64(n), 79))
		b := blobs(r, 2*(10+r.IntN(11)), 2+r.IntN(3), true)
		f := drawFilter(t, r, b)
		m := 2 + r.IntN(b.Len()/4)
		o := Options{Epsilon: float64(m) / float64(b.Len()), NormSquared: []float64{0.5, 2, 8}[r.IntN(3)], Iterations: 300, Rate: 0.3,
			Workers: 1}
		s, err := Bound(t.Context(), b, f, o)
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Certificate("toy", [2]int{0, 1}, b, f, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Check(b); err != nil {
			t.Fatal(err)
		}
		g := &arena{t, r, b, f, o.NormSquared}
		all := g.registry(m, names)
		for _, p := range slices.Clone(all) {
			all = append(all, g.moved(p))
		}
		strongest := g.strongest(s, m)
		most := 0.0
		for _, p := range append(all, strongest, g.decoys(m)) {
			left := g.filter(p)
			attacks++
			kept += left.Len()
			e := g.train(left)
			if p == strongest {
				most = e.least
			}
			if e.least > c.Bound || e.clean > c.Bound+(e.total-e.least) {
				t.Errorf("case %d, %+v, %+v: %d points that the filter leaves bring the loss to %v, of clean items to %v; the bound is %v",
					n, f, o, left.Len(), e.least, e.clean, c.Bound)
			}
		}
		if !f.Moving {
			fixed++
			if most > 0.97*c.Bound {
				near++
			}
		}
		if g.train(g.filter(g.strongest(s, 3*m))).least > c.Bound {
			beyond++
		}
	}
	t.Logf("%d attacks, %d points left by the filters; %d of %d within 3 %% of bounds with fixed centroids; %d of %d beyond with "+
		"three times the points", attacks, kept, near, fixed, beyond, cases)
	if 5*near < 2*fixed || 2*beyond < cases {
		t.Error("too few")
	}
	for _, a := range attack.Attacks() {
		if !names[a.Name] {
			t.Errorf("the attack %s was not played", a.Name)
		}
	}
}

// An arena is where a bound is attacked.
type arena struct {
	t           *testing.T
	r           *rand.Rand
	b           *Binary
	f           *Filter
	normSquared float64
}

// registry returns what the attacks of the registry write when they may write m items: a flipped or changed one is a new item.
func (g *arena) registry(m int, names map[string]bool) (out []*Binary) {
	s := &data.Set{X: g.b.X, Shape: []int{g.b.D}}
	for i, y := range g.b.Y {
		s.Labels, s.Names = append(s.Labels, class(y)), append(s.Names, strconv.Itoa(i))
	}
	nets := surrogates(g.t, g.r.Uint64(), g.b.D, 2)
	goal := g.r.IntN(2)
	for _, text := range script(g.r, s, m, m, m, goal) {
		names[attack.LookupAttack(text).Name] = true
		target := slices.Index(s.Labels, 1-goal)
		p := incite(g.t, text, s, &attack.Options{Validation: s, Nets: nets, Target: s.Item(target), TargetLabel: 1 - goal,
			Classes: 2, Seed: g.r.Uint64(), Workers: 1})
		b := &Binary{D: g.b.D}
		for i := range p.Set.Len() {
			if b.Len() < m && p.Changed[i] {
				b.X, b.Y = append(b.X, p.Set.Item(i)...), append(b.Y, int8(2*p.Set.Labels[i]-1))
			}
		}
		out = append(out, b)
	}
	return out
}

// moved returns the points that are, or could be, moved to where a filter with fixed centroids passes them.
func (g *arena) moved(p *Binary) *Binary {
	out := &Binary{D: p.D}
	for i, y := range p.Y {
		if x := slices.Clone(p.Row(i)); pull(g.f, x, class(y)) {
			out.X, out.Y = append(out.X, x...), append(out.Y, y)
		}
	}
	return out
}

// pull projects on the conditions of a filter in turn.
func pull(f *Filter, x []float64, k int) bool {
	const inside = 1 - 1e-9
	dir, length := f.direction()
	for range 100 {
		sq, dot := 0.0, 0.0
		for j, v := range x {
			x[j] = min(max(v, f.Low), f.High)
			u := x[j] - f.Centroid[k][j]
			sq += u * u
			dot += u * dir[j] / length
		}
		shrink, along := 1.0, 0.0
		if d := math.Sqrt(sq); d > f.Radius[k] {
			shrink = f.Radius[k] / d * inside
		}
		if dot *= shrink; math.Abs(dot) > f.Width[k] {
			along = dot - math.Copysign(f.Width[k]*inside, dot)
		}
		for j, v := range x {
			x[j] = f.Centroid[k][j] + shrink*(v-f.Centroid[k][j])
			if along != 0 {
				x[j] -= along * dir[j] / length
			}
		}
		if f.passes(x, k, 0) {
			return true
		}
	}
	return false
}

// filter returns the points that the defence leaves. Centroids that move are taken again until no more points go.
func (g *arena) filter(p *Binary) *Binary {
	f := *g.f
	if f.Moving {
		all := &Binary{D: p.D, X: slices.Concat(g.b.X, p.X), Y: slices.Concat(g.b.Y, p.Y)}
		f.Centroid = [2][]float64{centroid(all, -1), centroid(all, 1)}
	}
	out := &Binary{D: p.D}
	for i, y := range p.Y {
		if f.passes(p.Row(i), class(y), 0) {
			out.X, out.Y = append(out.X, p.Row(i)...), append(out.Y, y)
		}
	}
	if f.Moving && out.Len() < p.Len() {
		return g.filter(out)
	}
	return out
}

// strongest begins with points that the search met, and puts them, one after the other, where the classifier that is trained on
// all of them does worst, as long as that raises the loss. With centroids that move, all are in one place.
func (g *arena) strongest(s *Search, m int) *Binary {
	best, most := &Binary{D: g.b.D}, math.Inf(-1)
	f := g.f.widened(g.b, float64(m)/float64(g.b.Len()))
	try := func(p *Binary) {
		if e := g.train(g.filter(p)); e.least > most {
			best, most = p, e.least
		}
	}
	w := newWorst(f)
	place := func(theta []float64) ([]float64, int8) {
		x := make([]float64, g.b.D)
		k, _ := w.find(theta, x)
		pull(f, x, k)
		return x, int8(2*k - 1)
	}
	if f.Moving = g.f.Moving; f.Moving {
		theta := s.Theta
		for range 6 {
			x, y := place(theta)
			p := &Binary{D: g.b.D}
			for range m {
				p.X, p.Y = append(p.X, x...), append(p.Y, y)
			}
			try(p)
			theta = g.train(p).theta
		}
		return best
	}
	p := &Binary{D: g.b.D}
	for range m {
		i := len(s.points)/3 + g.r.IntN(len(s.points)-len(s.points)/3)
		x, y := make([]float64, g.b.D), s.labels[i]
		for j, v := range s.points[i] {
			x[j] = float64(v)
		}
		if y == 0 {
			x, y = place(s.Theta)
		}
		pull(f, x, class(y))
		p.X, p.Y = append(p.X, x...), append(p.Y, y)
	}
	try(p)
	for i := range 2 * m {
		x, y := place(g.train(best).theta)
		p := &Binary{D: g.b.D, X: slices.Clone(best.X), Y: slices.Clone(best.Y)}
		copy(p.Row(i%m), x)
		p.Y[i%m] = y
		try(p)
	}
	return best
}

// decoys sacrifices some points, far away, to draw the centroid of a class to where others wait.
func (g *arena) decoys(m int) *Binary {
	p := &Binary{D: g.b.D}
	k := g.r.IntN(2)
	n := 0
	for _, y := range g.b.Y {
		if class(y) == k {
			n++
		}
	}
	far := m / 2
	dir, length := g.f.direction()
	shift := 20 * float64(2*k-1) // towards the other class and past it
	for i := range m {
		for j, v := range g.f.Centroid[k] {
			by := shift
			if i < far {
				by = shift * float64(n+far) / float64(far) // the others change nothing about the place where they wait
			}
			p.X = append(p.X, v+by*dir[j]/length)
		}
		p.Y = append(p.Y, int8(2*k-1))
	}
	return p
}

// An effect is what training to the minimum reaches, as means over the clean items.
type effect struct {
	theta        []float64
	total, clean float64 // the loss on clean items and points, and its clean part
	least        float64 // no θ in the ball has a smaller total
}

// train minimises the hinge loss on clean items and points in the ball. For multipliers λ of ½‖θ‖², coordinate ascent on the dual
// weights a_i ∈ [0, 1] gives θ = Σ a_i·y_i·x_i/λ; λ is bisected until ‖θ‖ = ρ. Every a bounds the minimum from below by Σ a_i −
// ρ‖Σ a_i·y_i·x_i‖, rounded by less than a part in 10¹².
func (g *arena) train(p *Binary) effect {
	d, rho := g.b.D+1, math.Sqrt(g.normSquared)
	var z []float64 // rows y·(x, 1)
	for _, b := range []*Binary{g.b, p} {
		for i, y := range b.Y {
			for _, v := range b.Row(i) {
				z = append(z, float64(y)*v)
			}
			z = append(z, float64(y))
		}
	}
	n := len(z) / d
	a, sum, sq := make([]float64, n), make([]float64, d), make([]float64, n)
	for i := range n {
		sq[i] = plainDot(z[i*d:][:d], z[i*d:][:d])
	}
	e := effect{theta: make([]float64, d), total: math.Inf(1)}
	theta := make([]float64, d)
	lo, hi := 1e-4, 1e6
	for e.total-e.least > 1e-5*float64(n) && hi/lo > 1+1e-9 {
		lambda := math.Sqrt(lo * hi)
		for range 60 {
			change := 0.0
			for i := range n {
				row := z[i*d:][:d]
				step := min(max(a[i]+(lambda-plainDot(row, sum))/sq[i], 0), 1) - a[i]
				if step != 0 {
					a[i] += step
					for j, v := range row {
						sum[j] += step * v
					}
					change = max(change, math.Abs(step))
				}
			}
			if change < 1e-7 {
				break
			}
		}
		weight := 0.0
		for _, v := range a {
			weight += v
		}
		length := norm(sum)
		e.least = max(e.least, (weight-rho*length)*(1-1e-12))
		for j, v := range sum {
			theta[j] = v / max(lambda, length/rho)
		}
		total, clean := 0.0, 0.0
		for i := range n {
			total += max(0, 1-plainDot(z[i*d:][:d], theta))
			if i == g.b.Len()-1 {
				clean = total
			}
		}
		if total < e.total {
			e.total, e.clean = total, clean
			copy(e.theta, theta)
		}
		if length > rho*lambda {
			lo = lambda
		} else {
			hi = lambda
		}
	}
	c := float64(g.b.Len())
	e.total, e.clean, e.least = e.total/c, e.clean/c, e.least/c
	return e
}
