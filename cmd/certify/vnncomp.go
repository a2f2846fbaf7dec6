package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/report"
)

// The competition's scripts. Each is called with the interface version first and must refuse another one.
var vnncompScripts = map[string]string{
	"install_tool.sh": `#!/bin/sh
# Installs certify: one static binary, expected beside this script or built from the sources above it.
[ "$1" = v1 ] || { echo "unknown interface version: $1" >&2; exit 1; }
cd "$(dirname "$0")" || exit 1
[ -x ./certify ] || command -v certify >/dev/null || (cd .. && CGO_ENABLED=0 go build -o vnncomp_scripts/certify ./cmd/certify)
`,
	"prepare_instance.sh": `#!/bin/sh
# Nothing to prepare: certify reads the files as they are, compressed or not.
[ "$1" = v1 ] || { echo "unknown interface version: $1" >&2; exit 1; }
[ -e "$3" ] || [ -e "$3.gz" ] || { echo "no model: $3" >&2; exit 1; }
[ -e "$4" ] || [ -e "$4.gz" ] || { echo "no query: $4" >&2; exit 1; }
`,
	"run_instance.sh": `#!/bin/sh
# run_instance.sh v1 CATEGORY ONNX VNNLIB RESULTS_FILE TIMEOUT
here=$(dirname "$0")
[ -x "$here/certify" ] && exec "$here/certify" vnncomp run "$@"
exec certify vnncomp run "$@"
`,
}

func (a *app) vnncompCmd() *cobra.Command {
	c := &cobra.Command{Use: "vnncomp", Short: "The interface of the VNN-COMP competition", Args: cobra.NoArgs}
	scripts := &cobra.Command{Use: "scripts DIR", Short: "Write install_tool.sh, prepare_instance.sh and run_instance.sh", Args: cobra.ExactArgs(1)}
	scripts.RunE = runE(func(_ *cobra.Command, args []string) error {
		if err := os.MkdirAll(args[0], 0o777); err != nil {
			return err
		}
		for name, text := range vnncompScripts {
			if err := os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o755); err != nil {
				return err
			}
		}
		a.notef("wrote the three scripts into %s", args[0])
		return nil
	})
	run := &cobra.Command{Use: "run v1 CATEGORY ONNX VNNLIB RESULTS_FILE TIMEOUT", Short: "Decide one instance and write its results file",
		Args: cobra.ExactArgs(6)}
	run.RunE = runE(func(c *cobra.Command, args []string) error { return a.vnncompRun(c, args) })
	c.AddCommand(scripts, run)
	return c
}

// vnncompRun answers one instance. Whatever happens the results file holds a whole answer and the exit status is 0, as the
// competition wants it; a wrong interface version or an unwritable results file are errors.
func (a *app) vnncompRun(c *cobra.Command, args []string) error {
	if args[0] != "v1" {
		return &failure{code: exitListed, kind: "usage", msg: "unknown interface version " + args[0], hint: "certify speaks v1"}
	}
	limit, err := parseSeconds(args[5])
	if err != nil {
		return usagef("", "TIMEOUT: %v", err)
	}
	results := args[4]
	word := func(s string) error {
		return writeAtomic(results, func(f *os.File) error { _, err := fmt.Fprintln(f, s); return err })
	}
	if err := word("timeout"); err != nil { // stands if we are killed
		return &failure{code: exitResources, kind: "results", msg: "the results file cannot be written: " + err.Error(), err: err}
	}
	run, err := a.vnncompDecide(c, args[2], args[3], limit)
	if err != nil {
		a.fail(explain(classified(err)))
		return word("unknown")
	}
	if !a.quiet {
		if err := report.Human(a.err, run, true); err != nil {
			return err
		}
	}
	if run.Result.Verdict == verify.Timeout {
		return word("timeout")
	}
	return writeAtomic(results, func(f *os.File) error { return report.VNNCOMP(f, run) })
}

func (a *app) vnncompDecide(c *cobra.Command, model, query string, limit time.Duration) (*report.Run, error) {
	model, err := locate(model)
	if err != nil {
		return nil, err
	}
	if query, err = locate(query); err != nil {
		return nil, err
	}
	// The harness counts the start of the script as well: leave it a little more than `certify verify` does.
	if limit > time.Second {
		limit -= 300 * time.Millisecond
	}
	run, _, err := a.decide(c.Context(), &job{model: model, query: query, limit: limit, realGiven: true, allowVacuous: true,
		showWarnings: a.notef})
	return run, err
}
