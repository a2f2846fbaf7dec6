package main

import (
	"fmt"
	"slices"

	"github.com/spai-project/certify/benchmarks"
)

// certificatesTable has one row per suite and semantics: what certificates cost beside the search.
func certificatesTable(a *app, files []string) (string, []string, error) {
	each, err := a.readAll(files)
	if err != nil {
		return "", nil, err
	}
	all := slices.Concat(each...)
	rows, err := benchmarks.CertificateRows(all)
	if err != nil {
		return "", nil, err
	}
	g := markdownTable([]string{"suite", "semantics", "unsat", "certified", "bytes/leaf", "search s", "search CPU s", "make s",
		"check s", "whole check s", "CPU s", "check ≤ search", "by CPU", "slowest s"}, 2)
	s := func(x float64) string { return fmt.Sprintf("%.2f", x) }
	for _, r := range rows {
		if r.Certified == 0 {
			g.add(r.Suite, r.Semantics, r.Unsat, 0, "-", "-", "-", "-", "-", "-", "-", "-", "-", "-")
			continue
		}
		perLeaf := "-" // vacuous questions need no leaf
		if r.Leaves > 0 {
			perLeaf = fmt.Sprintf("%.1f", float64(r.Bytes)/float64(r.Leaves))
		}
		g.add(r.Suite, r.Semantics, r.Unsat, r.Certified, perLeaf, s(r.Search), s(r.CPU), s(r.Make), s(r.Check), s(r.CheckWall),
			s(r.CheckCPU), r.NoLonger, r.NoLongerCPU, s(r.Slowest))
	}
	var contradictions []string
	for _, r := range all {
		if r.ProofLimit > 0 && r.Truth == "sat" && r.Verdict == "unsat" {
			contradictions = append(contradictions, fmt.Sprintf("%s: %s %s: answered unsat, known to be sat", r.Suite, r.Model, r.Query))
		}
	}
	return g.finish(provenance(all)), contradictions, nil
}
