package evasion

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestEstimators: on a linear loss the estimates of both kinds of directions have the slopes as their mean and the variance of
// theory, inside the box and at its faces, where the pairs are cut.
func TestEstimators(t *testing.T) {
	const d, pairs = 12, 4000
	b := halfSpace(t, 1, d)
	b.c += 100 // never reached
	task := b.task()
	task.Goal = Untargeted(0, 2)
	b.model = affine(t, [][]float64{b.w, make([]float64, d)}, []float64{b.c, 0})
	for name, draw := range map[string]func(*rand.Rand) float64{"gaussian": gaussian, "rademacher": rademacher} {
		for face := range 3 {
			with(t, b.model, task, Options{Norm: L2, Eps: math.Inf(1)}, func(p *Probe) {
				x, g := slices.Clone(p.X0), make([]float64, d)
				for i := range x {
					if face == 1 && i%2 == 0 {
						x[i] = p.Lo[i]
					} else if face == 2 {
						x[i] = p.Hi[i]
					}
				}
				e := p.newEstimator(Margin, draw, 0x1p-6, pairs)
				v, ok := e.at(x, g)
				if want := -dot(b.w, x) - b.c; !ok || math.Abs(v-want) > 1e-9 {
					t.Errorf("%s: loss %v at x, want %v", name, v, want)
				}
				chi := 0.0
				for i, w := range b.w {
					sigma := math.Sqrt((dot(b.w, b.w) - w*w) / pairs)
					z := (g[i] + w) / sigma // the loss climbs against w
					if chi += z * z / d; !(math.Abs(z) < 5) {
						t.Errorf("%s, face %d: slope %d is %v, want %v ± %v", name, face, i, g[i], -w, sigma)
					}
				}
				if !(chi > 0.2 && chi < 3) {
					t.Errorf("%s, face %d: the errors are %v of what theory says", name, face, chi)
				}
			})
		}
	}
}

// TestDifferences: central differences of a linear function are exact to rounding, at faces of the box too; a coordinate
// without room has none, and those beyond the budget have none.
func TestDifferences(t *testing.T) {
	const d = 10
	b := halfSpace(t, 2, d)
	b.model = affine(t, [][]float64{b.w, make([]float64, d)}, []float64{100, 0})
	task := b.task()
	task.Upper[3], task.Lower[3] = b.x[3], b.x[3]
	for _, limit := range []int{0, 14} {
		r := with(t, b.model, task, Options{Norm: L2, Eps: math.Inf(1), Queries: limit}, func(p *Probe) {
			x, g, coords := slices.Clone(p.X0), make([]float64, d), p.Rng.Perm(d)
			x[1], x[2] = p.Lo[1], p.Hi[2]
			f := func(_, y []float64) float64 { return y[0] }
			v, ok := p.differences(f, x, coords, 0x1p-10, rows(2*d+1, d), g)
			if want := dot(b.w, x) + 100; !ok || math.Abs(v-want) > 1e-12*want {
				t.Errorf("value %v, want %v", v, want)
			}
			for k, i := range coords {
				want := b.w[i]
				if i == 3 || limit > 0 && k >= 6 { // 14 − the input − x, in pairs
					want = 0
				}
				// The values are near 100 and known to a few units in the last place, the distance is 2⁻⁹ or half of it.
				if math.Abs(g[k]-want) > 100*4*0x1p-52/0x1p-10 {
					t.Errorf("limit %d: slope %d is %v, want %v", limit, i, g[k], want)
				}
			}
		})
		if want := map[int]int{0: 2*d + 2, 14: 14}[limit]; r.Queries != want {
			t.Errorf("limit %d: %d queries, want %d", limit, r.Queries, want)
		}
	}
}

// TestFlatStart: where no slope shows the way, ZOO begins on the other side.
func TestFlatStart(t *testing.T) {
	model := kinked(t, 3, -1, unit{[]float64{1, 0, 0}, -0.75, 8})
	task := Task{X: []float64{0.5, 0.5, 0.5}, Lower: make([]float64, 3), Upper: []float64{1, 1, 1}, Goal: Untargeted(0, 2)}
	r := attack(t, "zoo", model, task, Options{Norm: L2, Eps: math.Inf(1), Queries: 2000})
	if r.Status != Found || r.Distance > 0.375*1.01 {
		t.Errorf("%v at %v, the goal is at 0.375", r.Status, r.Distance)
	}
}

// TestMultiplier: the point of the multiplier has the value asked for, with some inputs at their ends; no multiplier is needed
// for what is there, and too much is asked for with any.
func TestMultiplier(t *testing.T) {
	b := halfSpace(t, 4, 12)
	with(t, b.model, b.task(), Options{Norm: L2, Eps: math.Inf(1)}, func(p *Probe) {
		most := 0.0
		for i, w := range b.w {
			most += max(w*(p.Hi[i]-p.X0[i]), w*(p.Lo[i]-p.X0[i]))
		}
		for _, share := range []float64{0.1, 0.5, 0.9, 0.99} {
			x := slices.Clone(p.X0)
			x[0] = p.Hi[0] // some way is gone already, or to be undone
			before := dot(b.w, x)
			gap := share*most - before + dot(b.w, p.X0)
			mu := p.multiplier(x, b.w, gap)
			for i, x0 := range p.X0 {
				x[i] = min(max(x0+mu*b.w[i], p.Lo[i]), p.Hi[i])
			}
			if got := dot(b.w, x) - before; math.Abs(got-gap) > 1e-9 {
				t.Errorf("share %v: rises by %v, want %v", share, got, gap)
			}
		}
		if mu := p.multiplier(slices.Clone(p.X0), b.w, 2*most); !(mu > 1e6 && finite(mu)) {
			t.Errorf("multiplier %v for a rise out of reach", mu)
		}
		if mu := p.multiplier(slices.Clone(p.X0), make([]float64, 12), 1); mu != 0 {
			t.Errorf("multiplier %v without slopes", mu)
		}
	})
}

// TestTiles has layouts of pictures and vectors.
func TestTiles(t *testing.T) {
	for _, c := range []struct {
		shape []int
		n     int
		side  int
		want  []int
		count int
	}{
		{[]int{1, 2, 4}, 8, 2, []int{0, 0, 1, 1, 2, 2, 3, 3}, 4},
		{[]int{2, 2, 3}, 12, 1, []int{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1}, 2},
		{[]int{1, 1, 3, 3}, 9, 2, []int{0, 0, 1, 0, 0, 1, 2, 2, 3}, 4},
		{[]int{2, 1, 2}, 4, 9, []int{0, 1, 2, 3}, 4},
		{[]int{7}, 7, 2, []int{0, 0, 1, 1, 2, 2, 3}, 4},
		{[]int{1, 2, 2}, 4, 0, []int{0, 1, 2, 3}, 4},
		{[]int{3}, 3, 0, []int{0, 1, 2}, 3},
	} {
		if got, count := tiles(c.shape, c.n, c.side); !slices.Equal(got, c.want) || count != c.count {
			t.Errorf("tiles of %v, %d a side: %v, %d of them; want %v, %d", c.shape, c.side, got, count, c.want, c.count)
		}
	}
}

// TestFinerTiles: tiles that are divided keep what is known, and weights that alternate from input to input are found.
func TestFinerTiles(t *testing.T) {
	shape := []int{1, 8, 8}
	x, w := slices.Repeat([]float64{0.5}, 64), make([]float64, 64)
	for i := range w {
		w[i] = float64(1-2*((i+i/8)%2)) / 8
	}
	model := affine(t, [][]float64{w, make([]float64, 64)}, []float64{0.75, 0})
	task := Task{X: x, Goal: Untargeted(0, 2)} // in Linf 3/32 away
	for _, norm := range []Norm{Linf, L2} {
		eps := map[Norm]float64{Linf: 0.125, L2: 0.8}[norm]
		if r := attack(t, "bandits:tiles=4", model, task, Options{Norm: norm, Eps: eps, Shape: shape}); r.Status != Found {
			t.Errorf("%v: %v, best margin %v", norm, r.Status, r.Best)
		}
	}
	with(t, model, task, Options{Norm: L2, Eps: 1, Shape: shape}, func(p *Probe) {
		p.params = map[string]float64{"tiles": 2}
		s := newBandits(p)
		for k := range s.prior {
			s.prior[k] = float64(k + 1)
		}
		old := slices.Clone(s.tile)
		for _, side := range []int{4, 0} {
			s.divide(side)
			for i, k := range s.tile {
				if s.prior[k] != float64(old[i]+1) {
					t.Errorf("%d tiles a side: input %d has %v, want %v", side, i, s.prior[k], old[i]+1)
				}
			}
		}
	})
}
