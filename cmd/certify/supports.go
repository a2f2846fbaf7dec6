package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/nn/op"
)

// A capability is one question of chapter 5 of the VNN-LIB 2.0 standard. The document spells some in two ways.
type capability struct {
	flag, alias string
	answer      func() []string
}

func lines(s ...string) func() []string { return func() []string { return s } }

// capabilities are the standard's questions in its order. Only what is decided soundly today is claimed: element types are
// real because verdicts are about real arithmetic.
var capabilities = []capability{
	{"onnx-opset-versions", "", lines("8", "21")},
	{"onnx-element-types", "", lines("real")},
	{"onnx-operators", "", boundedOperators},
	{"vnnlib-versions", "", lines("1.0", "2.0")},
	{"hidden-node-theories", "", lines("NH")},
	{"multiple-input-output-theories", "multiple-inputs-output-theories", lines("MIO")},
	{"multiple-network-theories", "", lines("SNET")},
	{"multiple-node-comparison-theories", "", lines("MNC")},
	{"arithmetic-complexity-theories", "", lines("LIN")},
	{"optimised-disjunctive-reasoning", "", lines("false")},
	{"serialise-assignments", "assignments", lines("true")},
}

func boundedOperators() (names []string) {
	for _, s := range op.All() {
		if s.Lower != nil {
			names = append(names, s.Name)
		}
	}
	return names
}

func (a *app) supportsCmd() *cobra.Command {
	c := &cobra.Command{
		Use:     "supports --CAPABILITY",
		Aliases: []string{"capabilities"},
		Short:   "Answer a capability question of the VNN-LIB 2.0 standard, one value per line",
		Args:    cobra.NoArgs,
	}
	asked := map[string]*bool{}
	for _, q := range capabilities {
		asked[q.flag] = c.Flags().Bool(q.flag, false, "")
		if q.alias != "" {
			c.Flags().BoolVar(asked[q.flag], q.alias, false, "")
			_ = c.Flags().MarkHidden(q.alias)
		}
	}
	c.RunE = runE(func(*cobra.Command, []string) error {
		var chosen []capability
		for _, q := range capabilities {
			if *asked[q.flag] {
				chosen = append(chosen, q)
			}
		}
		switch len(chosen) {
		case 1:
			_, err := fmt.Fprintln(a.out, strings.Join(chosen[0].answer(), "\n"))
			return err
		case 0:
			for _, q := range capabilities {
				fmt.Fprintf(a.out, "--%s: %s\n", q.flag, strings.Join(q.answer(), " "))
			}
			return nil
		}
		return usagef("ask for one capability at a time, or none to see them all", "supports: %d capabilities asked", len(chosen))
	})
	return c
}
