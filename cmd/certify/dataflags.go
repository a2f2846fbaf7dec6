package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/verify/robust"
)

// dataFlags are the flags of every command that reads items: where they are, how values are scaled, what is valid.
type dataFlags struct {
	data, input string
	index       int
	label       int
	labels      string
	labelColumn string
	scale       string
	mean, std   string
	clip        string
	mnist       string
}

// register adds the flags. one is for commands about a single item: --input is what --data is, --index and --label choose.
func (f *dataFlags) register(c *cobra.Command, one bool) {
	fs := c.Flags()
	fs.StringVar(&f.data, "data", "",
		"the items: mnist:test, an IDX, .npy, .npz or CSV file, a PNG or a folder of them; with a range: mnist:test[0:100]")
	fs.StringVar(&f.labels, "labels", "", "a `file` of labels (default: those the data bring along)")
	fs.StringVar(&f.labelColumn, "label-column", "", "the column of a CSV file with the label: first, last, none or its name")
	fs.StringVar(&f.scale, "scale", "", "factor for stored values, as 1/255 (default: 1/255 for bytes of pictures, else 1)")
	fs.StringVar(&f.mean, "mean", "", "subtracted after scaling: one number, or one for each channel as 0.49,0.48,0.45")
	fs.StringVar(&f.std, "std", "", "divided by after that, likewise; radii and --clip are in units before --mean and --std")
	fs.StringVar(&f.clip, "clip", "", "the valid range of scaled values, as 0,1, or none (default: 0,1 if all values lie in it)")
	fs.StringVar(&f.mnist, "mnist", os.Getenv("CERTIFY_MNIST"),
		"`folder` of the four IDX files behind mnist:train and mnist:test (default: $CERTIFY_MNIST)")
	f.index, f.label = -1, -1
	if one {
		fs.StringVar(&f.input, "input", "", "the item: a file as for --data")
		fs.IntVar(&f.index, "index", -1, "the item of --data, counted from 0")
		fs.IntVar(&f.label, "label", -1, "the class that must win (default: the label of the data)")
	}
}

// items are a data set as a network sees it.
type items struct {
	spec   string
	set    *data.Set
	domain robust.Domain
	// lo and hi are the ends of the valid range before --mean and --std, ±Inf without one.
	lo, hi float64
	notes  []string
}

// read opens the data for a network.
func (f *dataFlags) read(g *nn.Graph) (*items, error) {
	spec := cmp.Or(f.data, f.input)
	switch {
	case f.data != "" && f.input != "":
		return nil, usagef("leave one of them out", "--data and --input name the same thing")
	case spec == "":
		return nil, usagef("for example --data mnist:test[0:100], --data images.npz or --input digit.png", "no data are named")
	}
	opt, err := f.options(itemShape(g))
	if err != nil {
		return nil, err
	}
	s, err := data.Open(spec, opt)
	if err != nil {
		return nil, dataError(err)
	}
	it := &items{spec: spec, set: s}
	it.round()
	if len(opt.Std) > 0 {
		it.domain.Unit = perElement(opt.Std, s.Dim(), func(v float64) float64 { return 1 / float64(float32(v)) })
	}
	if err := f.validRange(it, opt.Mean, opt.Std); err != nil {
		return nil, err
	}
	return it, nil
}

// options says how to read items of a shape; nil expects none.
func (f *dataFlags) options(shape []int) (opt data.Options, err error) {
	opt = data.Options{MNIST: f.mnist, Shape: shape, Labels: f.labels, LabelColumn: f.labelColumn}
	if f.scale != "" {
		if opt.Scale, err = quotient(f.scale); err != nil {
			return opt, usagef("write 1/255 or 0.00392", "--scale: %v", err)
		}
	}
	if opt.Mean, err = numbers(f.mean); err != nil {
		return opt, usagef("write 0.1307, or one number for each channel", "--mean: %v", err)
	}
	if opt.Std, err = numbers(f.std); err != nil {
		return opt, usagef("write 0.3081, or one number for each channel", "--std: %v", err)
	}
	return opt, nil
}

// itemShape is the shape of one item as the network's input says it, without the batch.
func itemShape(g *nn.Graph) []int {
	if len(g.Inputs) != 1 {
		return []int{g.NumInputs()}
	}
	shape := g.Inputs[0].Shape
	if len(shape) > 1 && shape[0] == 1 {
		shape = shape[1:]
	}
	if len(shape) == 0 {
		return []int{1}
	}
	return shape
}

// round brings values to the float32 numbers that a network sees.
func (it *items) round() {
	changed := 0
	for k, v := range it.set.X {
		if w := float64(float32(v)); w != v && !math.IsInf(w, 0) {
			it.set.X[k] = w
			changed++
		}
	}
	if changed > 0 {
		it.notes = append(it.notes, fmt.Sprintf("note: %d of %d values are no float32 numbers and were rounded to the nearest",
			changed, len(it.set.X)))
	}
}

// validRange finds the valid range.
func (f *dataFlags) validRange(it *items, mean, std []float64) error {
	it.lo, it.hi = math.Inf(-1), math.Inf(1)
	if f.clip == "none" {
		return nil
	}
	lo, hi := 0.0, 1.0
	if f.clip != "" {
		v, err := numbers(f.clip)
		if err != nil || len(v) != 2 || !(v[0] < v[1]) {
			return usagef("write 0,1, or none for no limits", "--clip: %q is no range", f.clip)
		}
		lo, hi = v[0], v[1]
	}
	d := it.set.Dim()
	m, s := perElement(mean, d, nil), perElement(std, d, nil)
	ends := func(v float64) []float64 { // as the data are scaled: in float32, so that 0 and 1 stay ends
		out := make([]float64, max(1, len(m), len(s)))
		for i := range out {
			w := float32(v)
			if len(m) > 0 {
				w = float32(w - float32(m[min(i, len(m)-1)]))
			}
			if len(s) > 0 {
				w = float32(w / float32(s[min(i, len(s)-1)]))
			}
			out[i] = float64(w)
		}
		return out
	}
	lower, upper := ends(lo), ends(hi)
	bad := 0
	first := -1
	for k, v := range it.set.X {
		i := k % d
		if v < lower[min(i, len(lower)-1)] || v > upper[min(i, len(upper)-1)] {
			if bad++; first < 0 {
				first = k
			}
		}
	}
	if bad > 0 && f.clip == "" && !looksLikeBytes(it.set) {
		it.notes = append(it.notes,
			fmt.Sprintf("note: %d of %d values lie outside [0, 1]: no valid range is assumed; --clip states one", bad, len(it.set.X)))
		return nil
	}
	if bad > 0 {
		if len(mean) == 0 && len(std) == 0 {
			return dataError(it.set.CheckRange(lo, hi))
		}
		return malformedf("check --scale, --mean and --std, or state the range with --clip",
			"%s: item %d (%s), element %d: the value %v stands for one outside [%v, %v], "+
				"as %d of %d values do", it.spec, first/d, it.set.Names[first/d], first%d, it.set.X[first], lo, hi, bad, len(it.set.X))
	}
	it.lo, it.hi, it.domain.Lower, it.domain.Upper = lo, hi, lower, upper
	return nil
}

// looksLikeBytes reports whether pictures were left unscaled.
func looksLikeBytes(s *data.Set) bool {
	most := 0.0
	for _, v := range s.X {
		if v < 0 || v != math.Trunc(v) {
			return false
		}
		most = max(most, v)
	}
	return len(s.Shape) > 1 && most > 1 && most <= 255
}

// perElement spreads one value for all or one for each channel over d elements; one value stays one.
func perElement(v []float64, d int, f func(float64) float64) []float64 {
	if len(v) == 0 {
		return nil
	}
	n := d
	if len(v) == 1 {
		n = 1
	}
	out := make([]float64, n)
	for k := range out {
		out[k] = v[k*len(v)/n]
		if f != nil {
			out[k] = f(out[k])
		}
	}
	return out
}

// one returns the single item that a command is about, with its label.
func (f *dataFlags) one(it *items, classes int) (x []float64, label int, err error) {
	n := it.set.Len()
	i := f.index
	switch {
	case i < 0 && n > 1:
		return nil, 0, usagef(fmt.Sprintf("choose one with --index, from 0 to %d", n-1), "%s holds %d items", it.spec, n)
	case i < 0:
		i = 0
	case i >= n:
		return nil, 0, usagef(fmt.Sprintf("--index goes from 0 to %d", n-1), "--index %d: %s holds %d items", i, it.spec, n)
	}
	it.set = it.set.Slice(i, i+1)
	label = f.label
	if label < 0 {
		if it.set.Labels == nil {
			return nil, 0, usagef("add --label, the class that must win", "%s has no labels", it.spec)
		}
		if err := it.set.CheckLabels(classes); err != nil {
			return nil, 0, dataError(err)
		}
		label = it.set.Labels[0]
	}
	if label >= classes {
		return nil, 0, usagef(fmt.Sprintf("the network's classes are 0 to %d", classes-1), "--label %d: there is no such class", label)
	}
	it.set.Labels = []int{label}
	return it.set.Item(0), label, nil
}

// valid says in words which inputs are valid.
func (it *items) valid() string {
	if math.IsInf(it.lo, -1) {
		return "any values"
	}
	return fmt.Sprintf("values in [%v, %v]", it.lo, it.hi)
}

// numbers reads numbers separated by commas; none for "".
func numbers(text string) ([]float64, error) {
	if text == "" {
		return nil, nil
	}
	var out []float64
	for _, t := range strings.Split(text, ",") {
		v, err := quotient(strings.TrimSpace(t))
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// quotient reads a number, or a quotient of two.
func quotient(text string) (float64, error) {
	num, den, ok := strings.Cut(text, "/")
	v, err := parseNumber(num)
	if err == nil && ok {
		var d float64
		if d, err = parseNumber(den); err == nil {
			v /= d
		}
	}
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is no number", text)
	}
	return v, nil
}

// dataError keeps what package data says, and gives it the exit status it has.
func dataError(err error) error {
	e, ok := errors.AsType[*data.Error](err)
	if !ok {
		return err
	}
	f := &failure{code: exitMalformed, kind: "data", hint: e.Next, err: err}
	switch {
	case errors.Is(err, data.ErrUnsupported):
		f.code = exitUnsupported
	case errors.Is(err, data.ErrLimit):
		f.code = exitResources
	}
	parts := []string{}
	for _, p := range []string{e.File, e.Where, e.Why} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	f.msg = strings.Join(parts, ": ")
	return f
}
