package verify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// TestNoGoods counts the nodes of method smt with no-goods and without them and prints the table of docs/performance.md. It takes
// minutes and is skipped unless CERTIFY_BENCH names the folder that holds vnncomp/. CERTIFY_CAP is the limit per run.
func TestNoGoods(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	limit := 20 * time.Second
	if d, err := time.ParseDuration(os.Getenv("CERTIFY_CAP")); err == nil {
		limit = d
	}
	for _, s := range []struct {
		name      string
		questions []question
	}{
		{"random, three cases", randomQuestions(t, 30)},
		{"acasxu_2023, properties 5 to 9", suiteQuestions(t, root, "acasxu_2023", 110, 111, 112, 113, 114)},
		{"acasxu_2023, every 9th of properties 1 to 4", suiteQuestions(t, root, "acasxu_2023", 0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99)},
		{"safenlp, six hard ones", suiteQuestions(t, root, "safenlp", 578, 92, 209, 254, 473, 618)},
		{"mnist_fc, 256x2", suiteQuestions(t, root, "mnist_fc", 0, 3, 4, 6, 9, 12, 13, 16)},
	} {
		both := [2]int{}
		nodes := [2]int{}
		decided := 0
		for _, q := range s.questions {
			var res [2]*Result
			for i, off := range []bool{false, true} {
				r, err := Program(context.Background(), q.p, q.prob, Options{Method: methodSMT, NoAttack: true, Timeout: limit, Workers: 1, noLearning: off})
				if err != nil {
					t.Fatal(err)
				}
				res[i] = r
			}
			ok := [2]bool{}
			for i, r := range res {
				if ok[i] = r.Verdict == Holds; ok[i] {
					both[i]++
				}
			}
			if testing.Verbose() {
				t.Logf("%s: %s: with %v %d nodes %.2fs, without %v %d nodes %.2fs; %s", s.name, q.name, res[0].Verdict, res[0].Stats.Branches,
					res[0].Stats.Wall.Seconds(), res[1].Verdict, res[1].Stats.Branches, res[1].Stats.Wall.Seconds(), strings.Join(res[0].Strategy[len(res[0].Strategy)-1:], ""))
			}
			if ok[0] && ok[1] {
				decided++
				nodes[0] += res[0].Stats.Branches
				nodes[1] += res[1].Stats.Branches
			}
		}
		fmt.Printf("| %s | %d | %d | %d | %d | %d | %.2f |\n", s.name, len(s.questions), both[0], both[1], nodes[0], nodes[1],
			float64(nodes[0])/float64(max(nodes[1], 1)))
	}
}

type question struct {
	name string
	p    *prog.Program
	prob *spec.Problem
}

func randomQuestions(t *testing.T, n uint64) (out []question) {
	for seed := range n {
		p, prob := slowQuestion(t, seed, 0.02)
		out = append(out, question{fmt.Sprint(seed), p, prob})
	}
	return out
}

// suiteQuestions reads instances by their line in instances.csv, from 0.
func suiteQuestions(t *testing.T, root, suite string, lines ...int) (out []question) {
	dir := filepath.Join(root, "vnncomp", suite)
	csv, err := os.ReadFile(filepath.Join(dir, "instances.csv"))
	if err != nil {
		t.Skip(err)
	}
	list := strings.Split(string(csv), "\n")
	for _, i := range lines {
		f := strings.Split(list[i], ",")
		g, err := onnx.ReadFile(filepath.Join(dir, f[0]))
		if err != nil {
			t.Fatal(err)
		}
		p, err := g.Lower()
		if err != nil {
			t.Fatal(err)
		}
		prob, err := spec.ReadFile(filepath.Join(dir, f[1]), nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, question{fmt.Sprint(i), p, prob})
	}
	return out
}
