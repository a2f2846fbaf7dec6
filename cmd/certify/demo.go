package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/cmd/certify/demo"
)

func (a *app) demoCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "demo [DIR]",
		Short: "Unpack a small bundled model with two queries into ./certify-demo and decide them",
		Args:  cobra.MaximumNArgs(1),
	}
	c.RunE = runE(func(c *cobra.Command, args []string) error {
		dir := "certify-demo"
		if len(args) == 1 {
			dir = args[0]
		}
		if err := demo.Unpack(dir); err != nil {
			return err
		}
		a.notef("unpacked a 5→20→20→5 ReLU network and two queries into %s", dir)
		for _, query := range []string{"safe.vnnlib", "unsafe.vnnlib"} {
			if err := a.demoVerify(c.Context(), filepath.Join(dir, "model.onnx"), filepath.Join(dir, query)); err != nil {
				return err
			}
		}
		a.notef("\nnext: certify inspect %s   ·   certify bench run %s", filepath.Join(dir, "model.onnx"), dir)
		return nil
	})
	return c
}

// demoVerify shows and runs the command line that a user would type.
func (a *app) demoVerify(ctx context.Context, model, query string) error {
	a.notef("\n$ certify verify %s %s -t 10 -v", model, query)
	sub := *a
	sub.start = time.Now()
	root := sub.root()
	args := []string{"verify", model, query, "-t", "10", "-v"}
	if a.quiet {
		args = append(args, "-q")
	}
	root.SetArgs(args) // the limit also sizes the first search for counterexamples
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	return root.ExecuteContext(ctx)
}
