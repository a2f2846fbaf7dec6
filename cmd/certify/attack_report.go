package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify/robust"
)

// attackSchema names the object of `certify attack --json` on data.
const attackSchema = "certify.attack/1"

// An attackReport is what `certify attack` prints and writes.
type attackReport struct {
	path string
	m    *robust.Model
	it   *items
	f    *attackFlags
	rows []robust.Assault
	eps  []string // the radii as they were written
}

// write prints the table or the object and fills the folder.
func (r *attackReport) write(a *app) error {
	var names []string
	if r.f.out != "" {
		var err error
		if names, err = r.folder(); err != nil {
			return err
		}
	}
	rows := r.rows
	if worst := robust.Worst(r.rows); len(worst) < len(r.rows) {
		rows = append(rows, worst...)
	}
	if r.f.json {
		return r.encode(a, rows, names)
	}
	g := &grid{head: []string{"attack", "eps", "items", "clean", "after", "found", "of correct", "median " + r.f.norm, "queries", "gradients", "stopped", "seconds"},
		right: map[string]bool{}}
	for _, c := range g.head[1:] {
		g.right[c] = true
	}
	for i := range rows {
		s := &rows[i]
		t := s.Toll()
		median := "-"
		if t.Found > 0 {
			median = fmt.Sprintf("%.4g", t.Median)
		}
		ended := t.Items - t.Stopped // nothing is known of the others
		g.add(s.Attack, r.radius(s.Eps), t.Items, percent(ended-t.Already, ended), percent(ended-t.Already-t.Found, ended), t.Found,
			percent(t.Found, ended-t.Already), median, fmt.Sprintf("%.0f", t.Queries), fmt.Sprintf("%.0f", t.Gradients), t.Stopped,
			fmt.Sprintf("%.2f", s.Seconds))
	}
	g.text(a.out)
	a.notef("queries and gradients are means over the items that were attacked; an attack that finds nothing proves nothing")
	if len(names) > 0 {
		a.notef("wrote     %s", strings.Join(names, " "))
	}
	return nil
}

// radius is a radius as it was written.
func (r *attackReport) radius(eps float64) string {
	for k, t := range r.eps {
		if v, err := robust.ParseEps(t); err == nil && v == eps {
			return radius(eps, k, r.eps)
		}
	}
	return radius(eps, len(r.eps), nil)
}

// encode writes one object.
func (r *attackReport) encode(a *app, rows []robust.Assault, names []string) error {
	type item struct {
		robust.Outcome
		Distance *float64 `json:"distance"`
		Margin   *float64 `json:"margin"`
		AnyOrder bool     `json:"any_order"`
	}
	type row struct {
		Attack  string   `json:"attack"`
		Eps     *float64 `json:"eps"` // null: the smallest
		EpsText string   `json:"eps_text"`
		Seconds float64  `json:"seconds"`
		Already int      `json:"already"`
		Found   int      `json:"found"`
		Stopped int      `json:"stopped"`
		Median  *float64 `json:"median_distance"`
		Mean    *float64 `json:"mean_distance"`
		Queries float64  `json:"mean_queries"`
		Grads   float64  `json:"mean_gradients"`
		Items   []item   `json:"items"`
	}
	o := struct {
		Schema    string            `json:"schema"`
		Model     map[string]string `json:"model"`
		Data      map[string]any    `json:"data"`
		Norm      string            `json:"norm"`
		Access    string            `json:"access"`
		Targeted  string            `json:"targeted,omitempty"`
		Surrogate string            `json:"surrogate,omitempty"`
		Semantics string            `json:"semantics"`
		Seed      uint64            `json:"seed"`
		Rows      []row             `json:"rows"`
		Files     []string          `json:"files,omitempty"`
		Tool      any               `json:"tool"`
	}{Schema: attackSchema, Model: map[string]string{"path": r.path, "sha256": r.m.Graph.Hash},
		Data: map[string]any{"spec": r.it.spec, "sha256": r.it.set.Hash, "items": r.it.set.Len()}, Norm: r.f.norm, Access: r.f.access,
		Targeted: r.f.targeted, Surrogate: r.f.surrogate, Semantics: r.m.Semantics.String(), Seed: r.f.seed, Files: names, Tool: tool()}
	for i := range rows {
		s := &rows[i]
		t := s.Toll()
		w := row{Attack: s.Attack, Eps: finiteOrNil(s.Eps), EpsText: r.radius(s.Eps), Seconds: s.Seconds, Already: t.Already, Found: t.Found,
			Stopped: t.Stopped, Median: finiteOrNil(t.Median), Mean: finiteOrNil(t.Mean), Queries: t.Queries, Grads: t.Gradients}
		for _, c := range s.Items {
			x := item{Outcome: c}
			if c.Witness != nil {
				x.Distance, x.Margin, x.AnyOrder = finiteOrNil(c.Witness.Distance), finiteOrNil(c.Witness.Margin), c.Witness.AnyOrder
			}
			w.Items = append(w.Items, x)
		}
		o.Rows = append(o.Rows, w)
	}
	return json.NewEncoder(a.out).Encode(o)
}

// shown is the number of rows of the sheet of pictures.
const shown = 16

// folder writes the closest example of every broken item: arrays, a sheet of pictures, and counterexample files.
func (r *attackReport) folder() (names []string, err error) {
	best := robust.Worst(r.rows)
	closest := map[int]*robust.Outcome{}
	var order []int
	for i := range best {
		for k := range best[i].Items {
			o := &best[i].Items[k]
			if o.Witness == nil || o.Witness.Distance == 0 {
				continue
			}
			if c := closest[o.Index]; c == nil {
				order = append(order, o.Index)
				closest[o.Index] = o
			} else if o.Witness.Distance < c.Witness.Distance {
				closest[o.Index] = o
			}
		}
	}
	if len(order) == 0 {
		return nil, nil
	}
	if err := os.MkdirAll(filepath.Join(r.f.out, "counterexamples"), 0o777); err != nil {
		return nil, err
	}
	put := func(name string, b []byte) error {
		path := filepath.Join(r.f.out, name)
		names = append(names, path)
		return writeBytes(path, b)
	}
	set := r.it.set
	var clean, adv []float32
	var index, label, class []int64
	var sheet [][]image.Image
	lo, hi := r.it.colours(set.X)
	for _, i := range order {
		o := closest[i]
		clean, adv = append(clean, narrow(set.Item(i))...), append(adv, narrow(o.Witness.X)...)
		index, label, class = append(index, int64(i)), append(label, int64(o.Label)), append(class, int64(o.Class))
		var cex bytes.Buffer
		cex.WriteString("sat\n")
		y, err := r.m.Outputs(o.Witness.X)
		if err != nil {
			return nil, err
		}
		if err := spec.WriteCounterexample(&cex, o.Witness.X, y); err != nil {
			return nil, err
		}
		if err := writeBytes(filepath.Join(r.f.out, "counterexamples", fmt.Sprintf("%d.txt", i)), cex.Bytes()); err != nil {
			return nil, err
		}
		if len(sheet) < shown {
			row, err := pictures(set, set.Item(i), o.Witness.X, lo, hi)
			if err != nil {
				return nil, err
			}
			sheet = append(sheet, row)
		}
	}
	names = append(names, filepath.Join(r.f.out, "counterexamples"))
	shape := append([]int{len(order)}, set.Shape...)
	var npy, npz, pic bytes.Buffer
	if err := data.WriteNPY(&npy, shape, adv); err != nil {
		return nil, err
	}
	count := []int{len(order)}
	if err := data.WriteNPZ(&npz, data.NewArray("original", shape, clean), data.NewArray("adversarial", shape, adv),
		data.NewArray("index", count, index), data.NewArray("label", count, label), data.NewArray("predicted", count, class)); err != nil {
		return nil, err
	}
	img, err := contactSheet(sheet)
	if err != nil {
		return nil, err
	}
	if err := png.Encode(&pic, img); err != nil {
		return nil, err
	}
	for _, file := range []struct {
		name string
		b    []byte
	}{{"adversarial.npy", npy.Bytes()}, {"adversarial.npz", npz.Bytes()}, {"sheet.png", pic.Bytes()}} {
		if err := put(file.name, file.b); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// pictures are original, difference in full colour at its largest, adversarial.
func pictures(set *data.Set, x, adversarial []float64, lo, hi float64) (row []image.Image, err error) {
	row = make([]image.Image, 3)
	if row[0], err = data.Image(x, set.Shape, lo, hi); err != nil {
		return nil, err
	}
	if row[1], _, err = data.Difference(x, adversarial, set.Shape, 0); err != nil {
		return nil, err
	}
	row[2], err = data.Image(adversarial, set.Shape, lo, hi)
	return row, err
}

// counter returns what shows the progress of attacks in a --progress mode, and what ends it.
func (a *app) counter(mode string) (show func(attack string, eps float64, done, total int), end func(), err error) {
	tick, end, err := a.ticker(mode)
	show = func(attack string, eps float64, done, total int) {
		tick(attack+" at "+radius(eps, 0, nil), "", map[string]any{"attack": attack, "eps": finiteOrNil(eps)}, done, total)
	}
	return show, end, err
}
