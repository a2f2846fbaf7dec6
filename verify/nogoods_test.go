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
	"github.com/spai-project/certify/smt"
	"github.com/spai-project/certify/verify/verifytest"
)

// TestNoGoods counts the nodes of method smt with no-goods and without them and prints the table of docs/performance.md. It takes
// minutes and is skipped unless CERTIFY_BENCH names the folder that holds vnncomp/ and CERTIFY_CAP the limit per run.
func TestNoGoods(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	limit, err := time.ParseDuration(os.Getenv("CERTIFY_CAP"))
	if root == "" || err != nil {
		t.Skip("CERTIFY_BENCH and CERTIFY_CAP are not both set")
	}
	for _, s := range []struct {
		name      string
		rule      smt.Rule
		questions []question
	}{
		{"tiny, of the oracle", smt.Rule{Steps: 1, Candidates: 1}, tinyQuestions(t, 3000)},
		{"random, three cases", smt.Rule{}, randomQuestions(t, 12, false)},
		{"the same with a row in common", smt.Rule{}, randomQuestions(t, 12, true)},
		{"acasxu_2023, every 9th of properties 1 to 4", smt.Rule{},
			suiteQuestions(t, root, "acasxu_2023", 0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99)},
		{"acasxu_2023, properties 5 to 9", smt.Rule{}, suiteQuestions(t, root, "acasxu_2023", 110, 111, 112, 113, 114)},
		{"safenlp, six hard ones", smt.Rule{}, suiteQuestions(t, root, "safenlp", 578, 92, 209, 254, 473, 618)},
		{"mnist_fc, 256x2", smt.Rule{},
			suiteQuestions(t, root, "mnist_fc", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)},
	} {
		var proved, nodes [2]int
		fewer, most := 0, 0
		for _, q := range s.questions {
			var res [2]*Result
			for i := range res {
				o := Options{Method: methodSMT, NoAttack: true, Timeout: limit, Workers: 1, smtRule: s.rule}
				o.smtRule.NoLearning = i == 1
				r, err := Program(context.Background(), q.p, q.prob, o)
				if err != nil {
					t.Fatal(err)
				}
				res[i] = r
				if r.Verdict == Holds {
					proved[i]++
				}
			}
			if len(s.questions) < 100 {
				t.Logf("%s, %s: %v %v; %d %d nodes; %s", s.name, q.name, res[0].Verdict, res[1].Verdict,
					res[0].Stats.Branches, res[1].Stats.Branches, strings.Join(res[0].Strategy, "; "))
			}
			if res[0].Verdict == Holds && res[1].Verdict == Holds {
				nodes[0] += res[0].Stats.Branches
				nodes[1] += res[1].Stats.Branches
				if saved := res[1].Stats.Branches - res[0].Stats.Branches; saved > 0 {
					fewer++
					most = max(most, saved)
				}
			}
		}
		fmt.Printf("| %s | %d | %d | %d | %d | %d | %.3f | %d | %d |\n", s.name, len(s.questions), proved[0], proved[1],
			nodes[0], nodes[1], float64(nodes[0])/float64(max(nodes[1], 1)), fewer, most)
	}
}

type question struct {
	name string
	p    *prog.Program
	prob *spec.Problem
}

func tinyQuestions(t *testing.T, n uint64) (out []question) {
	for seed := range n {
		in := verifytest.RandomInstance(700_000 + seed)
		p, err := in.Net.Program()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, question{fmt.Sprint(seed), p, in.Problem})
	}
	return out
}

// randomQuestions asks slow questions that hold. A row in common makes their cases conjunctions: the sum of the outputs is
// below a limit, too.
func randomQuestions(t *testing.T, n uint64, common bool) (out []question) {
	for seed := range n {
		p, prob := slowQuestion(t, seed, 1)
		if common {
			row := spec.Row{}
			for j := range prob.Cases {
				row.Y = append(row.Y, spec.Coef{Index: j, Value: 1})
				row.RHSUpper += prob.Cases[j].Rows[0].RHSUpper + 2
			}
			row.RHSLower = row.RHSUpper
			for j := range prob.Cases {
				prob.Cases[j].Rows = append(prob.Cases[j].Rows, row)
			}
		}
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
