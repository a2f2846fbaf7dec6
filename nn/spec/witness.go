package spec

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// WriteCounterexample writes an assignment in the form of VNN-LIB 1.0 and VNN-COMP: ((X_0 v) … (Y_0 v) …), one pair a line.
// Values have the shortest digits that give back the float64, so a float32 value survives both readings a checker may take:
// as a decimal, and rounded to float32.
func WriteCounterexample(w io.Writer, x, y []float64) error {
	b := bufio.NewWriter(w)
	sep := "("
	for side, values := range [2][]float64{x, y} {
		for i, v := range values {
			if err := finite(v); err != nil {
				return err
			}
			fmt.Fprintf(b, "%s(%s_%d %s)", sep, sides[side], i, digits(v, 64))
			sep = "\n"
		}
	}
	b.WriteString(")\n")
	return flush(b)
}

// ReadCounterexample reads what WriteCounterexample writes; a leading verdict word (sat, violated) is skipped. Indices must
// be 0, 1, … in order, inputs before outputs. Numbers round to the nearest float64. Malformed text gives a *SyntaxError.
func ReadCounterexample(r io.Reader) (x, y []float64, err error) {
	lx := newLexer(r)
	step := func(kind tokenKind, what string) {
		if err == nil {
			if err = lx.next(); err == nil && lx.kind != kind {
				err = lx.fail("expected %s", what)
			}
		}
	}
	if err = lx.next(); err == nil && lx.kind == tokSymbol && (string(lx.text) == "sat" || string(lx.text) == "violated") {
		err = lx.next()
	}
	if err == nil && lx.kind != tokOpen {
		err = lx.fail("expected '(' at the start of the assignment")
	}
	values := [2][]float64{}
	for err == nil {
		if err = lx.next(); err != nil || lx.kind == tokClose {
			break
		}
		if lx.kind != tokOpen {
			err = lx.fail("expected '(' or ')'")
		}
		step(tokSymbol, "a variable")
		if err != nil {
			break
		}
		side, i, ok := scalarName(lx.text)
		if !ok || i != len(values[side]) || side == 0 && len(values[1]) > 0 {
			err = lx.fail("expected %s_%d or Y_%d", sides[side&1], len(values[side&1]), len(values[1]))
			break
		}
		step(tokNumber, "a number")
		v, bad := parseValue(string(lx.text), 64)
		if err == nil && bad != "" {
			err = lx.fail("%s", bad)
		}
		step(tokClose, "')'")
		values[side] = append(values[side], v)
	}
	step(tokEOF, "the end of the text")
	if err != nil {
		return nil, nil, err
	}
	return values[0], values[1], nil
}

// parseValue checks and rounds a number to float32 or float64; what is wrong with it comes back in words.
func parseValue(text string, bits int) (float64, string) {
	if text == "" {
		return 0, "expected a number"
	}
	if _, bad := canonical(nil, []byte(text)); bad != "" {
		return 0, bad
	}
	v, _ := strconv.ParseFloat(text, bits)
	if math.IsInf(v, 0) {
		return 0, fmt.Sprintf("this number is beyond the range of float%d", bits)
	}
	return v, ""
}

// WriteAssignment writes an assignment in the text form of VNN-LIB 2.0: for every variable in order a line
// "NAME type [d0,d1]", then one value a line, row-major. x and y are the flattened inputs and outputs. Values of float32
// variables have the shortest digits that give back the float32, all others those that give back the float64; no exponents.
func WriteAssignment(w io.Writer, vars []Var, x, y []float64) error {
	if err := fits(vars, len(x), len(y)); err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	for _, v := range vars {
		fmt.Fprintf(b, "%s %s %s\n", v.Name, v.Type, shapeText(v.Shape))
		var part []float64
		part, x, y = take(v, x, y)
		for _, f := range part {
			if err := finite(f); err != nil {
				return err
			}
			b.WriteString(digits(f, bitsOf(v)))
			b.WriteByte('\n')
		}
	}
	return flush(b)
}

// ReadAssignment reads what WriteAssignment writes for the same variables; a type may also be "real", and a leading "sat" line
// is skipped. Values of float32 variables round to the nearest float32, all others to the nearest float64. Malformed text
// gives a *SyntaxError.
func ReadAssignment(r io.Reader, vars []Var) (x, y []float64, err error) {
	s := bufio.NewScanner(r)
	line, text := 0, ""
	fail := func(format string, args ...any) error {
		loc := Location{Line: line, Col: 1}
		loc.mark([]byte(text), 0, len(text), false, false)
		return &SyntaxError{Location: loc, Msg: fmt.Sprintf(format, args...)}
	}
	next := func() bool {
		text = ""
		line++
		if !s.Scan() {
			return false
		}
		text = strings.TrimSpace(s.Text())
		return true
	}
	more := next()
	if more && text == "sat" {
		more = next()
	}
	for _, v := range vars {
		if !more || !headerOf(v, text) {
			return nil, nil, fail("expected the line %q", v.Name+" "+v.Type+" "+shapeText(v.Shape))
		}
		for i := range elements(v.Shape) {
			if !next() {
				return nil, nil, fail("the text ends after %d of %d values of %s", i, elements(v.Shape), v.Name)
			}
			f, bad := parseValue(text, bitsOf(v))
			if bad != "" {
				return nil, nil, fail("%s, for %s", bad, v.Name)
			}
			if v.Output {
				y = append(y, f)
			} else {
				x = append(x, f)
			}
		}
		more = next()
	}
	if more {
		return nil, nil, fail("unexpected text after the last value")
	}
	if err := s.Err(); err != nil {
		return nil, nil, fmt.Errorf("spec: %w", err)
	}
	return x, y, nil
}

// headerOf reports whether a line is the header of v; spaces inside the shape are allowed.
func headerOf(v Var, line string) bool {
	name, rest, _ := strings.Cut(line, " ")
	typ, shape, _ := strings.Cut(strings.TrimSpace(rest), " ")
	if name != v.Name || typ != v.Type && !strings.EqualFold(typ, "real") {
		return false
	}
	return strings.ReplaceAll(shape, " ", "") == shapeText(v.Shape)
}

// fits checks the lengths of an assignment.
func fits(vars []Var, x, y int) error {
	n := [2]int{}
	for _, v := range vars {
		side := 0
		if v.Output {
			side = 1
		}
		n[side] += elements(v.Shape)
	}
	if n != [2]int{x, y} {
		return fmt.Errorf("spec: an assignment of %d inputs and %d outputs to variables with %d and %d", x, y, n[0], n[1])
	}
	return nil
}

// take splits the values of v off x or y.
func take(v Var, x, y []float64) (part, restX, restY []float64) {
	n := elements(v.Shape)
	if v.Output {
		return y[:n], x, y[n:]
	}
	return x[:n], x[n:], y
}

func bitsOf(v Var) int {
	if floatType(v.Type) == "float32" {
		return 32
	}
	return 64
}

// digits prints f without exponent. A float32 variable that does not hold a float32 keeps all its digits.
func digits(f float64, bits int) string {
	if float64(float32(f)) != f {
		bits = 64
	}
	return strconv.FormatFloat(f, 'f', -1, bits)
}

func finite(f float64) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Errorf("spec: an assignment cannot hold %v", f)
	}
	return nil
}
