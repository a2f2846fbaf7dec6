package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/verifytest"
)

// fuzzCmd is hidden: it compares the verifier with an exact oracle on random small questions.
func (a *app) fuzzCmd() *cobra.Command {
	var n int
	var seed uint64
	var limit seconds
	var method string
	c := &cobra.Command{Use: "fuzz", Short: "Compare the verifier with an exact oracle on random questions", Hidden: true, Args: cobra.NoArgs}
	c.Flags().IntVarP(&n, "runs", "n", 1000, "number of questions")
	c.Flags().Uint64Var(&seed, "seed", 1, "seed of all questions")
	c.Flags().VarP(&limit, "timeout", "t", "stop after this time")
	c.Flags().StringVar(&method, "method", "", "limit the search to one method")
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		ctx, stop := signals(c.Context())
		defer stop()
		if limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(limit))
			defer cancel()
		}
		rep, err := verifytest.Fuzz(ctx, seed, n, func(ctx context.Context, p *prog.Program, q *spec.Problem, s uint64) (string, []float64, error) {
			r, err := verify.Program(ctx, p, q, verify.Options{Timeout: 2 * time.Second, Seed: s, Method: method, Workers: 1 + int(s%2), NoAttack: s%3 == 0})
			if err != nil {
				return "", nil, err
			}
			if r.Witness != nil {
				return r.Verdict.String(), r.Witness.X, nil
			}
			return r.Verdict.String(), nil, nil
		})
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		a.notef("%d runs: %d sat, %d unsat, %d undecided (%d of them clear-cut)", rep.Runs, rep.Sat, rep.Unsat, rep.Undecided, rep.Missed)
		if rep.Failure != nil {
			return &failure{code: exitInternal, kind: "unsound", msg: "the verifier contradicts the oracle", detail: []string{rep.Failure.String()},
				hint: "report this text: it reproduces the defect"}
		}
		return nil
	})
	return c
}
