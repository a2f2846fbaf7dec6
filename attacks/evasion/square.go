package evasion

import (
	"math"

	"github.com/spai-project/certify/attacks/access"
)

// The Square attack (Andriushchenko, Croce, Flammarion and Hein, "Square attack: a query-efficient black-box adversarial attack via
// random search", 2020): change the perturbation inside a random window that shrinks with time, and keep the change when the loss
// rises. For Linf every input stays at an end of its range, a window taking one sign for every channel; for L2 and L1 the
// perturbation of one window moves into another, as a bump, and takes up what length is unused. Of a vector, windows are runs.
var _ = register(&Method{Name: "square", Doc: "random search by windows at the surface of the ball", Needs: access.NeedScores,
	Source: "Andriushchenko, Croce, Flammarion, Hein: Square attack: a query-efficient black-box adversarial attack via random search, 2020",
	Norms:  []Norm{Linf, L2, L1},
	Params: []Param{{Name: "steps", Default: 10000, Doc: "queries of a start"}, {Name: "restarts", Default: 1, Doc: "starts"},
		{Name: "p", Default: 0, Doc: "share of the inputs in the first windows; 0: 0.8 for Linf, 0.1 for the others"}, lossParam(Margin)},
	run: func(p *Probe) {
		s := &square{p: p, loss: Loss(p.Int("loss")), share: p.Float("p"), x: make([]float64, len(p.X0)), y: make([]float64, len(p.X0))}
		if s.share == 0 {
			if s.share = 0.1; p.Norm == Linf {
				s.share = 0.8
			}
		}
		s.radius = p.Radius() * (1 - 0x1p-16) // rounding to float32 does not leave the ball, projections do nothing
		s.channels, s.height, s.width = picture(p.Shape, len(p.X0))
		n := max(1, p.Int("restarts"))
		steps := max(1, min(p.Int("steps"), p.Left()/n)) // the schedule fits the budget
		for range n {
			if !s.search(steps) {
				return
			}
		}
	}})

// square is one run of the Square attack.
type square struct {
	p                       *Probe
	loss                    Loss
	share, radius           float64
	channels, height, width int
	x, y                    []float64 // the best point, the next
	bump                    []float64
}

// search runs one start. It returns false when the attack must return.
func (s *square) search(steps int) bool {
	if s.p.Norm == Linf {
		s.stripes()
	} else {
		s.bumps()
	}
	best := math.Inf(-1)
	copy(s.y, s.x)
	for t := range steps {
		if t > 0 {
			h, w := s.window(schedule(s.share, t-1, steps))
			copy(s.y, s.x)
			if s.p.Norm == Linf {
				s.paint(h, w)
			} else {
				s.move(h, w)
			}
		}
		out, ok := s.p.Scores(s.y)
		if !ok {
			return false
		}
		if v := s.loss.Value(s.p.Goal, s.y, out, nil, nil); v > best || t == 0 {
			best = v
			copy(s.x, s.y)
		}
	}
	return true
}

// schedule is the share of the inputs in a window at step t: halved at given steps of 10000, scaled to the number of steps.
func schedule(share float64, t, steps int) float64 {
	t = int(float64(t) / float64(steps) * 10000)
	for _, at := range [...]int{10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000} {
		if t <= at {
			break
		}
		share /= 2
	}
	return share
}

// window returns the sides of a window with a share of the inputs: a square, or a run where a square does not fit. A bump has sides of
// at least three, of a vector two.
func (s *square) window(share float64) (h, w int) {
	least := 1
	if s.p.Norm != Linf {
		least = min(3, s.height+1)
	}
	area := share * float64(s.height*s.width)
	h = min(max(int(math.Round(math.Sqrt(area))), least), s.height)
	w = h
	if h == s.height {
		w = max(int(math.Round(area/float64(h))), least)
	}
	return h, min(w, s.width)
}

// place draws the corner of a window.
func (s *square) place(h, w int) (y, x int) {
	return s.p.Rng.IntN(s.height - h + 1), s.p.Rng.IntN(s.width - w + 1)
}

// stripes stores the first point for Linf: vertical stripes with random signs.
func (s *square) stripes() {
	for c := range s.channels {
		for x := range s.width {
			s.fill(s.x, s.p.Rng.Uint64()&1 == 0, c, 0, x, s.height, 1)
		}
	}
}

// fill moves a window of one channel to the upper or lower ends and reports whether anything changed.
func (s *square) fill(dst []float64, up bool, c, y, x, h, w int) (changed bool) {
	end := s.p.Lo
	if up {
		end = s.p.Hi
	}
	for r := range h {
		at := (c*s.height+y+r)*s.width + x
		for i := at; i < at+w; i++ {
			changed = changed || dst[i] != end[i]
			dst[i] = end[i]
		}
	}
	return changed
}

// paint gives a window of the next point a random sign in every channel; when nothing changes by that, the opposite ones.
func (s *square) paint(h, w int) {
	y, x := s.place(h, w)
	signs := s.p.Rng.Uint64()
	for range 2 {
		changed := false
		for c := range s.channels {
			up := signs>>(c%64)&1 == 0
			changed = s.fill(s.y, up, c, y, x, h, w) || changed
		}
		if changed {
			return
		}
		signs = ^signs
	}
}

// bumps stores the first point for L2 and L1: bumps of random sign all over the picture, scaled to the radius.
func (s *square) bumps() {
	p := s.p
	side, run := s.window(s.share)
	delta := make([]float64, len(s.x))
	for y := 0; y < s.height; y += side {
		for x := 0; x < s.width; x += run {
			for c := range s.channels {
				s.draw(side, run)
				for r := range min(side, s.height-y) {
					for k := range min(run, s.width-x) {
						delta[(c*s.height+y+r)*s.width+x+k] = s.bump[r*run+k]
					}
				}
			}
		}
	}
	scale := s.radius / max(s.p.Norm.length(delta), math.SmallestNonzeroFloat64)
	for i, d := range delta {
		s.x[i] = p.X0[i] + scale*d
	}
	p.project(s.x, p.Radius())
}

// draw stores a bump for a window in s.bump, of length 1 and random sign: halves with opposite signs, each a pile of nested rectangles.
func (s *square) draw(h, w int) {
	s.bump = grow(s.bump, h*w)
	v := 1.0
	if s.p.Rng.Uint64()&1 == 0 {
		v = -1
	}
	if across := s.p.Rng.Uint64()&1 == 0; w > 1 && (across || h == 1) {
		pile(s.bump, w, 0, 0, h, w/2, v)
		pile(s.bump, w, 0, w/2, h, w-w/2, -v)
	} else if h > 1 {
		pile(s.bump, w, 0, 0, h/2, w, v)
		pile(s.bump, w, h/2, 0, h-h/2, w, -v)
	} else {
		s.bump[0] = v
	}
	n := s.p.Norm.length(s.bump)
	for i := range s.bump {
		s.bump[i] /= n
	}
}

// pile fills a part of a window of the given width with rectangles inside each other, the inner ones adding more.
func pile(bump []float64, width, y0, x0, h, w int, v float64) {
	middle := (min(h, w) + 1) / 2
	for y := range h {
		for x := range w {
			sum := 0.0
			for k := 0; k <= min(y, x, h-1-y, w-1-x); k++ {
				sum += 1 / float64((middle-k)*(middle-k))
			}
			bump[(y0+y)*width+x0+x] = v * sum
		}
	}
}

// move empties one window of the next point's perturbation and adds a bump to another, which gets the length of both in every channel
// and an equal part of what is unused of the radius.
func (s *square) move(h, w int) {
	p := s.p
	y1, x1 := s.place(h, w)
	y2, x2 := s.place(h, w)
	for i, x0 := range p.X0 {
		s.y[i] -= x0
	}
	unused := max(0, s.measure(s.radius)-s.measure(s.p.Norm.length(s.y))) / float64(s.channels)
	for c := range s.channels {
		s.draw(h, w)
		have := 0.0 // in the first window
		s.each(c, y1, x1, h, w, func(i, _ int) { have += s.measure(s.y[i]) })
		size := 0.0 // with the second
		s.each(c, y2, x2, h, w, func(i, _ int) { size += s.measure(s.y[i]) })
		s.each(c, max(y1, y2), max(x1, x2), h-abs(y1-y2), w-abs(x1-x2), func(i, _ int) { size -= s.measure(s.y[i]) })
		size = max(0, size) + have
		s.each(c, y1, x1, h, w, func(i, k int) {
			if have > 0 {
				s.bump[k] += s.y[i] / s.unmeasure(have)
			}
		})
		s.each(c, y2, x2, h, w, func(i, _ int) { s.y[i] = 0 })
		if s.p.Norm.length(s.bump) < 1e-6 { // what was there is the bump's opposite
			s.draw(h, w)
		}
		scale := s.unmeasure(size+unused) / s.p.Norm.length(s.bump)
		s.each(c, y1, x1, h, w, func(i, k int) { s.y[i] = scale * s.bump[k] })
	}
	for i, x0 := range p.X0 {
		s.y[i] += x0
	}
	p.project(s.y, p.Radius())
}

// each calls f with the coordinates of a window and their places in it.
func (s *square) each(c, y, x, h, w int, f func(i, k int)) {
	for r := range max(0, h) {
		for k := range max(0, w) {
			f((c*s.height+y+r)*s.width+x+k, r*w+k)
		}
	}
}

// measure is what lengths are sums of: squares for L2.
func (s *square) measure(v float64) float64 {
	if s.p.Norm == L2 {
		return v * v
	}
	return math.Abs(v)
}

func (s *square) unmeasure(v float64) float64 {
	if s.p.Norm == L2 {
		return math.Sqrt(v)
	}
	return v
}

func abs(k int) int { return max(k, -k) }
