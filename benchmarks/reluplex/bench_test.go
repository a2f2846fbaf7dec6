package reluplex

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
)

func suite(t *testing.T) string {
	t.Helper()
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	return filepath.Join(root, "vnncomp", "acasxu_2023")
}

// TestAgainstSuite: the questions are those of VNN-COMP's files: boxes to their nine decimals, unsafe outputs alike.
func TestAgainstSuite(t *testing.T) {
	dir := suite(t)
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range Properties()[:9] { // there is no file of the tenth
		ours := ask(t, &p, "0")
		text := unpack(t, filepath.Join(dir, "vnnlib", fmt.Sprintf("prop_%d.vnnlib.gz", p.Number)))
		theirs, err := spec.Read("theirs", strings.NewReader(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(ours.Boxes) != len(theirs.Boxes) || len(ours.Cases) != len(theirs.Cases) {
			t.Fatalf("φ%d: %d boxes and %d cases, want %d and %d", p.Number, len(ours.Boxes), len(ours.Cases), len(theirs.Boxes),
				len(theirs.Cases))
		}
		for k := range ours.Boxes {
			for i := range numInputs {
				lo, hi := exactEnds(t, &p, k, i)
				for _, end := range []struct {
					exact *big.Rat
					text  string
				}{{lo, end(t, text, ">=", i, k)}, {hi, end(t, text, "<=", i, k)}} {
					// the file ends open angles at π, the paper's program a little beyond
					got := end.exact.FloatString(9)
					if got == "0.500000055" && end.text == "0.5" || got == "-0.500000055" && end.text == "-0.5" {
						continue
					}
					if v, ok := new(big.Rat).SetString(end.text); !ok || v.FloatString(9) != got {
						t.Errorf("φ%d, box %d, input %d: %s, want %s", p.Number, k, i, got, end.text)
					}
				}
			}
		}
		met := 0
		for range 5000 {
			y := make([]float64, numOutputs)
			for i := range y {
				y[i] = 8*r.Float64() - 4
			}
			a, b := meets(ours, y), meets(theirs, y)
			if a != b {
				t.Fatalf("φ%d: unsafe %v, want %v, at %v", p.Number, a, b, y)
			}
			if a {
				met++
			}
		}
		if met == 0 || met == 5000 {
			t.Errorf("φ%d: %d of 5000 outputs unsafe", p.Number, met)
		}
	}
}

func unpack(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// end is the number to which the k-th such comparison in the text compares input i.
func end(t *testing.T, text, relation string, i, k int) string {
	t.Helper()
	all := regexp.MustCompile(fmt.Sprintf(`\(%s X_%d ([-0-9.]+)\)`, relation, i)).FindAllStringSubmatch(text, -1)
	if k >= len(all) {
		t.Fatalf("%d comparisons %s with input %d", len(all), relation, i)
	}
	return all[k][1]
}

func meets(p *spec.Problem, y []float64) bool {
	for i := range p.Cases {
		if holds(&p.Cases[i], y) {
			return true
		}
	}
	return false
}

// TestCells: some cells of Table 3, the one that differs from the paper among them: there 10⁻³ of slack makes the difference.
func TestCells(t *testing.T) {
	dir := filepath.Join(suite(t), "onnx")
	ctx := context.Background()
	for _, c := range []struct {
		point         int
		radius, slack string
		want          verify.Verdict
		asked         int
	}{
		{0, "0.05", "0", verify.Violated, 0}, {0, "0.01", "0", verify.Holds, 4}, {1, "0.1", "0", verify.Holds, 4},
		{3, "0.075", "0", verify.Violated, 0}, {3, "0.05", "0", verify.Holds, 4}, {3, "0.05", ProgramSlack, verify.Violated, 0},
		{4, "0.1", "0", verify.Holds, 4},
	} {
		r := Runner{Data: dir, Cap: time.Minute, Slack: c.slack}
		p := Points()[c.point]
		best, err := r.Advisory(ctx, &p)
		if err != nil || best != clear {
			t.Fatal(best, err)
		}
		cell, err := r.Cell(ctx, &p, c.radius, best)
		if err != nil || cell.Verdict != c.want || c.asked > 0 && cell.Asked != c.asked {
			t.Errorf("point %d, δ = %s, slack %s: %+v, %v", c.point+1, c.radius, c.slack, cell, err)
		}
	}
}

// TestSlackDecides: on property 2 the slack of the paper's program turns N3,3, and not N4,2, from unsat to sat, which gives its
// counts.
func TestSlackDecides(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds")
	}
	r := Runner{Data: filepath.Join(suite(t), "onnx"), Cap: time.Minute}
	p := Properties()[1]
	for slack, want := range map[string][2]verify.Verdict{
		"0": {verify.Holds, verify.Holds}, ProgramSlack: {verify.Violated, verify.Holds},
	} {
		q := ask(t, &p, slack)
		for i, n := range []Network{{3, 3}, {4, 2}} {
			if o, err := r.decide(context.Background(), n, q); err != nil || o.Verdict != want[i] {
				t.Errorf("slack %s, %v: %+v, %v", slack, n, o, err)
			}
		}
	}
}
