package spec

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// FuzzRead: no input makes Read panic, take more than the limits allow, or return a problem that is not well-formed; and what
// it returns can be written and read again.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"", "(", ")", "(assert (or", "\x1f\x8b", "\xef\xbb\xbf;", "\x08\x07\x12\x05torch",
		declare1(2, 2) + "(assert (and (<= X_0 1)(>= X_0 -1e-3)(<= X_1 1)(>= X_1 .5)))(assert (or (and (<= Y_0 Y_1)) (> (* 0.1 Y_0) (- X_0 3))))",
		declare1(1, 1) + "(assert (or (and (<= X_0 1) (>= X_0 0)) (and (<= X_0 0.1) (>= X_0 0.1) (!= Y_0 3))))",
		net2 + "(assert (and (<= X[0,0] 1) (>= X[0,0] -1) (== X[0,1] 0.1) (!= Y[0] (+ Y[1] 2))))",
		"(vnnlib-version <2.0>)(declare-network n (declare-input a Real []) (declare-output s float64 []))(assert (and (< a 1) (> a -1) (>= (* s 2 3) 1e5)))",
	} {
		f.Add(s)
	}
	lim := limits{depth: 100, cases: 1000, rows: 5000, ends: 20000, vars: 1000, terms: 10000, bytes: 1 << 20}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := read("q", strings.NewReader(text), nil, lim)
		if err != nil {
			if loc := location(err); loc != nil {
				_ = loc.Caret()
			} else if strings.HasPrefix(text, "(") && !strings.Contains(err.Error(), "too long") {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		checkProblem(t, p)
		var b strings.Builder
		if err := WriteVNNLIB(&b, p); err != nil {
			t.Fatal(err)
		}
		if _, err := Read("written", strings.NewReader(b.String()), nil); err != nil {
			if e, ok := errors.AsType[*SyntaxError](err); !ok || !strings.Contains(e.Msg, "float64") {
				t.Fatalf("%v\n%s", err, b.String())
			}
		}
	})
}

// checkProblem checks what every consumer of a Problem relies on.
func checkProblem(t *testing.T, p *Problem) {
	t.Helper()
	for _, b := range p.Boxes {
		if len(b.Lower) != p.NumInputs || len(b.Upper) != p.NumInputs || len(b.InLower) != p.NumInputs || len(b.InUpper) != p.NumInputs {
			t.Fatal("box of the wrong size")
		}
		for i := range b.Lower {
			if !(b.Lower[i] <= b.Upper[i]) || !(b.InLower[i] <= b.InUpper[i]) || math.IsInf(b.Lower[i], 0) || math.IsInf(b.Upper[i], 0) {
				t.Fatalf("interval %d: [%v, %v], [%v, %v]", i, b.Lower[i], b.Upper[i], b.InLower[i], b.InUpper[i])
			}
		}
	}
	for _, c := range p.Cases {
		if c.Box < 0 || c.Box >= len(p.Boxes) {
			t.Fatal("case without box")
		}
		for _, r := range c.Rows {
			if !(r.RHSLower <= r.RHSUpper) || len(r.X)+len(r.Y) == 0 {
				t.Fatalf("row %v", r)
			}
			checkCoefs(r.X, p.NumInputs)
			checkCoefs(r.Y, p.NumOutputs)
		}
	}
}

// FuzzWitness: the readers of witnesses do not panic.
func FuzzWitness(f *testing.F) {
	f.Add("((X_0 1)\n(Y_0 2))")
	f.Add("X float32 [1,2]\n0.1\n1\nZ Real []\n1\nY float64 [2]\n1\n2\n")
	f.Fuzz(func(t *testing.T, text string) {
		if x, y, err := ReadCounterexample(strings.NewReader(text)); err == nil {
			var b strings.Builder
			if err := WriteCounterexample(&b, x, y); err != nil {
				t.Fatal(err)
			}
		}
		_, _, _ = ReadAssignment(strings.NewReader(text), witnessVars)
		_, _ = decodeTensor(witnessVars[0], []byte(text))
	})
}
