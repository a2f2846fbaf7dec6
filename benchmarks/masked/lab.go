package masked

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/attacks/defense"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/train"
)

// A Lab trains networks on one data set and attacks them on another.
type Lab struct {
	Train, Test *data.Set // pictures with values in [0, 1] and labels
	Classes     int
	Hidden      []int // units of the networks' layers
	Epochs      int
	Seed        uint64
	Workers     int // 0: the processors; results do not depend on it
	// Report, if not nil, is told what was done.
	Report func(text string)
	// Keep, if not nil, is given every network that was trained.
	Keep func(name string, n *train.Net[float32]) error

	base *train.Net[float32]
}

func (l *Lab) report(format string, args ...any) {
	if l.Report != nil {
		l.Report(fmt.Sprintf(format, args...))
	}
}

// rate is the learning rate of Adam at its height.
const rate = 2e-3

// recipe is that of every network.
func (l *Lab) recipe() train.Recipe {
	return train.Recipe{Epochs: l.Epochs, Batch: 128, LR: rate, Schedule: train.OneCycle(), Seed: l.Seed, Workers: l.Workers}
}

// net returns a network that is not trained yet.
func (l *Lab) net(inputs int, name string) (*train.Net[float32], error) {
	var layers []train.Layer
	for _, n := range l.Hidden {
		layers = append(layers, train.Dense{Out: n}, train.ReLU{})
	}
	return train.New[float32](seed.Derive(l.Seed, "masked", name), []int{inputs}, append(layers, train.Dense{Out: l.Classes})...)
}

// samples is the training data.
func (l *Lab) samples() *train.Samples[float32] {
	s := &train.Samples[float32]{X: make([]float32, len(l.Train.X)), Labels: l.Train.Labels}
	for i, v := range l.Train.X {
		s.X[i] = float32(v)
	}
	return s
}

// fit trains a new network with a hook.
func (l *Lab) fit(ctx context.Context, name string, epochs int, h defense.Augment[float32]) (*train.Net[float32], error) {
	n, err := l.net(l.Train.Dim(), name)
	if err != nil {
		return nil, err
	}
	return n, l.train(ctx, name, n, l.samples(), epochs, h)
}

// train runs the recipe.
func (l *Lab) train(ctx context.Context, name string, n *train.Net[float32], s *train.Samples[float32], epochs int,
	h defense.Augment[float32]) error {
	r := l.recipe()
	r.Epochs = epochs
	p, err := train.Fit(ctx, n, s, r, train.Hooks[float32]{Augment: h})
	if err == nil {
		l.report("%s: trained in %.1f s, loss %.4f", name, p.Elapsed.Seconds(), p.Loss)
		if l.Keep != nil {
			err = l.Keep(name, n)
		}
	}
	return err
}

// undefended returns the network trained plainly.
func (l *Lab) undefended(ctx context.Context) (*train.Net[float32], error) {
	if l.base == nil {
		n, err := l.fit(ctx, "undefended", l.Epochs, nil)
		if err != nil {
			return nil, err
		}
		l.base = n
	}
	return l.base, nil
}

// behind trains a network on what a transform makes of the data: drawn afresh at every step, or, when it makes codes of another
// size, made once.
func (l *Lab) behind(ctx context.Context, name string, t access.Transform) (*train.Net[float32], error) {
	in, out := t.Dims()
	n, err := l.net(out, name)
	if err != nil {
		return nil, err
	}
	a := &encoder{t: t, seed: seed.Derive(l.Seed, "masked", "draws", name), workers: l.Workers}
	s, h := l.samples(), a.augment
	if in != out {
		s.X, h = a.encode(s.X), nil
	}
	return n, l.train(ctx, name, n, s, l.Epochs, h)
}

// encoder applies a transform to batches.
type encoder struct {
	t       access.Transform
	seed    uint64
	rows    uint64 // done
	workers int
}

func (a *encoder) augment(_ context.Context, _ *train.Net[float32], b *train.Samples[float32]) error {
	copy(b.X, a.encode(b.X))
	return nil
}

// encode transforms rows, each with a draw of its own.
func (a *encoder) encode(rows []float32) []float32 {
	in, out := a.t.Dims()
	n := len(rows) / in
	dst := make([]float32, n*out)
	workers := a.workers
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			x, y := make([]float64, in), make([]float64, out)
			for i := w; i < n; i += workers {
				for k, v := range rows[i*in : (i+1)*in] {
					x[k] = float64(v)
				}
				a.t.Forward(y, x, (a.seed+a.rows+uint64(i))*0x9e3779b97f4a7c15)
				for k, v := range y {
					dst[i*out+k] = float32(v)
				}
			}
		})
	}
	wg.Wait()
	a.rows += uint64(n)
	return dst
}

// whole is the box [0, 1].
func whole(n int) (lo, hi []float64) {
	return make([]float64, n), slices.Repeat([]float64{1}, n)
}
