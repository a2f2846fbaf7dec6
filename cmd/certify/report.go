package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/verify/robust"
	"github.com/spai-project/certify/verify/robust/page"
)

func (a *app) reportCmd() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "report RUN.jsonl...",
		Short: "Make one HTML page of the results of `certify eval`: words, tables, curves, examples, how to repeat it",
		Example: "  certify eval net.onnx --data mnist:test[0:100] --eps 0.1 -t 10 -o run.jsonl && certify report run.jsonl -o " +
			"report.html",
		Args: cobra.MinimumNArgs(1),
	}
	c.Flags().StringVarP(&out, "out", "o", "report.html", "the `file` to write; it needs no other file and no network")
	c.RunE = runE(func(_ *cobra.Command, args []string) error {
		if err := writable(out, "report", "-o"); err != nil {
			return err
		}
		var runs []page.Run
		for _, path := range args {
			h, records, err := robust.ReadLog(path)
			if err != nil {
				return robustError(path, path, err)
			}
			if len(records) == 0 {
				return malformedf("let `certify eval` finish one item at least", "%s holds no results yet", path)
			}
			if len(records) < h.Data.Items {
				a.notef("note: %s holds %d of %d items: the run was stopped or goes on", path, len(records), h.Data.Items)
			}
			runs = append(runs, page.Run{Path: path, Header: h, Records: records})
		}
		if err := writeAtomic(out, func(w *os.File) error { return page.Write(w, runs, "certify "+version) }); err != nil {
			return err
		}
		a.notef("wrote %s", out)
		return nil
	})
	return c
}
