package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/sdp/poison"
	"github.com/spai-project/certify/verify/robust"
)

// boundRow is what `--method steinhardt` reports for one ε.
type boundRow struct {
	Eps        float64  `json:"eps"`
	Bound      float64  `json:"bound"`
	Clean      float64  `json:"clean"` // the part of the bound that is the clean loss of θ
	Iterations int      `json:"iterations"`
	Attack     *float64 `json:"attack"` // loss on clean and poisoned data after training on both, null without
	Least      *float64 `json:"least"`  // no certificate for this defence is below it
	Poisoned   *float64 `json:"clean_after_attack"`
	Test       *float64 `json:"test_loss"` // after the attack
	TestErrors *float64 `json:"test_errors"`
	Seconds    float64  `json:"seconds"`
}

// poisonBound runs --method steinhardt.
func (a *app) poisonBound(ctx context.Context, f *poisonCertifyFlags) error {
	eps, texts, err := robust.ParseEpsList(f.eps)
	if err != nil {
		return usagef("write 0.03, or several as 0.02,0.05,0.3", "--eps: %s", trim(err))
	}
	if len(eps) > 1 && (f.out != "" || f.attack != "") {
		return usagef("run it once for each", "-o and --attack keep one result, --eps names %d", len(eps))
	}
	if !(f.norm > 0 && f.rate > 0 && f.iterations > 0) { // 0 stands for a default in the library
		return usagef("", "--norm-squared, --rate and --iterations must be positive")
	}
	show, end, err := a.ticker(f.progress)
	if err != nil {
		return err
	}
	defer end()
	train, test, pair, err := f.binaries()
	if err != nil {
		return err
	}
	filter, err := f.filter()
	if err != nil {
		return err
	}
	if err := filter.Fit(train); err != nil {
		return poisonError(err)
	}
	a.notef("data      %s   %d items of %d values, classes %d and %d   sha256 %s", f.data, train.Len(), train.D, pair[0], pair[1],
		shortHash(train.Hash()))
	g := &grid{right: map[string]bool{}}
	g.head = []string{"eps", "bound", "attack", "clean after", "test loss", "test errors", "seconds"}
	for _, c := range g.head[1:] {
		g.right[c] = true
	}
	var rows []*boundRow
	for i, e := range eps {
		r, err := a.poisonBoundOne(ctx, f, train, test, pair, filter, e, show)
		if r != nil {
			rows = append(rows, r)
			g.add(texts[i], boundText(r.Bound), lossText(r.Attack), lossText(r.Poisoned), lossText(r.Test), shareOf(r.TestErrors),
				fmt.Sprintf("%.1f", r.Seconds))
		}
		if err != nil {
			end()
			return a.poisonBoundEnd(ctx, f, filter, g, rows, err)
		}
	}
	end()
	return a.poisonBoundEnd(ctx, f, filter, g, rows, nil)
}

// poisonBoundOne searches for one ε and keeps what it finds, also when it is interrupted.
func (a *app) poisonBoundOne(ctx context.Context, f *poisonCertifyFlags, train, test *poison.Binary, pair [2]int, filter *poison.Filter,
	eps float64, show tick) (*boundRow, error) {
	start := time.Now()
	o := poison.Options{Epsilon: eps, NormSquared: f.norm, Rate: f.rate, Iterations: f.iterations, Workers: f.workers}
	o.Seed = f.seed
	o.Progress = func(done, total int, best float64) {
		fields := map[string]any{"eps": eps, "bound": best}
		show(fmt.Sprintf("search at %v", eps), fmt.Sprintf("   best %.4f", best), fields, done, total)
	}
	s, stopped := poison.Bound(ctx, train, filter, o)
	if s == nil || s.Iterations == 0 {
		return nil, stopped
	}
	var attack *poison.Attack
	r := &boundRow{Eps: eps, Iterations: s.Iterations}
	theta := s.Theta
	if stopped == nil && !f.moving { // nothing says that what the search met passes the filter together
		o.Progress = nil
		if attack, stopped = s.Attack(ctx, train, o); stopped != nil {
			attack = nil
		}
		if attack != nil {
			theta = attack.Theta
			r.Attack, r.Least, r.Poisoned = &attack.Total, &attack.Least, &attack.Clean
		}
	}
	c, err := s.Certificate(f.data, pair, train, filter, o, attack)
	if err != nil {
		return nil, err
	}
	r.Bound, r.Clean = c.Bound, s.Clean
	if test != nil && stopped == nil && (attack != nil || eps == 0) {
		loss, errs, err := poison.Evaluate(ctx, test, theta)
		if err != nil {
			return nil, err
		}
		r.Test, r.TestErrors = &loss, &errs
	}
	r.Seconds = time.Since(start).Seconds()
	if err := f.keep(func(w *os.File) error { return c.Write(w) }); err != nil {
		return r, err
	}
	if f.attack != "" && attack == nil {
		a.notef("note: there is no attack to write: the search was interrupted, found no item with a loss, or centroids move")
	}
	if f.attack != "" && attack != nil {
		if err := keepAttack(f.attack, s, attack, train.D, pair); err != nil {
			return r, err
		}
	}
	return r, stopped
}

// keepAttack writes the poisoned items with their labels.
func keepAttack(path string, s *poison.Search, a *poison.Attack, d int, pair [2]int) error {
	x, y := s.Points(a)
	labels := make([]int64, len(y))
	for i, v := range y {
		labels[i] = int64(pair[(v+1)/2])
	}
	return writeAtomic(path, func(w *os.File) error {
		return data.WriteNPZ(w, data.NewArray("x", []int{len(y), d}, x), data.NewArray("y", []int{len(y)}, labels))
	})
}

// poisonBoundEnd prints what there is.
func (a *app) poisonBoundEnd(ctx context.Context, f *poisonCertifyFlags, filter *poison.Filter, g *grid, rows []*boundRow,
	err error) error {
	var sig *interrupt
	interrupted := errors.As(context.Cause(ctx), &sig)
	if err != nil && !interrupted {
		return poisonError(err)
	}
	if f.json {
		object := map[string]any{"schema": "certify.poison-bound/1", "rows": rows, "incomplete": interrupted,
			"assumptions": filter.Assumptions()}
		if err := json.NewEncoder(a.out).Encode(object); err != nil {
			return err
		}
	} else {
		g.text(a.out)
		for _, s := range filter.Assumptions() {
			a.notef("assumed   %s", s)
		}
	}
	if interrupted {
		a.notef("interrupted: the bounds hold, longer searches may find smaller ones")
		return &status{sig.code()}
	}
	return nil
}

// binaries reads the training data, and the test data if any, as two classes.
func (f *poisonCertifyFlags) binaries() (train, test *poison.Binary, pair [2]int, err error) {
	set, err := f.openLabelled("--data", f.data, f.labels, nil)
	if err != nil {
		return nil, nil, pair, err
	}
	if pair, err = f.pair(set); err != nil {
		return nil, nil, pair, err
	}
	if train, err = poison.NewBinary(set, pair); err != nil {
		return nil, nil, pair, poisonError(err)
	}
	if f.test != "" {
		other, err := f.openLabelled("--test", f.test, f.testLabels, set.Shape)
		if err != nil {
			return nil, nil, pair, err
		}
		if test, err = poison.NewBinary(other, pair); err != nil {
			return nil, nil, pair, poisonError(err)
		}
	}
	return train, test, pair, nil
}

// filter is the defence that the flags describe.
func (f *poisonCertifyFlags) filter() (*poison.Filter, error) {
	out := &poison.Filter{Moving: f.moving, SpherePercent: f.sphere, SlabPercent: f.slab, Low: math.Inf(-1), High: math.Inf(1)}
	if f.moving {
		out.SlabPercent = 0
	}
	if f.limits == "" {
		return out, nil
	}
	lo, hi, ok := strings.Cut(f.limits, ",")
	var err, err2 error
	out.Low, err = parseNumber(lo)
	out.High, err2 = parseNumber(hi)
	if !ok || err != nil || err2 != nil || !(out.Low < out.High) {
		return nil, usagef("write 0,1, or 0,inf for values that are not negative", "--range: %q is no range", f.limits)
	}
	return out, nil
}

// boundText writes an upper bound as lossText does, rounded up: what is printed is a bound too.
func boundText(v float64) string {
	s := lossText(&v)
	if shown, ok := new(big.Rat).SetString(s); ok && shown.Cmp(new(big.Rat).SetFloat64(v)) < 0 {
		above := v + 1e-5
		s = lossText(&above)
	}
	return s
}

// lossText writes a loss, and nothing for nil.
func lossText(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.5f", *v)
}

// shareOf is share of a number that may not be there.
func shareOf(v *float64) string {
	if v == nil {
		return share(math.NaN())
	}
	return share(*v)
}
