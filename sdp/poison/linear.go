package poison

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/spai-project/certify/internal/kernel"
)

// A Linear is ridge regression on the labels ±1: for an item x it answers +1 if Σ_i α_i(x)·y_i > 0, else −1, with α(x) = Φ·(ΦᵀΦ
// + λI)⁻¹·φ(x) and φ(x) = (x, 1). The α do not depend on labels, so the answer withstands flipped labels up to a number that
// can be counted. It is this function of the α as computed, in exact arithmetic, that certificates are about.
type Linear struct {
	d, n    int
	phi     []float64 // n rows of d features
	y       []float64
	factor  []float64 // of ΦᵀΦ + λI
	workers int
}

// NewLinear prepares the regression with λ = ridge times the number of items.
func NewLinear(b *Binary, ridge float64, workers int) (*Linear, error) {
	if !(ridge > 0) || math.IsInf(ridge, 1) {
		return nil, fmt.Errorf("poison: the ridge is %v: want a positive number", ridge)
	}
	if b.D >= maxSystem {
		return nil, fmt.Errorf("poison: %d features are more than %d", b.D, maxSystem-1)
	}
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	l := &Linear{d: b.D + 1, n: b.Len(), workers: workers}
	l.phi = make([]float64, 0, l.n*l.d)
	for i, y := range b.Y {
		l.phi = append(append(l.phi, b.Row(i)...), 1)
		l.y = append(l.y, float64(y))
	}
	l.factor = make([]float64, l.d*l.d)
	var mul kernel.Multiplier[float64]
	phi := kernel.Matrix[float64]{Data: l.phi, Stride: l.d}
	mul.Mul(l.d, l.d, l.n, 1, kernel.Matrix[float64]{Data: l.phi, Stride: l.d, Trans: true}, phi,
		kernel.Matrix[float64]{Data: l.factor, Stride: l.d})
	for j := range l.d {
		l.factor[j*l.d+j] += ridge * float64(l.n)
	}
	factorise(l.factor, l.d)
	return l, nil
}

// maxContribution bounds a contribution, so that twice one and sums of them are finite.
const maxContribution = 0x1p960

// contributions writes α_i(x)·y_i of an item, and reports whether all are at most maxContribution.
func (l *Linear) contributions(dst, beta, x []float64) bool {
	copy(beta, x)
	beta[l.d-1] = 1
	substitute(l.factor, beta, l.d, 1)
	for i := range dst {
		if dst[i] = l.y[i] * kernel.Dot(l.phi[i*l.d:(i+1)*l.d], beta); !(math.Abs(dst[i]) <= maxContribution) {
			return false
		}
	}
	return true
}

// A FlipRecord is what is certain about the answer for one item.
type FlipRecord struct {
	Class  int8 // −1 or +1
	Exact  int  // flipped labels that cannot change the answer; one more can, unless it is the number of items
	Smooth *Smoothed
}

// Certify returns a record for every item, with the smoothed classifier for q > 0. done is called after each, one call at a time,
// unless it is nil. When ctx ends, the records that are there are returned with its error; others have the class 0. It is an
// error if an item's α are too large for float64.
func (l *Linear) Certify(ctx context.Context, b *Binary, q float64, done func(done, total int)) ([]FlipRecord, error) {
	if b.D != l.d-1 {
		return nil, errors.New("poison: the items do not go with the training data")
	}
	if !(q >= 0 && q < 0.5) {
		return nil, fmt.Errorf("poison: the flip probability is %v: want at least 0 and less than 1/2", q)
	}
	out := make([]FlipRecord, b.Len())
	var next atomic.Int64
	var wg sync.WaitGroup
	var lock sync.Mutex
	count, wrong := 0, b.Len() // the first item whose α are too large
	for range l.workers {
		wg.Go(func() {
			g, beta := make([]float64, l.n), make([]float64, l.d)
			for i := int(next.Add(1)) - 1; i < b.Len() && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if !l.contributions(g, beta, b.Row(i)) {
					lock.Lock()
					wrong = min(wrong, i)
					lock.Unlock()
					return // items before this one are at work, and so the first is found
				}
				positive, radius := flipsToChange(g)
				r := FlipRecord{Class: -1, Exact: radius}
				if positive {
					r.Class = 1
				}
				if q > 0 {
					s := smooth(g, q)
					r.Smooth = &s
				}
				out[i] = r
				if done != nil {
					lock.Lock()
					count++
					done(count, b.Len())
					lock.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if wrong < b.Len() {
		return nil, fmt.Errorf("poison: the regression overflows for item %d: scale the data, or use a larger ridge", wrong)
	}
	return out, ctx.Err()
}
