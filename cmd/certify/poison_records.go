package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/sdp/poison"
)

// poisonRecords runs the methods that certify every test item.
func (a *app) poisonRecords(ctx context.Context, f *poisonCertifyFlags) error {
	show, end, err := a.ticker(f.progress)
	if err != nil {
		return err
	}
	train, test, p, err := f.labelled()
	if err != nil {
		return err
	}
	start := time.Now()
	r, err := poison.Certify(ctx, train, test, p, f.workers, func(what string, done, total int) {
		show(what, "", map[string]any{"task": what}, done, total)
	})
	end()
	var sig *interrupt
	interrupted := errors.As(context.Cause(ctx), &sig)
	if err != nil && !interrupted {
		return poisonError(err)
	}
	if r != nil && len(r.Items) > 0 { // an error may have come first
		r.Train.Spec, r.Test.Spec = f.data, f.test
		if err := f.keep(func(w *os.File) error { return r.Write(w) }); err != nil {
			return err
		}
		if err := a.printRecords(f, r, time.Since(start)); err != nil {
			return err
		}
	}
	if interrupted {
		a.notef("interrupted after %d of %d items", len(r.Items), test.Len())
		return &status{sig.code()}
	}
	return nil
}

// labelled reads both sets, restricted to two classes for label-flip.
func (f *poisonCertifyFlags) labelled() (train, test *data.Set, p poison.Parameters, err error) {
	if train, err = f.openLabelled("--data", f.data, f.labels, nil); err != nil {
		return nil, nil, p, err
	}
	if test, err = f.openLabelled("--test", f.test, f.testLabels, train.Shape); err != nil {
		return nil, nil, p, err
	}
	p = poison.Parameters{Method: f.method}
	for _, l := range append(append([]int{}, train.Labels...), test.Labels...) {
		p.Classes = max(p.Classes, l+1, 2)
	}
	if f.ridge == 0 {
		f.ridge = 0.001
	}
	switch f.method {
	case poison.MethodVotes:
		p.Models, p.Copies, p.FlipsOnly, p.Ridge, p.Seed = f.models, f.copies, f.flipsOnly, f.ridge, f.seed
	case poison.MethodNeighbours:
		p.K = f.k
	case poison.MethodFlips:
		if p.Pair, err = f.pair(train); err != nil {
			return nil, nil, p, err
		}
		p.Ridge, p.Flip = f.ridge, f.flip
		train, test = only(train, p.Pair), only(test, p.Pair)
	}
	return train, test, p, nil
}

// only returns the items of two classes.
func only(s *data.Set, pair [2]int) *data.Set {
	var items []int
	for i, l := range s.Labels {
		if l == pair[0] || l == pair[1] {
			items = append(items, i)
		}
	}
	return s.Select(items)
}

// printRecords writes the certified accuracy over the number of poisoned items.
func (a *app) printRecords(f *poisonCertifyFlags, r *poison.Records, wall time.Duration) error {
	kinds := []string{"flips", "changes"}
	if f.method == poison.MethodFlips {
		kinds = kinds[:1]
	}
	object := map[string]any{"schema": "certify.poison-records/1", "parameters": r.Parameters, "items": len(r.Items),
		"seconds": wall.Seconds(), "assumptions": r.Parameters.Assumptions()}
	g := &grid{head: []string{"poisoned items"}, right: map[string]bool{}}
	columns := [][]int{}
	right := 0
	for _, k := range kinds {
		var radii []int
		right, radii = r.Summary(k == "flips")
		columns = append(columns, radii)
		g.head = append(g.head, map[string]string{"flips": "flipped labels", "changes": "inserted and deleted"}[k])
		g.right[g.head[len(g.head)-1]] = true
		object["median_"+k], object["radii_"+k] = radii[len(radii)/2], radii
	}
	object["right"] = right
	if f.json {
		return json.NewEncoder(a.out).Encode(object)
	}
	for _, at := range steps(columns) {
		cells := []any{at}
		for _, radii := range columns {
			n := 0
			for _, v := range radii {
				if v >= at {
					n++
				}
			}
			cells = append(cells, percent(n, len(radii)))
		}
		g.add(cells...)
	}
	cells := []any{"median"}
	for _, radii := range columns {
		if m := radii[len(radii)/2]; m >= 0 {
			cells = append(cells, m)
		} else {
			cells = append(cells, "-") // nothing is certain, not even without poison
		}
	}
	g.add(cells...)
	g.text(a.out)
	for _, s := range r.Parameters.Assumptions() {
		a.notef("assumed   %s", s)
	}
	a.notef("right without poison: %s of %d items   %s", percent(right, len(r.Items)), len(r.Items), clock(wall))
	return nil
}

// steps are the numbers of poisoned items that the table has lines for: 0, 1, 2, 5, 10, … up to the largest radius.
func steps(columns [][]int) []int {
	most := 0
	for _, radii := range columns {
		most = max(most, radii[len(radii)-1])
	}
	out := []int{0}
	for decade := 1; decade <= most; decade *= 10 {
		for _, f := range []int{1, 2, 5} {
			if f*decade <= most {
				out = append(out, f*decade)
			}
		}
	}
	return out
}
