package main

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/sdp/poison"
)

// poisonCertifyFlags are the flags of `certify poison certify`.
type poisonCertifyFlags struct {
	dataFlags
	method, classes    string
	test, testLabels   string
	eps, out, progress string
	json               bool
	workers            int
	seed               uint64

	norm, rate   float64 // steinhardt
	iterations   int
	sphere, slab float64
	limits       string
	moving       bool
	attack       string

	models, copies int // dpa
	flipsOnly      bool
	ridge          float64
	k              int     // knn
	flip           float64 // label-flip
}

func (a *app) poisonCertifyCmd() *cobra.Command {
	f := &poisonCertifyFlags{}
	c := &cobra.Command{
		Use:   "certify --data SPEC --method steinhardt|dpa|label-flip|knn",
		Short: "Certificates against poisoned training data",
		Long: "Bound what poisoned training data can do to a stated way of training:\n\n" +
			"  steinhardt  a linear classifier on data filtered by a sphere and a slab: its hinge loss on the clean data\n" +
			"  dpa         models on parts of the data that vote: insertions and deletions that cannot change an answer\n" +
			"  label-flip  least squares on two classes: flipped labels that cannot change an answer, exactly or smoothed\n" +
			"  knn         nearest neighbours: insertions, deletions and flips that cannot change an answer, exactly\n\n" +
			"-o keeps a certificate that `certify poison check` evaluates again.",
		Example: "  certify poison certify --data mnist:train --classes 1,7 --eps 0.3 --test mnist:test -o bound.json\n" +
			"  certify poison certify --data mnist:train --test mnist:test --method dpa --models 1200",
		Args: cobra.NoArgs,
	}
	f.register(c, false)
	fs := c.Flags()
	fs.StringVar(&f.method, "method", "steinhardt", "steinhardt, dpa, label-flip or knn")
	fs.StringVar(&f.test, "test", "", "test items, as --data; steinhardt only measures on them, the others certify them")
	fs.StringVar(&f.testLabels, "test-labels", "", "a `file` of labels of the test items (default: those they bring along)")
	fs.StringVar(&f.classes, "classes", "", "steinhardt, label-flip: two labels, as 1,7 (default: those of the data, if two)")
	fs.StringVarP(&f.out, "out", "o", "", "write the certificate to this `file`")
	fs.StringVar(&f.progress, "progress", "auto", "auto, plain, json or none")
	fs.BoolVar(&f.json, "json", false, "print one JSON object instead of a table")
	fs.IntVarP(&f.workers, "workers", "j", 0, "threads (default: one for each processor); results do not depend on it")
	fs.Uint64Var(&f.seed, "seed", 0, "seed of the attack's draw, and of dpa with --copies")
	fs.StringVar(&f.eps, "eps", "0.03", "steinhardt: poisoned items, as fractions of the clean ones: 0.03 or 0.02,0.05,0.3")
	fs.Float64Var(&f.norm, "norm-squared", 0.8, "steinhardt: bound on the squared norm of weights and bias")
	fs.Float64Var(&f.rate, "rate", 0.1, "steinhardt: step size")
	fs.IntVar(&f.iterations, "iterations", 1500, "steinhardt: iterations of the search, and of training on the poison it finds")
	fs.Float64Var(&f.sphere, "sphere", 70, "steinhardt: percentile of the distances to the centroid that pass; 0: no sphere")
	fs.Float64Var(&f.slab, "slab", 70, "steinhardt: the same along the line between the centroids; 0: no slab")
	fs.StringVar(&f.limits, "range", "", "steinhardt: values outside are filtered out, as 0,1 or 0,inf")
	fs.BoolVar(&f.moving, "moving-centroids", false,
		"steinhardt: the defence takes the centroids of clean data and of poisoned items that pass together; without a slab")
	fs.StringVar(&f.attack, "attack", "", "steinhardt: write the poisoned items that the search implies to this .npz `file`")
	fs.IntVar(&f.models, "models", 1200, "dpa: models")
	fs.IntVar(&f.copies, "copies", 1, "dpa: models that train on each part; more than 1 is finite aggregation")
	fs.BoolVar(&f.flipsOnly, "flips-only", false, "dpa: parts do not depend on labels, so that a flip reaches one part only")
	fs.Float64Var(&f.ridge, "ridge", 0, "dpa, label-flip: regularisation (default: 0.001)")
	fs.IntVarP(&f.k, "neighbours", "k", 5, "knn: neighbours that vote")
	fs.Float64Var(&f.flip, "flip-probability", 0, "label-flip: certify the version that is smoothed by random flips, as 0.1")
	c.RunE = runE(func(c *cobra.Command, _ []string) error { return a.poisonCertify(c.Context(), f) })
	return c
}

func (a *app) poisonCertify(ctx context.Context, f *poisonCertifyFlags) error {
	for _, out := range []struct{ path, flag string }{{f.out, "-o"}, {f.attack, "--attack"}} {
		if out.path != "" {
			if err := writable(out.path, "certificate", out.flag); err != nil {
				return err
			}
		}
	}
	ctx, stop := signals(ctx)
	defer stop()
	switch f.method {
	case "steinhardt":
		return a.poisonBound(ctx, f)
	case poison.MethodVotes, poison.MethodFlips, poison.MethodNeighbours:
		return a.poisonRecords(ctx, f)
	}
	return usagef("", "--method: %q is not one of steinhardt, dpa, label-flip, knn", f.method)
}

// openLabelled opens data that must have labels, those of a file of their own if one is named. shape is nil, or that of items
// read before; flag is for the message.
func (f *dataFlags) openLabelled(flag, spec, labels string, shape []int) (*data.Set, error) {
	if spec == "" {
		return nil, usagef("for example "+flag+" mnist:train", "%s names no data", flag)
	}
	opt, err := f.options(shape)
	if err != nil {
		return nil, err
	}
	opt.Labels = labels
	s, err := data.Open(spec, opt)
	if err != nil {
		return nil, dataError(err)
	}
	if s.Labels == nil {
		return nil, dataError(&data.Error{File: spec, Why: "the data have no labels",
			Next: "name a file of labels (--labels, --test-labels)"})
	}
	return s, nil
}

// pair reads --classes, or takes the two labels there are.
func (f *poisonCertifyFlags) pair(s *data.Set) (pair [2]int, err error) {
	if f.classes != "" {
		v, err := numbers(f.classes)
		if err != nil || len(v) != 2 || v[0] == v[1] || v[0] != math.Trunc(v[0]) || v[1] != math.Trunc(v[1]) {
			return pair, usagef("write two labels, as 1,7", "--classes: %q", f.classes)
		}
		return [2]int{int(v[0]), int(v[1])}, nil
	}
	lo, hi := s.Labels[0], s.Labels[0]
	for _, l := range s.Labels {
		lo, hi = min(lo, l), max(hi, l)
	}
	for _, l := range s.Labels {
		if l != lo && l != hi {
			return pair, usagef("choose two, as --classes 1,7", "the data have more than two labels: %d, %d, %d, …", lo, l, hi)
		}
	}
	return [2]int{lo, hi}, nil
}

// poisonError gives errors of package poison their exit status.
func poisonError(err error) error {
	if _, ok := errors.AsType[*data.Error](err); ok {
		return dataError(err)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return malformedf("", "%s", strings.TrimPrefix(err.Error(), "poison: "))
}

// keep writes a certificate where -o says.
func (f *poisonCertifyFlags) keep(write func(*os.File) error) error {
	if f.out == "" {
		return nil
	}
	return writeAtomic(f.out, write)
}
