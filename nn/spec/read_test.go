package spec

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// declare1 declares nx inputs and ny outputs in VNN-LIB 1.0, on one line.
func declare1(nx, ny int) string {
	var b strings.Builder
	for i := range nx {
		fmt.Fprintf(&b, "(declare-const X_%d Real)", i)
	}
	for i := range ny {
		fmt.Fprintf(&b, "(declare-const Y_%d Real)", i)
	}
	return b.String() + "\n"
}

// dump spells every case as "[lower,upper]… | row; row".
func dump(p *Problem) string {
	var b strings.Builder
	for _, c := range p.Cases {
		box := p.Boxes[c.Box]
		for i := range box.Lower {
			fmt.Fprintf(&b, "[%v,%v]", box.Lower[i], box.Upper[i])
		}
		for i, r := range c.Rows {
			b.WriteString([]string{" | ", "; "}[min(i, 1)])
			dumpCoefs(&b, "x", r.X)
			dumpCoefs(&b, "y", r.Y)
			op := "≤"
			if r.Strict {
				op = "<"
			}
			b.WriteString(op + strconv.FormatFloat(r.RHSLower, 'g', -1, 64))
			if r.RHSLower != r.RHSUpper {
				b.WriteString("…" + strconv.FormatFloat(r.RHSUpper, 'g', -1, 64))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func dumpCoefs(b *strings.Builder, side string, coefs []Coef) {
	for _, c := range coefs {
		fmt.Fprintf(b, "%+g", c.Value)
		if c.Err != 0 {
			b.WriteByte('~')
		}
		fmt.Fprintf(b, "%s%d ", side, c.Index)
	}
}

const box1 = "(assert (<= X_0 1)) (assert (>= X_0 -1))"

func TestNormalForm(t *testing.T) {
	two := "(assert (<= X_0 1)) (assert (>= X_0 -1)) (assert (<= X_1 1)) (assert (>= X_1 -1))"
	for name, c := range map[string]struct{ text, want string }{
		"box only":          {declare1(1, 1) + box1, "[-1,1]\n"},
		"output bound":      {declare1(1, 1) + box1 + "(assert (<= Y_0 0.5))", "[-1,1] | +1y0 ≤0.5\n"},
		"output lower":      {declare1(1, 1) + box1 + "(assert (>= Y_0 0.5))", "[-1,1] | -1y0 ≤-0.5\n"},
		"constant left":     {declare1(1, 1) + "(assert (>= 1 X_0)) (assert (<= -1 X_0)) (assert (<= 2 Y_0))", "[-1,1] | -1y0 ≤-2\n"},
		"pair":              {declare1(1, 3) + box1 + "(assert (<= Y_2 Y_1))", "[-1,1] | -1y1 +1y2 ≤0\n"},
		"pair >=":           {declare1(1, 3) + box1 + "(assert (>= Y_2 Y_1))", "[-1,1] | +1y1 -1y2 ≤0\n"},
		"strict":            {declare1(1, 2) + box1 + "(assert (< Y_0 Y_1)) (assert (> Y_0 2))", "[-1,1] | +1y0 -1y1 <0; -1y0 <-2\n"},
		"equal":             {declare1(1, 1) + box1 + "(assert (= Y_0 2))", "[-1,1] | +1y0 ≤2; -1y0 ≤-2\n"},
		"equal input":       {declare1(1, 1) + "(assert (= X_0 2))", "[2,2]\n"},
		"unequal":           {declare1(1, 1) + box1 + "(assert (!= Y_0 2))", "[-1,1] | +1y0 <2\n[-1,1] | -1y0 <-2\n"},
		"nested and":        {declare1(1, 1) + "(assert (and (<= X_0 1) (and (>= X_0 -1) (and (<= Y_0 0)))))", "[-1,1] | +1y0 ≤0\n"},
		"or of bare atoms":  {declare1(1, 1) + box1 + "(assert (or (<= Y_0 0) (>= Y_0 1)))", "[-1,1] | +1y0 ≤0\n[-1,1] | -1y0 ≤-1\n"},
		"or in or":          {declare1(1, 1) + box1 + "(assert (or (<= Y_0 0) (or (>= Y_0 1) (or (>= Y_0 2)))))", "[-1,1] | +1y0 ≤0\n[-1,1] | -1y0 ≤-1\n[-1,1] | -1y0 ≤-2\n"},
		"or of one":         {declare1(1, 1) + "(assert (or (and (<= X_0 1) (>= X_0 -1) (<= Y_0 0))))", "[-1,1] | +1y0 ≤0\n"},
		"or below and":      {declare1(1, 1) + box1 + "(assert (and (<= Y_0 4) (or (<= Y_0 0) (and (>= Y_0 1) (or (<= Y_0 2) (>= Y_0 3))))))", "[-1,1] | +1y0 ≤4; +1y0 ≤0\n[-1,1] | +1y0 ≤4; -1y0 ≤-1; +1y0 ≤2\n[-1,1] | +1y0 ≤4; -1y0 ≤-1; -1y0 ≤-3\n"},
		"product":           {declare1(1, 2) + "(assert (or (and (<= X_0 1) (>= X_0 0)) (and (<= X_0 3) (>= X_0 2))))(assert (or (<= Y_0 0) (<= Y_1 0)))", "[0,1] | +1y0 ≤0\n[0,1] | +1y1 ≤0\n[2,3] | +1y0 ≤0\n[2,3] | +1y1 ≤0\n"},
		"case tightens":     {declare1(1, 1) + box1 + "(assert (or (and (<= X_0 0.5) (<= Y_0 0)) (and (>= X_0 -2) (<= Y_0 1))))", "[-1,0.5] | +1y0 ≤0\n[-1,1] | +1y0 ≤1\n"},
		"later assert":      {declare1(1, 1) + "(assert (or (and (<= X_0 0.5) (<= Y_0 0)) (<= Y_0 1)))" + box1, "[-1,0.5] | +1y0 ≤0\n[-1,1] | +1y0 ≤1\n"},
		"mixed linear":      {declare1(2, 1) + two + "(assert (<= (+ (* 2.0 X_0) (* -0.5 X_1) 1) Y_0))", "[-1,1][-1,1] | +2x0 -0.5x1 -1y0 ≤-1\n"},
		"inexact":           {declare1(1, 1) + box1 + "(assert (<= (* 0.1 Y_0) 0.5))", "[-1,1] | +0.1~y0 ≤0.5\n"},
		"inexact rhs":       {declare1(1, 1) + box1 + "(assert (<= Y_0 0.1))", "[-1,1] | +1y0 ≤0.09999999999999999…0.1\n"},
		"inputs only":       {declare1(2, 1) + two + "(assert (<= X_0 X_1))", "[-1,1][-1,1] | +1x0 -1x1 ≤0\n"},
		"minus":             {declare1(2, 2) + two + "(assert (<= (- Y_0 Y_1 X_0) (- 3)))", "[-1,1][-1,1] | -1x0 +1y0 -1y1 ≤-3\n"},
		"negated variable":  {declare1(1, 1) + box1 + "(assert (<= (- Y_0) 3))", "[-1,1] | -1y0 ≤3\n"},
		"scaled input":      {declare1(1, 1) + "(assert (<= (* 4 X_0) 2)) (assert (>= (* -2 X_0) -9)) (assert (<= (* -2 X_0) 8))", "[-4,0.5]\n"},
		"quotient":          {declare1(1, 1) + "(assert (<= X_0 (/ 1 4))) (assert (>= X_0 (/ -3 2)))", "[-1.5,0.25]\n"},
		"cancels":           {declare1(1, 1) + box1 + "(assert (<= (+ Y_0 (- Y_0) X_0) 0.5))", "[-1,0.5]\n"},
		"true constants":    {declare1(1, 1) + box1 + "(assert (<= 1 2)) (assert (<= Y_0 Y_0)) (assert (<= (- Y_0 Y_0) 0))", "[-1,1]\n"},
		"deep product":      {declare1(1, 1) + box1 + "(assert (<= (* 2 (+ 1 (* 3 (- Y_0 0.5) 1))) 0))", "[-1,1] | +6y0 ≤1\n"},
		"exponents":         {declare1(1, 1) + "(assert (<= X_0 1e3)) (assert (>= X_0 -25E-2)) (assert (<= Y_0 +5e+0))", "[-0.25,1000] | +1y0 ≤5\n"},
		"duplicate boxes":   {declare1(1, 1) + "(assert (or (and (<= X_0 1.0) (>= X_0 0) (<= Y_0 0)) (and (>= X_0 0.0) (<= X_0 1) (>= Y_0 1))))", "[0,1] | +1y0 ≤0\n[0,1] | -1y0 ≤-1\n"},
		"CRLF and comments": {strings.ReplaceAll("; head\n"+declare1(1, 1)+";;(\n"+box1+" ; (assert\n(assert ; x\n (<= Y_0 ;y\n 0))", "\n", "\r\n"), "[-1,1] | +1y0 ≤0\n"},
		"SMT-LIB commands":  {"(vnnlib-version <1.0>)(set-logic QF_LRA)(set-info :source |a|)(set-info :a \"b ( c\")(declare-fun X_0 () Real)(declare-fun Y_0 () Real)" + box1 + "(check-sat)(get-model)", "[-1,1]\n"},
		"byte order mark":   {"\xef\xbb\xbf" + declare1(1, 1) + box1, "[-1,1]\n"},
		"empty or":          {declare1(1, 1) + "(assert (or))", ""},
		"strict meets":      {declare1(1, 1) + box1 + "(assert (< X_0 -1))", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Read("q", strings.NewReader(c.text), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := dump(p); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
			if (len(p.Cases) == 0) != (len(p.Vacuous) > 0) {
				t.Errorf("cases %d, vacuous %q", len(p.Cases), p.Vacuous)
			}
		})
	}
}

func TestBoxesAreShared(t *testing.T) {
	p, err := Read("q", strings.NewReader(declare1(1, 1)+
		"(assert (or (and (<= X_0 1.0) (>= X_0 0) (<= Y_0 0)) (and (>= X_0 0.0e3) (<= X_0 10e-1) (>= Y_0 1)) (and (<= X_0 1) (>= X_0 0.5))))"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Boxes) != 2 || p.Cases[0].Box != p.Cases[1].Box || p.Cases[2].Box == p.Cases[0].Box {
		t.Errorf("boxes %v cases %v", p.Boxes, p.Cases)
	}
}

func TestVacuous(t *testing.T) {
	text := declare1(1, 1) + "(assert (<= X_0 0.5))\n(assert (or\n (and (>= X_0 0.6) (<= Y_0 0))\n (and (>= X_0 0.1) (<= Y_0 1))\n" +
		"(and (>= X_0 0.50000000000000000000000001) (<= Y_0 2))))"
	p, err := Read("q", strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"X_0 ≥ 0.6 (line 4) and X_0 ≤ 0.5 (line 2)",
		"X_0 ≥ 0.50000000000000000000000001 (line 6) and X_0 ≤ 0.5 (line 2)"}
	if fmt.Sprint(p.Vacuous) != fmt.Sprint(want) {
		t.Errorf("vacuous %q", p.Vacuous)
	}
	if len(p.Cases) != 1 || p.Cases[0].Rows[0].RHSUpper != 1 {
		t.Errorf("cases %v", p.Cases)
	}
}

// Only so many contradictions are spelled out.
func TestManyVacuous(t *testing.T) {
	text := declare1(1, 1) + box1 + "(assert (or" + strings.Repeat("(>= X_0 2)\n", 3000) + "(>= X_0 1)))"
	p, err := Read("q", strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Cases) != 1 || len(p.Vacuous) != maxVacuous+1 || p.Vacuous[maxVacuous] != "and more" {
		t.Errorf("%d cases, %d contradictions", len(p.Cases), len(p.Vacuous))
	}
}

// The ends of a box whose decimals are no floats, against values worked out by hand.
func TestDecimalRounding(t *testing.T) {
	for _, c := range []struct {
		lo, hi         string
		lower, upper   float64
		inLow, inUp    float32
		inexact, empty bool
	}{
		// 0.1 lies between 0x1.999999999999999p-4 and 0x1.999999999999ap-4; as float32 between 0x1.999998p-4 and 0x1.99999ap-4.
		{lo: "0.1", hi: "0.5", lower: 0x1.9999999999999p-4, upper: 0.5, inLow: 0x1.99999ap-4, inUp: 0.5},
		{lo: "0", hi: "0.1", lower: 0, upper: 0x1.99999ap-4, inLow: 0, inUp: 0x1.999998p-4},
		{lo: "0.1", hi: "0.1", lower: 0x1.9999999999999p-4, upper: 0x1.99999ap-4, inLow: 0x1.99999ap-4, inUp: 0x1.99999ap-4, inexact: true},
		{lo: "-0.1", hi: "0", lower: -0x1.99999ap-4, upper: 0, inLow: -0x1.999998p-4, inUp: 0},
		{lo: "-0.0", hi: "0e5", lower: 0, upper: 0, inLow: 0, inUp: 0},
		{lo: "0", hi: "1e-999", lower: 0, upper: 0x1p-1074, inLow: 0, inUp: 0},
		{lo: "0", hi: "1e39", lower: 0, upper: 0x1.78287f49c4a1ep+129, inLow: 0, inUp: 0x1.fffffep127},
		{lo: "2e39", hi: "3e39", lower: 0x1.78287f49c4a1dp+130, upper: 0x1.1a1e5f7753797p+131, inLow: 0x1.fffffep127, inUp: 0x1.fffffep127, inexact: true},
		{lo: "-1e39", hi: "0", lower: -0x1.78287f49c4a1ep+129, upper: 0, inLow: -0x1.fffffep127, inUp: 0},
	} {
		t.Run(c.lo+" "+c.hi, func(t *testing.T) {
			p, err := Read("q", strings.NewReader(declare1(1, 1)+"(assert (>= X_0 "+c.lo+"))(assert (<= X_0 "+c.hi+"))"), nil)
			if err != nil {
				t.Fatal(err)
			}
			b := p.Boxes[0]
			if b.Lower[0] != c.lower || b.Upper[0] != c.upper {
				t.Errorf("[%x, %x], want [%x, %x]", b.Lower[0], b.Upper[0], c.lower, c.upper)
			}
			if b.InLower[0] != c.inLow || b.InUpper[0] != c.inUp || b.Inexact != c.inexact {
				t.Errorf("float32 [%x, %x] inexact %v, want [%x, %x] %v", b.InLower[0], b.InUpper[0], b.Inexact, c.inLow, c.inUp, c.inexact)
			}
		})
	}
}

func TestStrictInputs(t *testing.T) {
	p, err := Read("q", strings.NewReader(declare1(1, 1)+"(assert (> X_0 0.5))(assert (< X_0 1))(assert (<= X_0 1))"), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := p.Boxes[0]
	if b.Lower[0] != 0.5 || b.Upper[0] != 1 || b.InLower[0] != 0x1.000002p-1 || b.InUpper[0] != 0x1.fffffep-1 {
		t.Errorf("[%v, %v] in [%x, %x]", b.Lower[0], b.Upper[0], b.InLower[0], b.InUpper[0])
	}
}

const net2 = "(vnnlib-version <2.0>)\n(declare-network f (declare-input X float32 [1,2]) (declare-output Y float32 [2]))\n"

func TestVersion2(t *testing.T) {
	bounds := "(assert (and (<= X[0,0] 1) (>= X[0,0] -1) (<= X[0,1] 2) (>= X[0,1] -2)))"
	for name, c := range map[string]struct{ text, want string }{
		"tensors": {net2 + bounds + "(assert (<= Y[1] Y[0]))", "[-1,1][-2,2] | -1y0 +1y1 ≤0\n"},
		"spaces":  {net2 + bounds + "(assert (== Y[ 1 ] 3))", "[-1,1][-2,2] | +1y1 ≤3; -1y1 ≤-3\n"},
		"unequal": {net2 + bounds + "(assert (!= Y[1] X[0,1]))", "[-1,1][-2,2] | -1x1 +1y1 <0\n[-1,1][-2,2] | +1x1 -1y1 <0\n"},
		"scalars": {"(vnnlib-version <2.0>)(declare-network n (declare-input a Real []) (declare-input b real [2,1]) (declare-output s float64 []) (declare-output t Real [1]))" +
			"(assert (and (<= a 1) (>= a 0) (<= b[0,0] 2) (>= b[0,0] 0) (<= b[1,0] 3) (>= b[1,0] 0) (< (+ s (* 2 t[0])) (* 1e0 b[1,0]))))",
			"[0,1][0,2][0,3] | -1x2 +1y0 +2y1 <0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Read("q", strings.NewReader(c.text), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := dump(p); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
			if p.Version != "2.0" {
				t.Errorf("version %q", p.Version)
			}
		})
	}
	p, err := Read("q", strings.NewReader(net2+bounds), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Var{{"X", "float32", []int{1, 2}, false}, {"Y", "float32", []int{2}, true}}
	if fmt.Sprint(p.Vars) != fmt.Sprint(want) {
		t.Errorf("vars %v", p.Vars)
	}
}

func TestGzipHashAndSmallReads(t *testing.T) {
	text := declare1(300, 2) + "(assert (or (and (<= Y_0 0)"
	for i := range 300 {
		text += fmt.Sprintf(" (<= X_%d 0.%d) (>= X_%d -0.%d)\n", i, i+100, i, i+100)
	}
	text += ")))"
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	p, err := Read("q", strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.Hash == "" || len(p.Cases) != 1 {
		t.Fatalf("hash %q, %d cases", p.Hash, len(p.Cases))
	}
	for name, r := range map[string]io.Reader{"gzip": &z, "bytes": iotest.OneByteReader(strings.NewReader(text)), "eof": iotest.DataErrReader(strings.NewReader(text))} {
		q, err := Read("q", r, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		if dump(q) != dump(p) || q.Hash != p.Hash {
			t.Errorf("%s: differs", name)
		}
	}
	broken := errors.New("broken")
	if _, err := Read("q", iotest.ErrReader(broken), nil); !errors.Is(err, broken) {
		t.Errorf("read error lost: %v", err)
	}
}

// A long file crosses the lexer's buffer at every kind of token.
func TestBufferBoundaries(t *testing.T) {
	var b strings.Builder
	b.WriteString(declare1(2, 1) + "(assert (and (<= X_0 1) (>= X_0 0) (<= X_1 1) (>= X_1 0)))(assert (or")
	want := 0
	for i := 0; b.Len() < 3*bufferSize; i++ {
		fmt.Fprintf(&b, "%s(and (<= X_1 0.%d1) (>=\tY_0 %d)); c%s\n", strings.Repeat(" ", i%7), i, i, strings.Repeat("c", i%50))
		want++
	}
	b.WriteString("))")
	p, err := Read("q", strings.NewReader(b.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Cases) != want {
		t.Fatalf("%d cases, want %d", len(p.Cases), want)
	}
	for i, c := range p.Cases {
		if c.Rows[0].RHSLower != float64(-i) {
			t.Fatalf("case %d: %v", i, c.Rows)
		}
	}
}
