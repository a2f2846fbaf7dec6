package spec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// resolved lists every case with its box in place of the index.
type resolvedCase struct {
	Box  Box
	Rows []Row
}

func resolve(p *Problem) (cases []resolvedCase) {
	for _, c := range p.Cases {
		cases = append(cases, resolvedCase{p.Boxes[c.Box], c.Rows})
	}
	return cases
}

func genTerm(t *rapid.T, nx, ny int) string {
	name := func() string {
		if rapid.Bool().Draw(t, "input") {
			return fmt.Sprintf("X_%d", rapid.IntRange(0, nx-1).Draw(t, "x"))
		}
		return fmt.Sprintf("Y_%d", rapid.IntRange(0, ny-1).Draw(t, "y"))
	}
	switch rapid.IntRange(0, 4).Draw(t, "term") {
	case 0:
		return genDecimal(t, "constant")
	case 1, 2:
		return name()
	case 3:
		return "(* " + genDecimal(t, "factor") + " " + name() + ")"
	default:
		op := rapid.SampledFrom([]string{"+", "-"}).Draw(t, "op")
		return "(" + op + " " + genTerm(t, nx, ny) + " " + genTerm(t, nx, ny) + " " + name() + ")"
	}
}

// genQuery draws a query over boxes that are wide enough to stay non-empty most of the time.
func genQuery(t *rapid.T) string {
	nx, ny := rapid.IntRange(1, 3).Draw(t, "nx"), rapid.IntRange(1, 3).Draw(t, "ny")
	var b strings.Builder
	b.WriteString(declare1(nx, ny))
	for i := range nx {
		lo, hi := "-3e38", "3e38"
		if rapid.Bool().Draw(t, "narrow") {
			lo, hi = genDecimal(t, "lower"), genDecimal(t, "upper")
		}
		if rapid.IntRange(0, 3).Draw(t, "fixed") == 0 {
			hi = lo
		}
		fmt.Fprintf(&b, "(assert (and (>= X_%d %s) (<= X_%d %s)))", i, lo, i, hi)
	}
	ops := []string{"<=", ">=", "<", ">", "==", "!="}
	for range rapid.IntRange(0, 2).Draw(t, "asserts") {
		b.WriteString("(assert (or")
		for range rapid.IntRange(1, 3).Draw(t, "members") {
			b.WriteString(" (and")
			for range rapid.IntRange(0, 2).Draw(t, "atoms") {
				fmt.Fprintf(&b, " (%s %s %s)", rapid.SampledFrom(ops).Draw(t, "rel"), genTerm(t, nx, ny), genTerm(t, nx, ny))
			}
			b.WriteString(")")
		}
		b.WriteString("))")
	}
	return b.String()
}

// reread writes the problem that was read from text, reads that, and compares.
func reread(t rapid.TB, text string, p *Problem) *Problem {
	t.Helper()
	var b strings.Builder
	if err := WriteVNNLIB(&b, p); err != nil {
		t.Fatal(err)
	}
	q, err := Read("written", strings.NewReader(b.String()), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if diff := cmp.Diff(resolve(p), resolve(q)); diff != "" {
		t.Fatalf("%s\n%s\n%s", text, b.String(), diff)
	}
	return q
}

// What Read understood, WriteVNNLIB says: reading it again gives the same boxes and rows.
func TestWriteRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := genQuery(t)
		p, err := Read("q", strings.NewReader(text), nil)
		if err != nil {
			t.Skip(err)
		}
		q := reread(t, text, p)
		if q.NumInputs != p.NumInputs || q.NumOutputs != p.NumOutputs {
			t.Fatalf("%d, %d variables", q.NumInputs, q.NumOutputs)
		}
	})
}

// Numbers whose obvious spelling means something else.
func TestWriteAwkward(t *testing.T) {
	for _, atoms := range []string{
		"(<= (* 0.50000000000000000000000001 Y_0) 1)", "(<= (* 1e-400 Y_0) 1)", "(<= (* (/ 1 3) Y_0) (/ 2 3))", "(<= Y_0 0.50000000000000000000000001)",
		"(<= Y_0 -1e-400)", "(<= (* 3 X_0) 1)", "(<= (* 1.5 Y_0) 1)", "(< (- Y_0) 3)", "(> X_0 0.5)", "(and (>= X_0 0.1) (<= X_0 0.1))",
		"(and (>= X_0 1) (<= X_0 1.00000001))", "(and (>= X_0 0.99999999) (<= X_0 1))", "(and (>= X_0 1.00000001) (<= X_0 1.00000002))",
	} {
		text := declare1(2, 1) + "(assert (and (>= X_0 -2) (<= X_0 2) (>= X_1 0.3) (<= X_1 0.3) " + atoms + "))"
		for _, text := range []string{text, strings.ReplaceAll(text, "0.3", "0")} {
			p, err := Read("q", strings.NewReader(text), nil)
			if err != nil {
				t.Fatal(err)
			}
			reread(t, text, p)
		}
	}
}

func TestWriteBuilt(t *testing.T) {
	p := LinfBall([]float64{0.1, 0.95, 0, 0.7}, 0.1, 0, 1, 1, 3)
	var b strings.Builder
	if err := WriteVNNLIB(&b, p); err != nil {
		t.Fatal(err)
	}
	q, err := Read("written", strings.NewReader(b.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(resolve(p), resolve(q)); diff != "" {
		t.Errorf("%s\n%s", b.String(), diff)
	}
}

func TestWriteText(t *testing.T) {
	text := declare1(1, 3) + "(assert (<= X_0 0.1))\n(assert (>= X_0 0.1))\n" +
		"(assert (or (and (<= Y_0 Y_1) (>= Y_2 1e-9)) (and (< (- Y_2) Y_1)) (and (>= (* 0.1 Y_0) (* 3 X_0)))))"
	want := strings.ReplaceAll(declare1(1, 3), ")(", ")\n(") + "\n(assert (>= X_0 0.1))\n(assert (<= X_0 0.1))\n\n(assert (or\n" +
		"  (and (<= Y_0 Y_1) (>= Y_2 1e-09))\n  (and (< (+ (- Y_1) (- Y_2)) 0))\n  (and (<= (+ (* 3 X_0) (* -0.1 Y_0)) 0))\n))\n"
	p, err := Read("q", strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := WriteVNNLIB(&b, p); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}
