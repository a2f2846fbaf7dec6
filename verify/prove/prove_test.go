package prove

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify/cert"
	"github.com/spai-project/certify/verify/kernel"
	"github.com/spai-project/certify/verify/verifytest"
)

// question is a random instance as files and as the prover wants it.
func question(t testing.TB, seed uint64) (k *kernel.Problem, full *prog.Program, p *spec.Problem) {
	t.Helper()
	in := verifytest.RandomInstance(seed)
	model, err := in.Net.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	var q bytes.Buffer
	if err := spec.WriteVNNLIB(&q, in.Problem); err != nil {
		t.Fatal(err)
	}
	if k, err = kernel.Open(model, q.Bytes()); err != nil {
		t.Fatal(err)
	}
	g, err := onnx.Read(model)
	if err != nil {
		t.Fatal(err)
	}
	if full, err = g.Lower(); err != nil {
		t.Fatal(err)
	}
	if p, err = spec.Read("q", bytes.NewReader(q.Bytes()), nil); err != nil {
		t.Fatal(err)
	}
	return k, full, p
}

// TestUnsat: questions that the exact oracle answers with unsat get certificates that the kernel accepts, by bisection, by ReLU
// splitting and by branches that lean on their row; those it answers with sat get none.
func TestUnsat(t *testing.T) {
	n := uint64(300)
	if testing.Short() {
		n = 80
	}
	for _, c := range []struct {
		name string
		opt  Options
		kind int // of nodes that must occur
	}{
		{"bisect", Options{}, kernel.SplitInput},
		{"split", Options{relus: true}, kernel.SplitRelu},
		{"lean", Options{relus: true, lean: true}, kernel.Lean},
	} {
		t.Run(c.name, func(t *testing.T) {
			unsat, proved, kinds := 0, 0, map[int]int{}
			for seed := range n {
				k, full, p := question(t, seed)
				truth := verifytest.SolveExact(full, p)
				if truth.Sat {
					continue // bisection would not end
				}
				unsat++
				ctx, cancel := context.WithTimeout(context.Background(), 2e8)
				proof, err := Unsat(ctx, k, full, p, c.opt)
				cancel()
				if err != nil {
					if !errors.Is(err, ErrNoProof) && !errors.Is(err, context.DeadlineExceeded) {
						t.Fatalf("seed %d: %v", seed, err)
					}
					if strings.Contains(err.Error(), "for the kernel") {
						t.Fatalf("seed %d: %v", seed, err)
					}
					continue
				}
				if r := k.Check(proof.Encode()); !r.Accepted {
					t.Fatalf("seed %d: %v", seed, r)
				}
				proved++
				for _, c := range proof.Cases {
					count(c, kinds)
				}
			}
			t.Logf("%d unsat, %d proved; nodes by kind %v", unsat, proved, kinds)
			if 10*proved < 8*unsat || kinds[c.kind] == 0 {
				t.Errorf("%d of %d proved, nodes by kind %v", proved, unsat, kinds)
			}
		})
	}
}

func count(n *cert.Node, kinds map[int]int) {
	kinds[n.Kind]++
	for _, c := range n.Child {
		count(c, kinds)
	}
}

// TestNoProof: where there is a counterexample no certificate is made.
func TestNoProof(t *testing.T) {
	for seed := range uint64(60) {
		k, full, p := question(t, seed)
		truth := verifytest.SolveExact(full, p)
		if !truth.Sat || truth.Margin == nil || truth.Margin.Sign() <= 0 {
			continue
		}
		for _, opt := range []Options{{}, {relus: true}, {relus: true, lean: true}} {
			ctx, cancel := context.WithTimeout(context.Background(), 2e7)
			if proof, err := Unsat(ctx, k, full, p, opt); err == nil {
				t.Fatalf("seed %d: %v", seed, k.Check(proof.Encode()))
			}
			cancel()
		}
	}
}
