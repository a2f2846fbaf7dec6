package smt_test

import (
	"context"
	"math/big"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/smt"
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

// frame bounds a network over a box by intervals alone, or by a backward pass per neuron: the looser, the more is left to search.
func frame(t testing.TB, p *prog.Program, lo, hi []float64, tight bool) *relax.Frame {
	net := relax.NewNet(p)
	box := relax.Box{Lo: lo, Hi: hi}
	b := net.NewBounds()
	net.IBP(box, b)
	f := net.NewFrame(box, b, net.NewScale(b))
	if tight && !net.Crown(context.Background(), relax.NewPool(net, 1), f, relax.Tightening{}) {
		t.Fatal("empty bounds")
	}
	return f
}

// solve asks about every box of a problem.
func solve(t testing.TB, p *prog.Program, prob *spec.Problem, tight bool, rule smt.Rule, total *smt.Stats) (status smt.Status,
	w *spec.Witness, reason string) {
	status = smt.Closed
	for b := range prob.Boxes {
		q := &smt.Query{Frame: frame(t, p, prob.Boxes[b].Lower, prob.Boxes[b].Upper, tight)}
		for _, c := range prob.Cases {
			if c.Box == b {
				q.Cases = append(q.Cases, c)
			}
		}
		out := smt.Solve(context.Background(), q, &smt.Config{Try: tryOn(p, prob, b), Rule: rule, Nodes: 3000})
		total.Add(&out.Stats)
		switch out.Status {
		case smt.Found:
			return out.Status, out.Witness, ""
		case smt.Open:
			status, reason = smt.Open, out.Reason
		}
	}
	return status, nil, reason
}

// rules are the ways of searching that the tests go through: little done before deciding, so that there are searches at all.
var rules = []smt.Rule{
	{},
	{Steps: 1, Candidates: 1},
	{Steps: 1, Candidates: 1, Atoms: 1},
	{Steps: 2, Candidates: 2, Atoms: 2, NoLearning: true},
}

// TestAgainstOracle compares with the exact answer on random questions: 20,000, or as many as CERTIFY_SMT says.
func TestAgainstOracle(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 600
	}
	if s := os.Getenv("CERTIFY_SMT"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	clearly := big.NewRat(1, 1_000_000)
	var mu sync.Mutex
	count := map[smt.Status]int{}
	total := &smt.Stats{}
	missed, next := 0, 0
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				mu.Lock()
				seed := uint64(next)
				next++
				mu.Unlock()
				if int(seed) >= n || t.Failed() {
					return
				}
				in := verifytest.RandomInstance(500_000 + seed)
				p, err := in.Net.Program()
				if err != nil {
					t.Error(err)
					return
				}
				var stats smt.Stats
				status, w, reason := solve(t, p, in.Problem, seed%8 == 0, rules[seed%uint64(len(rules))], &stats)
				truth := verifytest.SolveExact(p, in.Problem)
				clear := truth.Margin == nil || new(big.Rat).Abs(truth.Margin).Cmp(clearly) > 0
				mu.Lock()
				count[status]++
				total.Add(&stats)
				switch {
				case status == smt.Closed && truth.Sat && (truth.Margin == nil || truth.Margin.Sign() > 0 || !verifytest.Strict(in.Problem)):
					t.Errorf("seed %d: closed, but case %d has a counterexample of margin %v\n%v",
						seed, truth.Case, truth.Margin, in)
				case status == smt.Found && !truth.Sat:
					t.Errorf("seed %d: found %v, but there is none\n%v", seed, w.X, in)
				case status == smt.Open && clear && !(truth.Sat && in.GridHides()):
					missed++
					t.Logf("seed %d: %q at margin %v", seed, reason, truth.Margin)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("closed %d, found %d, open %d (%d of them clear); %+v",
		count[smt.Closed], count[smt.Found], count[smt.Open], missed, *total)
	if count[smt.Closed] < n/5 || count[smt.Found] < n/5 || missed > n/500 {
		t.Error("lopsided")
	}
	if total.Decisions < n/5 || total.Conflicts < n/10 || total.Parts < n/50 {
		t.Error("the search is hardly used")
	}
}

// TestAgainstBranchAndBound: where both decide, they decide the same.
func TestAgainstBranchAndBound(t *testing.T) {
	n := uint64(400)
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
		status, _, _ := solve(t, p, in.Problem, false, rules[seed%uint64(len(rules))], &smt.Stats{})
		decided := status != smt.Open && (r.Verdict == verify.Holds || r.Verdict == verify.Violated)
		if decided {
			both++
		}
		// a strict row touched with equality may be read either way
		if decided && (status == smt.Closed) != (r.Verdict == verify.Holds) && !verifytest.Strict(in.Problem) {
			t.Fatalf("seed %d: %v, %s says %v\n%v", seed, status, method, r.Verdict, in)
		}
	}
	t.Logf("%d of %d decided by both", both, n)
	if both < int(n)/2 {
		t.Error("too few")
	}
}
