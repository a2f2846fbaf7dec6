package verifytest

import (
	"context"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

func TestTextRoundTrip(t *testing.T) {
	for s := range uint64(200) {
		in := RandomInstance(s)
		text := in.String()
		back, err := ParseInstance(text)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", s, err, text)
		}
		if again := back.String(); again != text {
			t.Fatalf("seed %d: printed\n%s\nread back\n%s", s, text, again)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const net = "node input 1\nnode affine 1\nterm 0 dense 1 1 2\noutput 1\n"
	for _, bad := range []string{
		"", "node affine 1", "node input x", net + "box 1", net + "box 2 1", net + "row y0 1 <= 1", net + "case 0",
		net + "box 0 1\ncase 0\nrow y1 1 <= 1", net + "box 0 1\ncase 0\nrow z0 1 <= 1", net + "box 0 1\ncase 0\nrow y0 1",
		net + "output 7", "node input 1\nnode affine 1\nterm 0 sparse 1 1 3,0,1\noutput 1",
		"node input 1\nnode affine 1\nterm 0 conv 1 1 1 1 2 1 1 1 1 1 1 0 0 0 0 1 1\noutput 1", net + "box NaN 1",
		"node input 1\nnode affine 1\nterm 1 dense 1 1 2\noutput 1", "bias 1", "term 0 dense 1 1 1", net + "frob",
	} {
		if _, err := ParseInstance(bad); err == nil {
			t.Errorf("accepted:\n%s", bad)
		}
	}
}

// honest is the oracle itself as a verifier; witnesses that are no float64 numbers become "unknown".
func honest(_ context.Context, p *prog.Program, prob *spec.Problem, _ uint64) (string, []float64, error) {
	truth := SolveExact(p, prob)
	if !truth.Sat {
		return "unsat", nil, nil
	}
	x := toFloat32(floats(truth.X))
	if checkWitness(p, prob, x) != "" {
		return "unknown", nil, nil
	}
	return "sat", x, nil
}

func TestFuzzAcceptsTheOracle(t *testing.T) {
	rep, err := Fuzz(context.Background(), 1, 300, honest)
	if err != nil || rep.Failure != nil {
		t.Fatalf("%v %v", err, rep.Failure)
	}
	if rep.Runs != 300 || rep.Sat < 60 || rep.Unsat < 60 {
		t.Errorf("%+v", *rep)
	}
	t.Logf("%+v", *rep)
}

// TestFuzzFindsBugs seeds defects and wants each found within 500 problems and shrunk to a small reproducer that still
// fails after a round trip through text.
func TestFuzzFindsBugs(t *testing.T) {
	for _, bug := range []struct {
		name   string
		decide Decide
		word   string
		relus  int // the reproducer must not have more
	}{
		{"never sat", func(context.Context, *prog.Program, *spec.Problem, uint64) (string, []float64, error) {
			return "unsat", nil, nil
		}, "unsat", 0},
		{"ignores rows after the first", func(ctx context.Context, p *prog.Program, prob *spec.Problem, s uint64) (string, []float64, error) {
			return honest(ctx, p, firstRows(prob), s)
		}, "sat", 2},
		{"takes relu for identity", func(ctx context.Context, p *prog.Program, prob *spec.Problem, s uint64) (string, []float64, error) {
			return honest(ctx, withoutRelu(p), prob, s)
		}, "", 1},
		{"tolerance", tolerant, "unsat", 1},
		{"panics with many inputs", func(ctx context.Context, p *prog.Program, prob *spec.Problem, s uint64) (string, []float64, error) {
			if in := len(prob.Boxes[0].Lower); in > 3 {
				panic("too many inputs")
			}
			return honest(ctx, p, prob, s)
		}, "error:", 1},
		{"wrong word", func(context.Context, *prog.Program, *spec.Problem, uint64) (string, []float64, error) {
			return "maybe", nil, nil
		}, "the", 0},
	} {
		t.Run(bug.name, func(t *testing.T) {
			rep, err := Fuzz(context.Background(), 2, 500, bug.decide)
			if err != nil || rep.Failure == nil {
				t.Fatalf("not found: %v %+v", err, rep)
			}
			f := rep.Failure
			in, err := ParseInstance(f.String())
			if err != nil {
				t.Fatal(err)
			}
			if _, why := Check(context.Background(), in, bug.decide, f.Seed); why == "" || !strings.HasPrefix(why, bug.word) {
				t.Errorf("the reproducer does not fail as %q: %q", bug.word, why)
			}
			if got := in.Net.relus(); got > bug.relus || len(in.Problem.Cases) > 1 {
				t.Errorf("%d ReLUs and %d cases left", got, len(in.Problem.Cases))
			}
			t.Logf("after %d runs\n%v", rep.Runs, f)
		})
	}
}

// firstRows keeps one row per case.
func firstRows(prob *spec.Problem) *spec.Problem {
	p := *prob
	p.Cases = nil
	for _, c := range prob.Cases {
		p.Cases = append(p.Cases, spec.Case{Box: c.Box, Rows: c.Rows[:min(1, len(c.Rows))]})
	}
	return &p
}

func withoutRelu(p *prog.Program) *prog.Program {
	q := &prog.Program{Output: p.Output, Nodes: append([]prog.Node(nil), p.Nodes...)}
	for k := range q.Nodes {
		if n := &q.Nodes[k]; n.Kind == prog.Relu {
			n.Kind, n.Terms = prog.Affine, []prog.Term{{Src: n.Src, Map: prog.Identity(n.N)}}
		}
	}
	return q
}

// tolerant answers unsat when the best margin is below 2⁻²⁵.
func tolerant(ctx context.Context, p *prog.Program, prob *spec.Problem, s uint64) (string, []float64, error) {
	tight := *prob
	tight.Cases = nil
	for _, c := range prob.Cases {
		rows := append([]spec.Row(nil), c.Rows...)
		for i := range rows {
			rows[i].RHSUpper -= 0x1p-25
		}
		tight.Cases = append(tight.Cases, spec.Case{Box: c.Box, Rows: rows})
	}
	if v, x, err := honest(ctx, p, &tight, s); v == "unsat" {
		return v, x, err
	}
	return honest(ctx, p, prob, s)
}

func TestFuzzStopsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if rep, err := Fuzz(ctx, 1, 10, honest); err == nil || rep.Runs != 0 {
		t.Errorf("ran %d times, error %v", rep.Runs, err)
	}
}

func TestDecimalBox(t *testing.T) {
	tenth, fifth := big.NewRat(1, 10), big.NewRat(1, 5)
	b := DecimalBox([]*big.Rat{tenth, tenth, big.NewRat(1, 2)}, []*big.Rat{fifth, tenth, big.NewRat(1, 2)})
	// float32(0.1) and float32(0.2) lie above the decimals, and the float64 next below 0.1 is one unit under 0.1's.
	up := float64(float32(0.1))
	want := spec.Box{
		Lower:   []float64{math.Nextafter(0.1, 0), math.Nextafter(0.1, 0), 0.5},
		Upper:   []float64{float64(float32(0.2)), up, 0.5},
		InLower: []float32{float32(0.1), float32(0.1), 0.5},
		InUpper: []float32{math.Nextafter32(0.2, 0), float32(0.1), 0.5},
		Inexact: true,
	}
	if !reflect.DeepEqual(b, want) {
		t.Errorf("got %+v\nwant %+v", b, want)
	}
}

func FuzzParseInstance(f *testing.F) {
	for s := range uint64(8) {
		f.Add(RandomInstance(s).String())
	}
	f.Fuzz(func(t *testing.T, text string) {
		in, err := ParseInstance(text)
		if err != nil {
			return
		}
		back, err := ParseInstance(in.String())
		if err != nil || back.String() != in.String() {
			t.Fatalf("%v after\n%s", err, in)
		}
	})
}
