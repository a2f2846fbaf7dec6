package attacks

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/nn/spec"
)

var _ = register("scores", "for networks without bounds and gradients: lattice points of small boxes, samples, and evolution from the best")

// SearchScores looks for an input of pr that violates it as m evaluates it, through evaluations alone: for networks with operators that
// have neither rigorous bounds nor gradients. Candidates that accept refuses are passed over. It returns nil without error when it found
// none within opt.Time or ctx, or the number of evaluations opt.Work. What it returns is on the float32 grid inside the decimal box; it
// is a violation as far as accept says, and proved by nothing here. The result is a function of the arguments unless time cuts it.
func SearchScores(ctx context.Context, m access.Scores, pr *spec.Problem, accept func(x []float64) bool, opt Options) ([]float64, error) {
	if in, out := m.Dims(); in != pr.NumInputs || out != pr.NumOutputs {
		return nil, fmt.Errorf("attacks: the network has %d inputs and %d outputs, the problem %d and %d", in, out, pr.NumInputs, pr.NumOutputs)
	}
	if opt.Time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, opt.Time)
		defer cancel()
	}
	s := &scoresSearch{m: m, pr: pr, rng: rand.New(rand.NewPCG(opt.Seed, 0x73636f726573)), left: opt.Work}
	if s.left <= 0 {
		s.left = math.MaxInt64
	}
	for b := range pr.Boxes {
		s.boxes = append(s.boxes, newScoresBox(pr, b))
	}
	for round := 0; ; round++ {
		for i := range s.boxes {
			x, err := s.round(ctx, &s.boxes[i], round, accept)
			if x != nil || err != nil {
				return x, err
			}
			if ctx.Err() != nil || s.left <= 0 {
				return nil, nil
			}
		}
		if len(s.boxes) == 0 {
			return nil, nil
		}
	}
}

type scoresSearch struct {
	m     access.Scores
	pr    *spec.Problem
	rng   *rand.Rand
	boxes []scoresBox
	left  int64
}

// scoresBox is a box with what was seen in it.
type scoresBox struct {
	box    int
	cases  []int
	active []int
	side   []int // lattice points of every active input, when they are few
	total  int   // lattice points of the box, 0: too many
	next   int
	alpha  []float64
	shift  int
	elites []elite
}

const (
	scoresBatch  = 32      // points of a round
	latticeLimit = 1 << 20 // beyond this many lattice points a box is sampled
)

func newScoresBox(pr *spec.Problem, b int) scoresBox {
	s := scoresBox{box: b, active: active(&pr.Boxes[b]), total: 1}
	for i := range pr.Cases {
		if pr.Cases[i].Box == b {
			s.cases = append(s.cases, i)
		}
	}
	for _, i := range s.active {
		n := int(min(math.Floor(float64(pr.Boxes[b].InUpper[i]))-math.Ceil(float64(pr.Boxes[b].InLower[i]))+1, latticeLimit))
		s.side = append(s.side, n)
		if s.total *= max(n, 0); s.total > latticeLimit {
			s.total = 0
		}
	}
	s.alpha = kronecker(max(len(s.active), 1))
	return s
}

// round evaluates a batch of points of a box: the elementary ones first, then in turn lattice points, samples and offspring of the best.
func (s *scoresSearch) round(ctx context.Context, b *scoresBox, round int, accept func(x []float64) bool) ([]float64, error) {
	n := s.pr.NumInputs
	xs := make([]float64, scoresBatch*n)
	for k := range scoresBatch {
		s.point(b, round*scoresBatch+k, k, xs[k*n:(k+1)*n])
	}
	out := s.pr.NumOutputs
	ys := make([]float64, scoresBatch*out)
	if err := s.evaluate(ctx, xs, ys); err != nil {
		if ctx.Err() != nil {
			return nil, nil
		}
		return nil, err
	}
	s.left -= scoresBatch
	for k := range scoresBatch {
		x, y := xs[k*n:(k+1)*n], ys[k*out:(k+1)*out]
		best := math.Inf(-1)
		for _, ci := range b.cases {
			m, _ := s.pr.Cases[ci].Margin(x, y)
			if m > best {
				best = m
			}
		}
		if best >= 0 && accept(x) {
			return slices.Clone(x), nil
		}
		b.elites = append(b.elites, elite{x: x, margin: best})
	}
	slices.SortStableFunc(b.elites, func(p, q elite) int {
		switch {
		case p.margin > q.margin:
			return -1
		case p.margin < q.margin:
			return 1
		}
		return 0
	})
	b.elites = b.elites[:min(len(b.elites), eliteSize)]
	return nil, nil
}

// point stores the number-th point of a box, the k-th of its batch.
func (s *scoresSearch) point(b *scoresBox, number, k int, x []float64) {
	box := &s.pr.Boxes[b.box]
	put := func(i int, v float64) {
		x[i] = float64(float32(min(max(v, float64(box.InLower[i])), float64(box.InUpper[i]))))
	}
	for i := range x {
		x[i] = float64(box.InLower[i])
	}
	kind := k % 4 // 3: offspring; the others are lattice points as long as there are any, then samples
	lattice := number > 2 && kind < 3 && b.next < b.total
	for a, i := range b.active {
		lo, w := float64(box.InLower[i]), float64(box.InUpper[i])-float64(box.InLower[i])
		switch {
		case number == 0:
			put(i, lo+w/2)
		case number <= 2:
			put(i, lo+w*float64(number-1))
		case kind == 3 && len(b.elites) > 0 && !lattice:
			e := &b.elites[k/4%len(b.elites)]
			put(i, e.x[i])
			if s.rng.IntN(3) > 0 {
				put(i, e.x[i]+w*math.Ldexp(1, -1-number/scoresBatch%12)*s.rng.NormFloat64())
			}
		case !lattice:
			t := math.Mod(0.5+float64(b.shift+1)*b.alpha[a], 1)
			if s.rng.IntN(4) == 0 {
				t = math.Round(t)
			}
			put(i, lo+w*t)
		}
	}
	b.shift++
	if lattice {
		at := b.next * s.stride(b.total) % b.total
		b.next++
		for a, i := range b.active {
			put(i, math.Ceil(float64(box.InLower[i]))+float64(at%b.side[a]))
			at /= b.side[a]
		}
	}
}

// stride is a number prime to n near n divided by the golden ratio: its multiples visit everything, scattered.
func (s *scoresSearch) stride(n int) int {
	k := max(int(float64(n)/1.618), 1)
	for gcd(k, n) != 1 {
		k++
	}
	return k
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// evaluate shares the points out to the processors.
func (s *scoresSearch) evaluate(ctx context.Context, xs, ys []float64) error {
	n, out := s.pr.NumInputs, s.pr.NumOutputs
	workers := min(runtime.GOMAXPROCS(0), scoresBatch)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		from, to := w*scoresBatch/workers, (w+1)*scoresBatch/workers
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil { // a defect of the model's, told instead of ending the program
					errs[w] = fmt.Errorf("attacks: internal error: %v", p)
				}
			}()
			errs[w] = s.m.Scores(ctx, access.Batch{N: to - from, X: xs[from*n : to*n], Draws: make([]uint64, to-from)}, ys[from*out:to*out])
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
