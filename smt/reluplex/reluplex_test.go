package reluplex_test

import (
	"context"
	"math/big"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/smt/reluplex"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/verifytest"
)

// tryOn confirms candidates on the float32 grid of a box.
func tryOn(p *prog.Program, prob *spec.Problem, box int) func(x []float64) *spec.Witness {
	b := &prob.Boxes[box]
	return func(x []float64) *spec.Witness {
		g := make([]float64, len(x))
		for i, v := range x {
			g[i] = float64(min(max(float32(v), b.InLower[i]), b.InUpper[i]))
		}
		w, _ := prob.Confirm(p, g)
		return w
	}
}

// solve asks about every box of a problem.
func solve(ctx context.Context, p *prog.Program, prob *spec.Problem, total *reluplex.Outcome) (status reluplex.Status,
	w *spec.Witness, reason string) {
	status = reluplex.Closed
	for b := range prob.Boxes {
		q := &reluplex.Query{Program: p, Lower: prob.Boxes[b].Lower, Upper: prob.Boxes[b].Upper}
		for _, c := range prob.Cases {
			if c.Box == b {
				q.Cases = append(q.Cases, c)
			}
		}
		out := reluplex.Solve(ctx, q, &reluplex.Config{Try: tryOn(p, prob, b)})
		total.Splits += out.Splits
		total.Repairs += out.Repairs
		total.Pivots += out.Pivots
		total.Depth = max(total.Depth, out.Depth)
		switch out.Status {
		case reluplex.Found:
			return out.Status, out.Witness, ""
		case reluplex.Open:
			status, reason = reluplex.Open, out.Reason
		}
	}
	return status, nil, reason
}

// TestAgainstOracle compares with the exact answer on random questions: 2,000, or as many as CERTIFY_RELUPLEX says.
func TestAgainstOracle(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 300
	}
	if s := os.Getenv("CERTIFY_RELUPLEX"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	clearly := big.NewRat(1, 1_000_000)
	count := map[reluplex.Status]int{}
	total := &reluplex.Outcome{}
	missed := 0
	for seed := range uint64(n) {
		in := verifytest.RandomInstance(100_000 + seed)
		p, err := in.Net.Program()
		if err != nil {
			t.Fatal(err)
		}
		status, w, reason := solve(context.Background(), p, in.Problem, total)
		count[status]++
		truth := verifytest.SolveExact(p, in.Problem)
		clear := truth.Margin == nil || new(big.Rat).Abs(truth.Margin).Cmp(clearly) > 0
		switch {
		case status == reluplex.Closed && truth.Sat && (truth.Margin == nil || truth.Margin.Sign() > 0 || !verifytest.Strict(in.Problem)):
			t.Fatalf("seed %d: closed, but case %d has a counterexample of margin %v\n%v", seed, truth.Case, truth.Margin, in)
		case status == reluplex.Found && !truth.Sat:
			t.Fatalf("seed %d: found %v, but there is none\n%v", seed, w.X, in)
		case status == reluplex.Open && clear && !(truth.Sat && in.GridHides()):
			missed++
			t.Logf("seed %d: %q at margin %v", seed, reason, truth.Margin)
		}
	}
	t.Logf("closed %d, found %d, open %d (%d of them clear); %d splits, %d repairs, %d pivots, depth %d", count[reluplex.Closed],
		count[reluplex.Found], count[reluplex.Open], missed, total.Splits, total.Repairs, total.Pivots, total.Depth)
	if count[reluplex.Closed] < n/5 || count[reluplex.Found] < n/5 || missed > n/500 {
		t.Error("lopsided")
	}
	if total.Splits < n/10 || total.Repairs < n/40 {
		t.Error("the search is hardly used")
	}
}

// TestAgainstBranchAndBound: where both decide, they decide the same.
func TestAgainstBranchAndBound(t *testing.T) {
	n := uint64(300)
	if testing.Short() {
		n = 60
	}
	both := 0
	for seed := range n {
		in := verifytest.RandomInstance(300_000 + seed)
		p, err := in.Net.Program()
		if err != nil {
			t.Fatal(err)
		}
		method := []string{"input-split", "relu-split"}[seed%2]
		r, err := verify.Program(context.Background(), p, in.Problem,
			verify.Options{Method: method, NoAttack: true, Workers: 1, Timeout: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		status, _, _ := solve(context.Background(), p, in.Problem, &reluplex.Outcome{})
		decided := status != reluplex.Open && (r.Verdict == verify.Holds || r.Verdict == verify.Violated)
		if decided {
			both++
		}
		// a strict row touched with equality may be read either way
		if decided && (status == reluplex.Closed) != (r.Verdict == verify.Holds) && !verifytest.Strict(in.Problem) {
			t.Fatalf("seed %d: %v, %s says %v\n%v", seed, status, method, r.Verdict, in)
		}
	}
	t.Logf("%d of %d decided by both", both, n)
	if both < int(n)/2 {
		t.Error("too few")
	}
}
