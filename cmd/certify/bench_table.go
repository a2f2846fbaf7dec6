package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/benchmarks"
)

// A tableForm turns files into the Markdown of one block of docs/performance.md.
type tableForm struct {
	block, doc string
	files      int // exactly so many, 0: at least one
	// make returns the text, and the contradictions found on the way.
	make func(a *app, files []string) (text string, contradictions []string, err error)
}

var tableForms = []tableForm{
	{"suites", "results files: one row per suite", 0, suitesTable},
	{"workers", "two results files of the same instances, run with -j 1 and -j 2: times and speed-up", 2, workersTable},
	{"phases", "results files: the share of each phase in the time of the instances", 0, phasesTable},
	{"certificates", "results files of runs with --check: what certificates cost beside the search", 0, certificatesTable},
	{"closing", "the output of go test -bench Rigour ./relax: what error terms cost", 1, closingTable},
	{"kernels", "the output of go test -bench: its measurements", 1, kernelsTable},
}

func (a *app) benchTableCmd() *cobra.Command {
	var block, page string
	c := &cobra.Command{
		Use:   "table FILE...",
		Short: "Print the Markdown of a measured block, or put it into a page",
		Args:  cobra.MinimumNArgs(1),
	}
	c.Long = "Print the Markdown of a measured block. With --update it replaces what stands in the page between the lines\n" +
		"<!-- measured:begin BLOCK --> and <!-- measured:end BLOCK -->. A contradiction with known answers exits with 1.\n\nBlocks:\n"
	for _, f := range tableForms {
		c.Long += fmt.Sprintf("  %-12s %s\n", f.block, f.doc)
	}
	c.Example = "  certify bench table results.jsonl --update docs/performance.md\n" +
		"  certify bench table --block workers one.jsonl two.jsonl --update docs/performance.md"
	c.Flags().StringVar(&block, "block", "suites", "which block")
	c.Flags().StringVar(&page, "update", "", "replace the block in this `page` instead of printing it")
	c.RunE = runE(func(_ *cobra.Command, args []string) error { return a.benchTable(block, page, args) })
	return c
}

func (a *app) benchTable(block, page string, args []string) error {
	at := slices.IndexFunc(tableForms, func(f tableForm) bool { return f.block == block })
	if at < 0 {
		return usagef("certify bench table --help lists the blocks", "--block: there is no block %q", block)
	}
	f := tableForms[at]
	if f.files > 0 && len(args) != f.files {
		return usagef("", "block %s is made of %d file(s), not %d", block, f.files, len(args))
	}
	text, contradictions, err := f.make(a, args)
	if err != nil {
		return err
	}
	if page == "" {
		fmt.Fprint(a.out, text)
	} else if err := a.updatePage(page, block, text); err != nil {
		return err
	}
	for _, c := range contradictions {
		fmt.Fprintf(a.err, "CONTRADICTION %s\n", c)
	}
	if len(contradictions) > 0 {
		return &status{exitListed}
	}
	return nil
}

// updatePage replaces a block of a page; the page is either unchanged or whole.
func (a *app) updatePage(page, block, text string) error {
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	changed, err := benchmarks.SetBlock(old, block, text)
	if err != nil {
		return malformedf("the page needs the lines <!-- measured:begin "+block+" --> and <!-- measured:end "+block+" -->", "%s: %v", page, err)
	}
	if bytes.Equal(old, changed) {
		a.notef("%s: block %s was up to date", page, block)
		return nil
	}
	if err := writeAtomic(page, func(w *os.File) error { _, err := w.Write(changed); return err }); err != nil {
		return err
	}
	a.notef("%s: block %s replaced", page, block)
	return nil
}
