package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/train"
)

// trainFlags are the flags of `certify train`.
type trainFlags struct {
	out, checkpoint string
	data, test      string
	mnist           string
	epochs, stop    int
	workers         int
	json            bool
	profile         string
}

const recipeHelp = `A recipe is a TOML file:

  seed = 1
  data = "mnist:train"
  layers = ["conv 16 4 stride 2 pad 1", "relu", "dense 100", "relu", "dense 10"]
  init = "ibp"                       # weights for interval bounds; or small (as PyTorch's), he (the default)
  [loss]
  method = "ibp"                     # certify list losses
  eps = 0.1
  clip = [0, 1]                      # the range of valid inputs
  ramp = [1, 10]                     # epochs in which the radius grows from 0 to eps
  kappa = [1, 0.5]                   # weight of the clean loss before and after the ramp
  [train]
  epochs = 20
  batch = 128
  lr = 1e-3
  schedule = "step 0.2 at 0.7 0.9"   # or constant, cosine, onecycle

Other keys: test, input; in [loss] alpha, part, steps, reach, beta, split, norm, pairs; in [train] optimiser (adam, sgd),
momentum, weight_decay, l1, longest_gradient, shard, shift (pixels that pictures are moved at random).`

func (a *app) trainCmd() *cobra.Command {
	f := &trainFlags{}
	c := &cobra.Command{
		Use:   "train RECIPE -o NET.onnx",
		Short: "Train a network that can be certified",
		Long: "Train a network by a recipe and write it as ONNX. The share of certified images that is printed on the way is that of\n" +
			"the loss, in float32: proofs come from `certify eval`.\n\n" + recipeHelp,
		Example: "  certify train ibp.toml -o ibp.onnx --checkpoint ibp.state\n" +
			"  certify eval ibp.onnx --data mnist:test --eps 0.1 -t 10",
		Args: cobra.ExactArgs(1),
	}
	fs := c.Flags()
	fs.StringVarP(&f.out, "out", "o", "", "write the network to this `file`")
	fs.StringVar(&f.checkpoint, "checkpoint", "", "keep the state after every epoch in this `file`, and go on from it if it is there")
	fs.StringVar(&f.data, "data", "", "training data, in the place of the recipe's")
	fs.StringVar(&f.test, "test", "", "data to test the network on in the end, in the place of the recipe's")
	fs.StringVar(&f.mnist, "mnist", os.Getenv("CERTIFY_MNIST"), "`folder` of the IDX files behind mnist:train (default: $CERTIFY_MNIST)")
	fs.IntVar(&f.epochs, "epochs", 0, "number of epochs, in the place of the recipe's")
	fs.IntVar(&f.stop, "stop-after", 0, "stop after this epoch; with --checkpoint, the same command without it goes on")
	fs.IntVarP(&f.workers, "workers", "j", 0, "threads (default: the cores); the result does not depend on it")
	fs.BoolVar(&f.json, "json", false, "print a JSON line for every epoch instead of text")
	fs.StringVar(&f.profile, "cpuprofile", "", "write a CPU profile to this `file`")
	_ = fs.MarkHidden("cpuprofile")
	c.RunE = runE(func(c *cobra.Command, args []string) error { return a.train(c.Context(), f, args[0]) })
	return c
}

// errStop ends a training after --stop-after.
var errStop = errors.New("stopped")

func (a *app) train(ctx context.Context, f *trainFlags, path string) (err error) {
	if f.out == "" {
		return usagef("add -o NET.onnx", "there is no place for the network")
	}
	if err := writable(f.out, "network", "-o"); err != nil {
		return err
	}
	r, text, err := readRecipe(path)
	if err != nil {
		return err
	}
	if f.epochs > 0 {
		r.Train.Epochs = f.epochs
	}
	set, err := openTraining(f.data, r.Data, f.mnist, r.Input)
	if err != nil {
		return err
	}
	net, err := r.net(set.Shape)
	if err == nil {
		err = set.CheckLabels(net.Classes())
	}
	if err != nil {
		return malformedf("`certify train --help` shows a recipe", "%s: %v", path, err)
	}
	steps, err := r.training(f.workers)
	if err != nil {
		return malformedf("`certify train --help` shows a recipe", "%s: %v", path, err)
	}
	o, err := objective[float32](r)
	if err != nil {
		return malformedf("`certify train --help` shows a recipe", "%s: %v", path, err)
	}
	var last train.Progress
	h := train.Hooks[float32]{Objective: o, Progress: func(p train.Progress) { last = a.trainStep(f, last, p) }}
	if f.checkpoint != "" {
		k := &checkpoint{path: f.checkpoint, recipe: text, epochs: steps.Epochs, data: set}
		if h.Resume, err = k.read(); err != nil {
			return err
		}
		if h.Resume != nil {
			a.notef("resumed   after epoch %d of %d, from %s", h.Resume.Epoch, steps.Epochs, f.checkpoint)
		}
		h.Epoch = func(s train.State[float32], _ train.Progress) error { return k.write(s) }
	}
	if f.stop > 0 {
		write := h.Epoch
		h.Epoch = func(s train.State[float32], p train.Progress) error {
			if write != nil {
				if err := write(s, p); err != nil {
					return err
				}
			}
			if s.Epoch >= f.stop {
				return errStop
			}
			return nil
		}
	}
	a.notef("network   %v, %d parameters   %d images   loss %s, radius %v", r.Layers, len(net.Weights), set.Len(), r.Loss.Method, r.Loss.Eps)
	ctx, stop := signals(ctx)
	defer stop()
	endProfile, err := profile(f.profile)
	if err != nil {
		return err
	}
	_, err = train.Fit(ctx, net, samples(set), steps, h)
	if perr := endProfile(); perr != nil && err == nil {
		err = perr
	}
	var sig *interrupt
	interrupted := errors.As(context.Cause(ctx), &sig)
	if err != nil && !interrupted && !errors.Is(err, errStop) {
		return err
	}
	if err != nil { // what Fit does in the end
		if err := net.Populate(context.WithoutCancel(ctx), samples(set).X, steps.Shard, f.workers); err != nil {
			return err
		}
	}
	net = net.Folded()
	net.RoundFloat32()
	g, err := net.Graph()
	if err != nil {
		return err
	}
	if err := writeAtomic(f.out, func(w *os.File) error { return onnx.Write(w, g) }); err != nil {
		return err
	}
	if interrupted {
		a.notef("interrupted in epoch %d of %d: %s is the network so far", last.Epoch, last.Epochs, f.out)
		return &status{sig.code()}
	}
	return a.trainTest(ctx, f, r, net)
}

// openTraining opens a data set: the one of the flag, or the recipe's.
func openTraining(flag, recipe, mnist string, shape []int) (*data.Set, error) {
	spec := flag
	if spec == "" {
		spec = recipe
	}
	if spec == "" {
		return nil, usagef(`write data = "mnist:train" in the recipe, or add --data`, "there are no data to train on")
	}
	s, err := data.Open(spec, data.Options{MNIST: mnist, Shape: shape})
	if err != nil {
		return nil, dataError(err)
	}
	return s, nil
}

// samples are the items of a set as a network sees them.
func samples(s *data.Set) *train.Samples[float32] {
	out := &train.Samples[float32]{X: make([]float32, len(s.X)), Labels: s.Labels}
	for i, v := range s.X {
		out.X[i] = float32(v)
	}
	return out
}

// trainStep reports a step, twice a minute and at the end of every epoch. It returns what was reported last.
func (a *app) trainStep(f *trainFlags, last, p train.Progress) train.Progress {
	end := p.Step%max(p.Steps/p.Epochs, 1) == 0
	if !end && p.Elapsed-last.Elapsed < 30*time.Second {
		return last
	}
	switch {
	case f.json && end:
		o := struct {
			Epoch     int      `json:"epoch"`
			Epochs    int      `json:"epochs"`
			Eps       float64  `json:"eps"`
			Loss      float64  `json:"loss"`
			Accuracy  float64  `json:"accuracy"`
			Certified *float64 `json:"certified_by_loss"`
			LR        float64  `json:"lr"`
			Seconds   float64  `json:"seconds"`
		}{p.Epoch, p.Epochs, p.Eps, p.Loss, p.Accuracy, nil, p.LR, p.Elapsed.Seconds()}
		if !math.IsNaN(p.Certified) {
			o.Certified = &p.Certified
		}
		_ = json.NewEncoder(a.out).Encode(o)
	case !f.json:
		certified := ""
		if !math.IsNaN(p.Certified) {
			certified = fmt.Sprintf("   certified %5.2f %%", 100*p.Certified)
		}
		a.notef("epoch %d/%d   step %d/%d   radius %.4g   loss %.4f   clean %5.2f %%%s   %.0f images/s   %s left", p.Epoch, p.Epochs,
			p.Step, p.Steps, p.Eps, p.Loss, 100*p.Accuracy, certified, p.Rate, clock(p.Left))
	}
	return p
}

// trainTest counts how many images of the test data the network gets right.
func (a *app) trainTest(ctx context.Context, f *trainFlags, r *recipe, net *train.Net[float32]) error {
	if f.test == "" && r.Test == "" {
		return nil
	}
	set, err := openTraining(f.test, r.Test, f.mnist, r.Input)
	if err != nil {
		return err
	}
	if err := set.CheckLabels(net.Classes()); err != nil {
		return dataError(err)
	}
	s := samples(set)
	y, err := net.Logits(ctx, s.X, f.workers)
	if err != nil {
		return err
	}
	n := train.Correct(y, net.Classes(), s.Labels)
	a.notef("test      %d of %d images right (%.2f %%)", n, set.Len(), 100*float64(n)/float64(set.Len()))
	return nil
}
