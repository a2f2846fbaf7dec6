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

// TrainEnsemble trains on the labelled items of a set; labels are in [0, classes), at most 256. When ctx ends, its error is returned.
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
	if o.Models < 1 || o.Copies < 1 || o.Copies > o.Models || classes < 2 || classes > 256 || !(o.Ridge > 0) || math.IsInf(o.Ridge, 1) ||
		o.Workers < 1 {
		return nil, fmt.Errorf("poison: %d models with %d copies, %d classes, ridge %v: want 1 ≤ copies ≤ models, 2 to 256 classes, "+
			"a positive ridge", o.Models, o.Copies, classes, o.Ridge)
	}
	if err := s.CheckLabels(classes); err != nil {
		return nil, fmt.Errorf("poison: %w", err)
	}
	e := &Ensemble{Spread: NewSpread(o.Models, o.Copies, o.Seed), Classes: classes, features: NewFeatures(s.Shape), workers: o.Workers}
	if int64(e.features.d)*int64(o.Models)*int64(classes) > 1<<30 {
		return nil, fmt.Errorf("poison: %d models of %d features are more than fit into memory", o.Models, e.features.d)
	}
	e.weights = make([]float32, e.features.d*o.Models*classes)
	x := e.features.All(s, o.Workers)
	buckets := partition(s, o.Models, !o.FlipsOnly)
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

// train solves (F·Fᵀ + λI)·A = Y for one model and stores its weights Fᵀ·A. A model without items votes for class 0.
func (e *Ensemble) train(m int, x []float32, labels, rows []int, ridge float64) {
	d, n, classes := e.features.d, len(rows), e.Classes
	gram, y := make([]float64, n*n), make([]float64, n*classes)
	for i, r := range rows {
		for j, q := range rows[:i+1] {
			sum := 0.0
			for t, v := range x[r*d : (r+1)*d] {
				sum += float64(v) * float64(x[q*d+t])
			}
			gram[i*n+j] = sum
		}
		gram[i*n+i] += ridge
		for c := range classes {
			y[i*classes+c] = -1 / float64(classes)
		}
		y[i*classes+labels[r]]++
	}
	factorise(gram, n)
	substitute(gram, y, n, classes)
	sums := make([]float64, d*classes)
	for i, r := range rows {
		for t, v := range x[r*d : (r+1)*d] {
			for c := range classes {
				sums[t*classes+c] += float64(v) * y[i*classes+c]
			}
		}
	}
	width := e.Spread.Buckets * classes
	for t := range d {
		for c := range classes {
			e.weights[t*width+m*classes+c] = float32(sums[t*classes+c])
		}
	}
}

// Votes returns the vote of every model for every item of a set: one row of Spread.Buckets votes for each. Among equal scores the
// lowest class is taken. When ctx ends, its error is returned.
func (e *Ensemble) Votes(ctx context.Context, s *data.Set) ([]uint8, error) {
	if NewFeatures(s.Shape).d != e.features.d {
		return nil, fmt.Errorf("poison: items of shape %v do not go with the training data", s.Shape)
	}
	x := e.features.All(s, e.workers)
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
