package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/benchmarks/masked"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/train"
)

func (a *app) benchMaskedCmd() *cobra.Command {
	f := &benchMaskedFlags{}
	c := &cobra.Command{
		Use:   "masked",
		Short: "Put defences that hide gradients on small networks, and attack them with and without seeing through",
		Long: "Train small networks on MNIST, put the defences of attacks/defense on, and measure how much accuracy is left under an\n" +
			"attack that takes the defended network as it comes, and under one that sees through the defence (BPDA, EOT, losses on\n" +
			"logits). With --update the table replaces the block of a page.",
		Example: "  certify bench masked --data mnist --update docs/masked.md",
		Args:    cobra.NoArgs,
	}
	fs := c.Flags()
	fs.StringVar(&f.data, "data", "", "`folder` of the four files of MNIST (default: mnist in $CERTIFY_BENCH)")
	fs.IntVar(&f.train, "train", 20000, "train on the first `N` images")
	fs.IntVar(&f.test, "test", 500, "attack the first `N` test images")
	fs.IntVar(&f.epochs, "epochs", 4, "passes over the training images; twice as many for adversarial training")
	fs.Float64SliceVar(&f.radii, "eps", []float64{0.1, 0.2}, "radii, in the largest norm")
	fs.Uint64Var(&f.seed, "seed", 1, "seed of weights, draws and attacks")
	fs.StringVar(&f.only, "only", "", "only the defences whose name contains this `text`")
	fs.IntVarP(&f.workers, "workers", "j", 0, "threads (default: the cores); the table does not depend on it")
	fs.StringVar(&f.networks, "networks", "", "also write the trained networks as ONNX into this `folder`")
	fs.StringVar(&f.page, "update", "", "replace the block in this `page` instead of printing it")
	c.RunE = runE(func(c *cobra.Command, _ []string) error { return a.benchMasked(c.Context(), f) })
	return c
}

type benchMaskedFlags struct {
	data, only, page    string
	networks            string
	train, test, epochs int
	radii               []float64
	seed                uint64
	workers             int
}

func (a *app) benchMasked(ctx context.Context, f *benchMaskedFlags) error {
	defences, err := f.check()
	if err != nil {
		return err
	}
	l := &masked.Lab{Classes: 10, Hidden: []int{200, 100}, Epochs: f.epochs, Seed: f.seed, Workers: f.workers,
		Report: func(text string) { a.notef("%s", text) }}
	if l.Train, err = data.Open(fmt.Sprintf("mnist:train[0:%d]", f.train), data.Options{MNIST: f.data}); err != nil {
		return err
	}
	if l.Test, err = data.Open(fmt.Sprintf("mnist:test[0:%d]", f.test), data.Options{MNIST: f.data}); err != nil {
		return err
	}
	if f.networks != "" {
		if err := os.MkdirAll(f.networks, 0o777); err != nil {
			return err
		}
		l.Keep = func(name string, n *train.Net[float32]) error {
			g, err := n.Graph()
			if err != nil {
				return err
			}
			path := filepath.Join(f.networks, strings.ReplaceAll(name, " ", "-")+".onnx")
			return writeAtomic(path, func(w *os.File) error { return onnx.Write(w, g) })
		}
	}
	ctx, stop := signals(ctx)
	defer stop()
	begin := time.Now()
	cpu, _ := usage()
	rows, err := l.Run(ctx, defences, f.radii)
	var sig *interrupt
	if errors.As(context.Cause(ctx), &sig) {
		a.notef("interrupted: nothing was written")
		return &status{sig.code()}
	}
	if err != nil {
		return err
	}
	spent, _ := usage()
	text := fmt.Sprintf("Measured with certify %s on %s: the first %d test images, networks trained on %d images, seed %d; %.0f s,\n"+
		"%.0f s of processor time.\n\n%s", version, time.Now().Format(time.DateOnly), f.test, f.train, f.seed,
		time.Since(begin).Seconds(), (spent - cpu).Seconds(), masked.Table(rows, f.radii))
	if f.page == "" {
		fmt.Fprintln(a.out, strings.TrimSpace(text))
		return nil
	}
	return a.updatePage(f.page, masked.Block, text)
}

// check completes the flags and returns the defences that were asked for.
func (f *benchMaskedFlags) check() ([]masked.Defence, error) {
	if f.data == "" {
		root := os.Getenv("CERTIFY_BENCH")
		if root == "" {
			return nil, usagef("name the folder of MNIST, or set CERTIFY_BENCH", "--data is missing")
		}
		f.data = filepath.Join(root, "mnist")
	}
	if f.train < 1 || f.test < 1 || f.epochs < 1 || f.workers < 0 || len(f.radii) == 0 {
		return nil, usagef("want numbers of at least 1", "--train %d, --test %d, --epochs %d, -j %d, --eps %v", f.train, f.test,
			f.epochs, f.workers, f.radii)
	}
	for _, eps := range f.radii {
		if !(eps >= 0 && eps <= 1) {
			return nil, usagef("pixels lie between 0 and 1", "--eps %v", eps)
		}
	}
	if f.page != "" { // before minutes of work
		if _, err := os.Stat(f.page); err != nil {
			return nil, err
		}
	}
	var list []masked.Defence
	for _, d := range masked.Defences() {
		if strings.Contains(d.Name, f.only) {
			list = append(list, d)
		}
	}
	if len(list) == 0 {
		return nil, usagef("see the names in docs/masked.md", "--only %q: no such defence", f.only)
	}
	return list, nil
}
