package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// A bounder computes rigorous bounds of every output over one box.
type bounder func(ctx context.Context, p *prog.Program, b *spec.Box, workers int) (lower, upper []float64, err error)

func (a *app) boundsCmd() *cobra.Command {
	var asJSON bool
	var method string
	var workers int
	c := &cobra.Command{
		Use:   "bounds MODEL QUERY",
		Short: "Print rigorous bounds of every output over every input box of a query",
		Args:  cobra.ExactArgs(2),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per box")
	c.Flags().StringVar(&method, "method", "crown", "bounding method: ibp, crown, alpha")
	c.Flags().IntVarP(&workers, "workers", "j", 0, "threads (default: the cores)")
	c.RunE = runE(func(c *cobra.Command, args []string) error {
		bound, ok := bounders[method]
		if !ok {
			return usagef("the methods are ibp, crown and alpha", "--method: unknown method %q", method)
		}
		f := &verifyFlags{}
		model, query, err := f.files(args)
		if err != nil {
			return err
		}
		g, err := loadModel(model)
		if err != nil {
			return err
		}
		p, err := loadQuery(query, g)
		if err != nil {
			return err
		}
		lowered, err := g.Lower()
		if err != nil {
			return modelError(model, err)
		}
		ctx, stop := signals(c.Context())
		defer stop()
		for i := range p.Boxes {
			lo, up, err := bound(ctx, lowered, &p.Boxes[i], workers)
			if err != nil {
				return err
			}
			if err := a.printBounds(i, lo, up, asJSON); err != nil {
				return err
			}
		}
		return nil
	})
	return c
}

// printBounds writes the bounds of one box; numbers have the digits that read back as the same float64.
func (a *app) printBounds(box int, lo, up []float64, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(a.out).Encode(struct {
			Box   int       `json:"box"`
			Lower []float64 `json:"lower"`
			Upper []float64 `json:"upper"`
		}{box, lo, up})
	}
	for i := range lo {
		_, err := fmt.Fprintf(a.out, "box %d  Y_%d  [%s, %s]\n", box, i, strconv.FormatFloat(lo[i], 'g', -1, 64), strconv.FormatFloat(up[i], 'g', -1, 64))
		if err != nil {
			return err
		}
	}
	return nil
}
