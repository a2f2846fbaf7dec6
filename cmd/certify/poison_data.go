package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/attacks/poison"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/train"
	"github.com/spai-project/certify/verify/trace"
)

// poisonFlags are what the commands about training data share: where the data are, and how things are trained.
type poisonFlags struct {
	data, labels, labelColumn, scale, mnist string
	classes                                 string
	test                                    string
	epochs                                  int
	rate, l2                                float64
	workers                                 int
	seed                                    uint64
	json                                    bool
	progress                                string
}

func (f *poisonFlags) register(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&f.data, "data", "",
		"the training set: mnist:train, an IDX, .npy, .npz or CSV file, a folder of PNG files; with a range: mnist:train[0:1000]")
	fs.StringVar(&f.labels, "labels", "", "a `file` of labels for --data (default: those the data bring along)")
	fs.StringVar(&f.labelColumn, "label-column", "", "the column of a CSV file with the label: first, last or its name")
	fs.StringVar(&f.scale, "scale", "", "factor for stored values, as 1/255 (default: 1/255 for bytes of pictures, else 1)")
	fs.StringVar(&f.mnist, "mnist", os.Getenv("CERTIFY_MNIST"),
		"`folder` of the four IDX files behind mnist:train and mnist:test (default: $CERTIFY_MNIST)")
	fs.StringVar(&f.classes, "classes", "", "keep the items of these classes only, numbered in this order: 1,7")
	fs.StringVar(&f.test, "test", "", "test data, as --data")
	fs.IntVar(&f.epochs, "epochs", 2, "epochs of the networks that are trained")
	fs.Float64Var(&f.rate, "rate", 3e-3, "learning rate of the networks that are trained, at the top of its cycle")
	fs.Float64Var(&f.l2, "l2", 0.01, "λ of the regressions that are trained, as in λ/2·‖θ‖²")
	fs.IntVarP(&f.workers, "workers", "j", 0, "threads (default: the cores)")
	fs.Uint64Var(&f.seed, "seed", 0, "seed of everything random")
	fs.BoolVar(&f.json, "json", false, "print JSON instead of text")
	fs.StringVar(&f.progress, "progress", "auto", "auto, plain, json or none")
}

// check finds what no flag may be.
func (f *poisonFlags) check() error {
	switch {
	case f.data == "":
		return usagef("for example --data mnist:train", "no training set is named")
	case f.workers < 0 || f.epochs < 1:
		return usagef("", "--workers cannot be negative, and --epochs must be positive")
	case !(f.l2 > 0) || math.IsInf(f.l2, 0) || !(f.rate > 0) || math.IsInf(f.rate, 0):
		return usagef("", "--l2 and --rate must be positive numbers")
	}
	return nil
}

// open reads a set; own says that it is --data, whose labels may be in another file.
func (f *poisonFlags) open(spec string, own bool) (*data.Set, error) {
	opt := data.Options{MNIST: f.mnist, LabelColumn: f.labelColumn}
	if own {
		opt.Labels = f.labels
	}
	var err error
	if f.scale != "" {
		if opt.Scale, err = quotient(f.scale); err != nil {
			return nil, usagef("write 1/255 or 0.00392", "--scale: %v", err)
		}
	}
	set, err := data.Open(spec, opt)
	if err != nil {
		return nil, dataError(err)
	}
	if set.Labels == nil {
		return nil, usagef("name a file with --labels", "%s has no labels", spec)
	}
	if f.classes != "" {
		if set, err = f.choose(set, spec); err != nil {
			return nil, err
		}
	}
	if err := set.CheckLabels(1 << 16); err != nil {
		return nil, dataError(err)
	}
	for k, v := range set.X {
		set.X[k] = float64(float32(v)) // what networks see, and what is written
	}
	return set, nil
}

// choose keeps the items of --classes.
func (f *poisonFlags) choose(set *data.Set, spec string) (*data.Set, error) {
	number := map[int]int{}
	for t := range strings.SplitSeq(f.classes, ",") {
		c, err := strconv.Atoi(strings.TrimSpace(t))
		if _, twice := number[c]; err != nil || twice {
			return nil, usagef("write two or more different classes, as 1,7", "--classes: %q", f.classes)
		}
		number[c] = len(number)
	}
	var keep []int
	for i, y := range set.Labels {
		if _, ok := number[y]; ok {
			keep = append(keep, i)
		}
	}
	if len(keep) == 0 || len(number) < 2 {
		return nil, usagef("write two or more classes that the data have", "--classes %s leaves nothing to learn of %s",
			f.classes, spec)
	}
	set = set.Select(keep)
	for i, y := range set.Labels {
		set.Labels[i] = number[y]
	}
	return set, nil
}

// sets reads --data, and --test if it is named, and counts the classes of both.
func (a *app) sets(f *poisonFlags) (set, test *data.Set, classes int, err error) {
	if err := f.check(); err != nil {
		return nil, nil, 0, err
	}
	if set, err = f.open(f.data, true); err != nil {
		return nil, nil, 0, err
	}
	classes = max(slices.Max(set.Labels)+1, 2)
	a.notef("data      %s   %d items of shape %v in %d classes   sha256 %s", f.data, set.Len(), set.Shape, classes,
		shortHash(set.Hash))
	if f.test == "" {
		return set, nil, classes, nil
	}
	if test, err = f.sibling(f.test, set); err != nil {
		return nil, nil, 0, err
	}
	return set, test, max(classes, slices.Max(test.Labels)+1), nil
}

// sibling reads another set of items like those of set.
func (f *poisonFlags) sibling(spec string, set *data.Set) (*data.Set, error) {
	s, err := f.open(spec, false)
	if err == nil && s.Dim() != set.Dim() {
		return nil, malformedf("", "%s has items of shape %v, the training set %v", spec, s.Shape, set.Shape)
	}
	return s, err
}

// A stage tells how far a part of the work is.
type stage func(done, total int)

// stages returns what makes stages in a --progress mode, and what ends them.
func (a *app) stages(mode string) (func(name string) stage, func(), error) {
	tr, end, err := a.progress(mode)
	if err != nil {
		return nil, nil, err
	}
	return func(name string) stage {
		if tr == nil {
			return nil
		}
		return func(done, total int) {
			tr.Trace(trace.Event{Time: time.Since(a.start), Phase: name, Text: fmt.Sprintf("%d/%d", done, total)})
		}
	}, end, nil
}

// trained trains a network on a set, of the layers that poison.FeatureLayers chooses.
func (f *poisonFlags) trained(ctx context.Context, set *data.Set, classes int, root uint64, show stage) (*poison.Split, error) {
	shape := poison.InputShape(set)
	s, err := poison.NewSplit(root, shape, poison.FeatureLayers(shape), classes)
	if err != nil {
		return nil, err
	}
	var h train.Hooks[float32]
	if show != nil {
		h.Progress = func(p train.Progress) { show(p.Step, p.Steps) }
	}
	_, err = s.Fit(ctx, set, train.Recipe{Epochs: f.epochs, LR: f.rate, Schedule: train.OneCycle(), Seed: root,
		Workers: f.workers}, h)
	return s, err
}

// poisonError gives an error of the work its place: an interrupt ends the program, what the library says about arguments is a
// matter of usage.
func (a *app) poisonError(ctx context.Context, err error) error {
	var sig *interrupt
	if errors.As(context.Cause(ctx), &sig) {
		a.notef("interrupted: nothing was written")
		return &status{sig.code()}
	}
	if _, ok := errors.AsType[*data.Error](err); ok {
		return dataError(err)
	}
	if text, ok := strings.CutPrefix(err.Error(), "poison: "); ok {
		return usagef("`certify list poisoning` says what every attack and defence needs", "%s", text)
	}
	return err
}

// writeSet writes a set as .npz, with the record of an attack if there is one: changed and original, one number an item, and the
// attack's text.
func writeSet(path string, set *data.Set, r *poison.Record) error {
	labels := make([]int64, set.Len())
	for i, y := range set.Labels {
		labels[i] = int64(y)
	}
	arrays := []data.Array{data.NewArray("x", append([]int{set.Len()}, set.Shape...), narrow(set.X)),
		data.NewArray("y", []int{set.Len()}, labels)}
	if r != nil {
		changed, original := make([]uint8, set.Len()), make([]int64, set.Len())
		for i := range changed {
			original[i] = int64(r.Original[i])
			if r.Changed[i] {
				changed[i] = 1
			}
		}
		arrays = append(arrays, data.NewArray("changed", []int{set.Len()}, changed), data.NewArray("original", []int{set.Len()},
			original),
			data.NewArray("attack", []int{len(r.Attack)}, []byte(r.Attack)))
	}
	var b bytes.Buffer
	if err := data.WriteNPZ(&b, arrays...); err != nil {
		return err
	}
	return writeBytes(path, b.Bytes())
}

// readRecord reads the record beside a poisoned set; nil when there is none.
func readRecord(spec string, items int) *poison.Record {
	o := data.Options{Key: "changed", LabelKey: "original", Shape: []int{1}}
	marks, err := data.Open(spec, o)
	if err != nil || marks.Len() != items {
		return nil
	}
	r := &poison.Record{Original: marks.Labels}
	for _, v := range marks.X {
		r.Changed = append(r.Changed, v != 0)
	}
	path := spec
	if at := strings.LastIndexByte(spec, '['); at > 0 && strings.HasSuffix(spec, "]") {
		path = spec[:at]
	}
	// The text is taken as labels too, so that those of the items are not.
	if text, err := data.Open(path, data.Options{Key: "attack", LabelKey: "attack", Shape: []int{1}}); err == nil {
		for _, v := range text.Labels {
			r.Attack += string(rune(v))
		}
	}
	return r
}

// share writes a share for people; − for none.
func share(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", 100*v)
}
