package poison

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/data"
)

// EnsembleOptions say how an ensemble is trained. The zero value of a field stands for its default.
type EnsembleOptions struct {
	Models    int     // 0: 1200
	Copies    int     // models that train on each bucket: 0 or 1 is DPA, more is finite aggregation
	FlipsOnly bool    // buckets do not depend on labels, so that a flipped label reaches Copies models only (SS-DPA)
	Ridge     float64 // λ of the base models; 0: 0.001
	Seed      uint64  // of the shifts of finite aggregation
	Workers   int     // 0: as many as there are processors; the result does not depend on it
	// Progress is called after every model, unless it is nil; calls come one at a time.
	Progress func(done, total int)
}

// An Ensemble is models that were trained on parts of a data set and vote. Each is ridge regression on fixed features, with one
// column of ±targets for every class: a function of the items of its buckets and of nothing else, not even of their order.
type Ensemble struct {
	Spread  *Spread
	Classes int

	features *Features
	weights  []float32 // features×(models·Classes)
	workers  int
}

// TrainEnsemble trains on the labelled items of a set; labels are in [0, classes), at most 256. When ctx ends, its error is
// returned.
func TrainEnsemble(ctx context.Context, s *data.Set, classes int, o EnsembleOptions) (*Ensemble, error) {
	if o.Models == 0 {
		o.Models = 1200
	}
	if o.Copies == 0 {
		o.Copies = 1
	}
	if o.Ridge == 0 {
		o.Ridge = 0.001
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	switch {
	case classes < 2 || classes > 256:
		return nil, fmt.Errorf("poison: %d classes: want 2 to 256", classes)
	case o.Models < 1 || o.Models > 1<<16 || o.Copies < 1 || o.Copies > o.Models:
		return nil, fmt.Errorf("poison: %d models with %d copies: want 1 ≤ copies ≤ models ≤ 65536", o.Models, o.Copies)
	case !(o.Ridge > 0) || math.IsInf(o.Ridge, 1) || o.Workers < 1:
		return nil, fmt.Errorf("poison: ridge %v, %d workers: want positive numbers", o.Ridge, o.Workers)
	}
	if err := s.CheckLabels(classes); err != nil {
		return nil, fmt.Errorf("poison: %w", err)
	}
	e := &Ensemble{Spread: NewSpread(o.Models, o.Copies, o.Seed), Classes: classes, features: NewFeatures(s.Shape),
		workers: o.Workers}
	if int64(e.features.d)*int64(o.Models)*int64(classes) > 1<<28 {
		return nil, fmt.Errorf("poison: %d models of %d features for %d classes are more than %d weights", o.Models, e.features.d,
			classes, 1<<28)
	}
	e.weights = make([]float32, e.features.d*o.Models*classes)
	x, err := e.features.All(ctx, s, o.Workers)
	if err != nil {
		return nil, err
	}
	buckets := partition(s, o.Models, !o.FlipsOnly)
	if n := largest(buckets) * o.Copies; min(n, e.features.d) > maxSystem {
		return nil, fmt.Errorf("poison: a model of %d features would train on %d items: neither is at most %d; use more models",
			e.features.d, n, maxSystem)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	var lock sync.Mutex
	done := 0
	for range o.Workers {
		wg.Go(func() {
			for m := int(next.Add(1)) - 1; m < o.Models && ctx.Err() == nil; m = int(next.Add(1)) - 1 {
				var rows []int
				for _, b := range e.Spread.buckets(m) {
					rows = append(rows, buckets[b]...)
				}
				e.train(m, x, s.Labels, rows, o.Ridge)
				if o.Progress != nil {
					lock.Lock()
					done++
					o.Progress(done, o.Models)
					lock.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return e, ctx.Err()
}

// maxSystem bounds the size of a model's system of equations.
const maxSystem = 8192

// largest returns the number of items of the largest bucket.
func largest(buckets [][]int) int {
	n := 0
	for _, b := range buckets {
		n = max(n, len(b))
	}
	return n
}

// train solves for one model and stores its weights W: of (F·Fᵀ + λI)·A = Y, W = Fᵀ·A, and (FᵀF + λI)·W = Fᵀ·Y, which have the
// same solution, it takes the smaller system. A model without items has weights 0 and votes for class 0.
func (e *Ensemble) train(m int, x []float32, labels, rows []int, ridge float64) {
	d, n, classes := e.features.d, len(rows), e.Classes
	f := make([]float64, 0, n*d)
	y := make([]float64, n*classes)
	for i, r := range rows {
		for _, v := range x[r*d : (r+1)*d] {
			f = append(f, float64(v))
		}
		for c := range classes {
			y[i*classes+c] = -1 / float64(classes)
		}
		y[i*classes+labels[r]]++
	}
	w := make([]float64, d*classes)
	if n <= d {
		gram := make([]float64, n*n)
		for i := range n {
			for j := range i + 1 {
				gram[i*n+j] = plainDot(f[i*d:(i+1)*d], f[j*d:(j+1)*d])
			}
			gram[i*n+i] += ridge
		}
		factorise(gram, n)
		substitute(gram, y, n, classes)
		addTransposed(w, f, y, n, d, classes)
	} else {
		gram := make([]float64, d*d)
		addTransposed(gram, f, f, n, d, d)
		for j := range d {
			gram[j*d+j] += ridge
		}
		addTransposed(w, f, y, n, d, classes)
		factorise(gram, d)
		substitute(gram, w, d, classes)
	}
	width := e.Spread.Buckets * classes
	for t := range d {
		for c := range classes {
			e.weights[t*width+m*classes+c] = float32(w[t*classes+c])
		}
	}
}

// plainDot adds in order.
func plainDot(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// addTransposed adds aᵀ·b to dst, for a of n rows of d and b of n rows of k.
func addTransposed(dst, a, b []float64, n, d, k int) {
	for i := range n {
		for t, v := range a[i*d : (i+1)*d] {
			row := dst[t*k : (t+1)*k]
			for c, u := range b[i*k : (i+1)*k] {
				row[c] += v * u
			}
		}
	}
}

// Votes returns the vote of every model for every item of a set: one row of Spread.Buckets votes for each. Among equal scores the
// lowest class is taken. When ctx ends, its error is returned.
func (e *Ensemble) Votes(ctx context.Context, s *data.Set) ([]uint8, error) {
	if NewFeatures(s.Shape).d != e.features.d {
		return nil, fmt.Errorf("poison: items of shape %v do not go with the training data", s.Shape)
	}
	x, err := e.features.All(ctx, s, e.workers)
	if err != nil {
		return nil, err
	}
	models, width, d := e.Spread.Buckets, e.Spread.Buckets*e.Classes, e.features.d
	out := make([]uint8, s.Len()*models)
	const block = 64 // items at a time
	var next atomic.Int64
	var wg sync.WaitGroup
	for range e.workers {
		wg.Go(func() {
			var mul kernel.Multiplier[float32]
			scores := make([]float32, block*width)
			for i := (int(next.Add(1)) - 1) * block; i < s.Len() && ctx.Err() == nil; i = (int(next.Add(1)) - 1) * block {
				n := min(block, s.Len()-i)
				clear(scores)
				mul.Mul(n, width, d, 1, kernel.Matrix[float32]{Data: x[i*d:], Stride: d},
					kernel.Matrix[float32]{Data: e.weights, Stride: width}, kernel.Matrix[float32]{Data: scores, Stride: width})
				for r := range n {
					for m := range models {
						out[(i+r)*models+m] = uint8(argmax(scores[r*width+m*e.Classes : r*width+(m+1)*e.Classes]))
					}
				}
			}
		})
	}
	wg.Wait()
	return out, ctx.Err()
}

// argmax returns the position of the largest value, the first among equals.
func argmax(v []float32) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}
