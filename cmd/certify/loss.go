package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/tape"
	"github.com/spai-project/certify/nn/train"
	"github.com/spai-project/certify/relax/loss"
)

// lossFlags are the flags of `certify loss`.
type lossFlags struct {
	model, batch, grads string
	mnist               string
	settings            loss.Settings
	kappa, beta         float64
	clip                string
	workers             int
	json                bool
}

func (a *app) lossCmd() *cobra.Command {
	f := &lossFlags{}
	c := &cobra.Command{
		Use:   "loss --onnx MODEL --batch FILE --loss NAME --eps EPS --grads FILE",
		Short: "A certified loss of a network on a batch, with its gradients, for training loops in other languages",
		Long: "Compute a loss of certified training on a batch and write the gradients of the network's initialisers, under their names\n" +
			"and in their shapes, as .npz. The loss is the mean over the batch. `certify list losses` lists the losses.",
		Example: "  certify loss --onnx net.onnx --batch batch.npz --loss ibp --eps 0.1 --clip 0,1 --kappa 0.5 --grads grads.npz",
		Args:    cobra.NoArgs,
	}
	fs := c.Flags()
	fs.StringVar(&f.model, "onnx", "", "the network")
	fs.StringVar(&f.batch, "batch", "", "inputs and labels: an .npz with arrays x and y, or whatever --data of other commands reads")
	fs.StringVar(&f.mnist, "mnist", os.Getenv("CERTIFY_MNIST"), "`folder` of the IDX files behind mnist:train (default: $CERTIFY_MNIST)")
	fs.StringVar(&f.grads, "grads", "", "write gradients to this `file`")
	fs.StringVar(&f.settings.Method, "loss", "ibp", "a loss of `certify list losses`")
	fs.Float64Var(&f.settings.Eps, "eps", 0, "radius of the L∞ ball")
	fs.StringVar(&f.clip, "clip", "none", "the range of valid inputs, as 0,1, or none")
	fs.Float64Var(&f.kappa, "kappa", 0, "weight of the clean loss against the robust one")
	fs.Float64Var(&f.settings.Alpha, "alpha", 0, "weight of the bound against the attack (mtl-ibp, cc-ibp, exp-ibp, taps)")
	fs.Float64Var(&f.beta, "beta", 0, "weight of CROWN against IBP (crown-ibp)")
	fs.Float64Var(&f.settings.Part, "part", 0, "size of the box as a part of the ball (sabr)")
	fs.IntVar(&f.settings.Steps, "steps", 1, "steps of attacks")
	fs.Float64Var(&f.settings.Reach, "reach", 1, "radius of attacks as a multiple of --eps")
	fs.IntVar(&f.settings.Split, "split", 0, "layers that intervals go through (taps)")
	fs.Uint64Var(&f.settings.Seed, "seed", 0, "seed of attacks")
	fs.IntVarP(&f.workers, "workers", "j", 0, "threads (default: the cores)")
	fs.BoolVar(&f.json, "json", false, "print JSON instead of text")
	c.RunE = runE(func(c *cobra.Command, _ []string) error { return a.loss(c.Context(), f) })
	return c
}

func (a *app) loss(ctx context.Context, f *lossFlags) error {
	if f.model == "" || f.batch == "" {
		return usagef("certify loss --onnx net.onnx --batch batch.npz --loss ibp --eps 0.1", "a network and a batch are needed")
	}
	g, err := onnx.ReadFile(f.model)
	if err != nil {
		return err
	}
	net, sources, err := train.FromGraph[float32](g)
	if err != nil {
		return unsupportedf("sequences of Gemm, MatMul, Conv, BatchNormalization and Relu can be trained", "%s: %v", f.model, err)
	}
	set, err := data.Open(f.batch, data.Options{MNIST: f.mnist, Shape: net.InputShape()})
	if err != nil {
		return dataError(err)
	}
	if err := set.CheckLabels(net.Classes()); err != nil {
		return dataError(err)
	}
	if f.clip != "none" {
		v, err := numbers(f.clip)
		if err != nil || len(v) != 2 {
			return usagef("write 0,1, or none", "--clip: %q is no range", f.clip)
		}
		f.settings.Lower, f.settings.Upper = v[0], v[1]
	}
	f.settings.Kappa, f.settings.Beta = [2]float64{f.kappa, f.kappa}, [2]float64{f.beta, f.beta}
	o, err := loss.New[float32](f.settings)
	if err != nil {
		return usagef("see `certify loss --help`", "%v", err)
	}
	value, err := newLossValue(ctx, net, o, set, f.workers)
	if err != nil {
		return usagef("see `certify loss --help`", "%v", err)
	}
	if value.Loss-value.Loss != 0 {
		return malformedf("scale the data, or look at the weights", "the loss is %v on %s", value.Loss, f.batch)
	}
	if f.grads != "" {
		if err := writeAtomic(f.grads, func(w *os.File) error { return writeGradients(w, net, sources, value.grad) }); err != nil {
			return err
		}
	}
	if f.json {
		return json.NewEncoder(a.out).Encode(value)
	}
	text := ""
	if value.Certified != nil {
		text = fmt.Sprintf("   certified by the loss %d", *value.Certified)
	}
	_, err = fmt.Fprintf(a.out, "loss %.9g   rows %d   right %d%s\n", value.Loss, value.Rows, value.Right, text)
	return err
}

// lossValue is a loss with what it says about the rows.
type lossValue struct {
	Loss      float64 `json:"loss"`
	Rows      int     `json:"rows"`
	Right     int     `json:"right"`
	Certified *int    `json:"certified_by_loss"`
	grad      []float32
}

func newLossValue(ctx context.Context, net *train.Net[float32], o train.Objective[float32], set *data.Set, workers int) (*lossValue, error) {
	t := tape.New[float32](net.Inputs(), len(net.Weights))
	rec, err := o.Record(t, net)
	if err != nil {
		return nil, err
	}
	outputs := []tape.Value{rec.Logits}
	if rec.Worst != nil {
		outputs = append(outputs, *rec.Worst)
	}
	run := tape.NewRunner(t, tape.Options{Workers: workers, Outputs: outputs})
	if rec.Begin != nil {
		rec.Begin(train.Moment{}, run.Set)
	}
	s := samples(set)
	v := &lossValue{Rows: set.Len()}
	if v.Loss, v.grad, err = run.Descend(ctx, net.Weights, tape.Batch[float32]{X: s.X, Labels: s.Labels}, rec.Loss); err != nil {
		return nil, err
	}
	v.Right = train.Correct(run.Output(0), net.Classes(), s.Labels)
	if rec.Worst != nil {
		n := train.Certified(run.Output(1), net.Classes(), s.Labels)
		v.Certified = &n
	}
	return v, nil
}

// writeGradients writes the gradients of the initialisers.
func writeGradients(w *os.File, net *train.Net[float32], sources []train.Source, grad []float32) error {
	var arrays []data.Array
	for i, p := range net.Params() {
		g := grad[:len(p.Data)]
		grad = grad[len(p.Data):]
		if sources[i].Name == "" {
			continue
		}
		out := make([]float32, len(g))
		sources[i].Unload(out, g)
		arrays = append(arrays, data.NewArray(sources[i].Name, sources[i].Shape, out))
	}
	return data.WriteNPZ(w, arrays...)
}
