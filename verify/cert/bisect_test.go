package cert

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/spai-project/certify/verify/kernel"
	"github.com/spai-project/certify/verify/verifytest"
)

// TestBisect proves random questions by bisection: the kernel accepts what it builds, and never for a question that the exact oracle
// answers with sat.
func TestBisect(t *testing.T) {
	n := uint64(400)
	if testing.Short() {
		n = 100
	}
	proved, unsat, kinds := 0, 0, map[int]int{}
	for seed := range n {
		in := randomInstance(t, seed)
		truth := verifytest.SolveExact(in.prog, in.problem)
		if !truth.Sat {
			unsat++
		}
		proof, err := bisect(in, 60)
		if err != nil {
			if !errors.Is(err, ErrBudget) && !errors.Is(err, ErrWeak) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			continue
		}
		data := proof.Encode()
		if r := in.p.Check(data); !r.Accepted {
			t.Fatalf("seed %d: %v", seed, r)
		}
		if truth.Sat && (truth.Margin == nil || truth.Margin.Sign() > 0 || !verifytest.Strict(in.problem)) {
			t.Fatalf("seed %d: accepted, but there is a counterexample at %v\n%s", seed, truth.X, in.query)
		}
		back, err := Decode(data, len(proof.Boxes), len(proof.Cases))
		if err != nil || !bytes.Equal(back.Encode(), data) {
			t.Fatalf("seed %d: decoding and encoding changes the file: %v", seed, err)
		}
		proved++
		for _, c := range proof.Cases {
			countKinds(c, kinds)
		}
	}
	t.Logf("%d unsat, %d proved; nodes by kind %v", unsat, proved, kinds)
	if 3*proved < 2*unsat || uint64(kinds[kernel.Reduce]) < n/40 || uint64(kinds[kernel.Clip]) < n/40 {
		t.Error("too few to test much")
	}
}

func countKinds(n *Node, kinds map[int]int) {
	kinds[n.Kind]++
	for _, c := range n.Child {
		countKinds(c, kinds)
	}
}

// bisect proves every case of an instance.
func bisect(in *instance, most int) (*Proof, error) {
	b, err := NewBuilder(in.p)
	if err != nil {
		return nil, err
	}
	for c := range b.boxes {
		if b.rows[c] == 0 {
			return nil, ErrWeak
		}
		if err := b.Bisect(context.Background(), c, most); err != nil {
			return nil, err
		}
	}
	return b.Proof()
}

// TestBisectSuites proves questions about ACAS Xu.
func TestBisectSuites(t *testing.T) {
	for _, c := range [][2]string{{acasNet, "prop_1"}, {"acasxu_2023/onnx/ACASXU_run2a_1_3_batch_2000.onnx.gz", "prop_4"}} {
		in := fromSuite(t, c[0], "acasxu_2023/vnnlib/"+c[1]+".vnnlib.gz")
		proof, err := bisect(in, 10000)
		if err != nil {
			t.Fatal(err)
		}
		r := in.p.Check(proof.Encode())
		if t.Logf("%v: %v", c, r); !r.Accepted {
			t.Error("refused")
		}
	}
}
