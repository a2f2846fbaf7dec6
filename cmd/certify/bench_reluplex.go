package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/benchmarks/reluplex"
)

func (a *app) benchReluplexCmd() *cobra.Command {
	var data, page string
	limit := seconds(120 * time.Second)
	c := &cobra.Command{
		Use:   "reluplex",
		Short: "Answer the questions of the Reluplex paper and compare with its tables",
		Long: "Ask the ten properties of the ACAS Xu networks and the 25 cells of local robustness of Katz et al. (CAV 2017), one\n" +
			"question after the other, and print both tables beside the paper's. With --update they replace the blocks of a page.",
		Example: "  certify bench reluplex --data suites/acasxu/onnx --update docs/reluplex.md",
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVar(&data, "data", "", "`folder` of the 45 networks (default: vnncomp/acasxu_2023/onnx in $CERTIFY_BENCH)")
	c.Flags().Var(&limit, "cap", "no question gets more time than this")
	c.Flags().StringVar(&page, "update", "", "replace the blocks in this `page` instead of printing them")
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		if data == "" {
			root := os.Getenv("CERTIFY_BENCH")
			if root == "" {
				return usagef("name the folder of the networks, or set CERTIFY_BENCH", "--data is missing")
			}
			data = filepath.Join(root, "vnncomp", "acasxu_2023", "onnx")
		}
		return a.benchReluplex(c.Context(), data, page, time.Duration(limit))
	})
	return c
}

func (a *app) benchReluplex(ctx context.Context, data, page string, limit time.Duration) error {
	if page != "" { // before minutes of work
		if _, err := os.Stat(page); err != nil {
			return err
		}
	}
	ctx, stop := signals(ctx)
	defer stop()
	r := reluplex.Runner{
		Data: data, Cap: limit,
		CPU: func() time.Duration { cpu, _ := usage(); return cpu },
		Report: func(what string, o reluplex.Outcome) {
			a.notef("%-22s %-9v %7.2f s  %d sub-problems", what, o.Verdict, o.Wall.Seconds(), o.Bounded)
		},
	}
	found, loose, err := askTwice(ctx, &r)
	var sig *interrupt
	if errors.As(err, &sig) {
		a.notef("interrupted: nothing was written")
		return &status{sig.code()}
	}
	if err != nil {
		return err
	}
	head := fmt.Sprintf("Measured with certify %s on %s, %s, at most %v for each question.", version,
		time.Now().Format(time.DateOnly), workers(runtime.GOMAXPROCS(0)), limit)
	for _, b := range reluplex.Blocks {
		text, err := found.Block(b, head, loose)
		if err != nil {
			return err
		}
		if page == "" {
			fmt.Fprintln(a.out, strings.TrimSpace(text)+"\n")
		} else if err := a.updatePage(page, b, text); err != nil {
			return err
		}
	}
	return nil
}

// askTwice asks everything exactly, and once more with the slack of the paper's program.
func askTwice(ctx context.Context, r *reluplex.Runner) (exact, loose *reluplex.Answers, err error) {
	if exact, err = r.Run(ctx); err != nil {
		return nil, nil, err
	}
	r.Slack = reluplex.ProgramSlack
	loose, err = r.Run(ctx)
	return exact, loose, err
}
