package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/kernel"
	"github.com/spai-project/certify/verify/report"
)

func (a *app) checkCmd() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "check MODEL QUERY PROOF",
		Short: "Check a certificate of unsat, or the text of a sat witness, with the trusted kernel alone",
		Long: "Check a proof with the trusted kernel, which reads model and query itself and computes in integers. PROOF is a\n" +
			"certificate (NNCERT/1), or what `certify verify` prints for sat. Exit status 0 if it is accepted, 1 if it is refused.",
		Args: cobra.ExactArgs(3),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one certify.check/1 object instead of a sentence")
	c.RunE = runE(func(c *cobra.Command, args []string) error {
		var data [3][]byte
		for i, path := range args {
			path, err := locate(path)
			if err != nil {
				return err
			}
			if data[i], err = kernel.ReadFile(path); err != nil {
				return err
			}
		}
		p, err := kernel.Open(data[0], data[1])
		if err != nil {
			return unsupportedf("the kernel reads fewer operators and queries than `certify verify`: docs/design/0009-certificates.md",
				"the kernel cannot check this: %v", err)
		}
		r := p.Check(data[2])
		if asJSON {
			if err := json.NewEncoder(a.out).Encode(a.checkObject(r)); err != nil {
				return err
			}
		} else {
			fmt.Fprintln(a.out, r)
		}
		if !r.Accepted {
			return &status{exitListed}
		}
		return nil
	})
	return c
}

// checkObject is what the kernel said in JSON.
func (a *app) checkObject(r kernel.Result) *report.Check {
	o := &report.Check{Schema: report.CheckSchema, Accepted: r.Accepted, Claim: r.Claim, Reason: r.Reason, Case: r.Case, Cases: r.Cases,
		Leaves: r.Leaves, Splits: r.Splits, Lemmas: r.Lemmas, Products: r.Work, Bytes: r.Bytes}
	if r.Accepted && r.Claim == "unsat" {
		o.Semantics = verify.Real.String()
		if r.Float32 {
			o.Semantics = verify.Both.String()
		}
	}
	o.Time.Wall, o.Time.Check = time.Since(a.start).Seconds(), r.Time.Seconds()
	return o
}
