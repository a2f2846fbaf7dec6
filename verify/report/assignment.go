package report

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
)

// Strict writes the verdict in the form of chapter 5 of the VNN-LIB 2.0 standard: the word, and after sat one block per
// declared variable with its header and one value per line.
func Strict(w io.Writer, r *Run) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, r.Result.Verdict)
	if r.Result.Verdict == verify.Violated {
		if err := Assignment(b, r.Problem, r.Result.Witness); err != nil {
			return err
		}
	}
	return b.Flush()
}

// VNNCOMP writes a VNN-COMP results file: the word on line 1, and after sat the counterexample. A VNN-LIB 1.0 query gets
// the form ((X_0 v) … (Y_0 v)), a 2.0 query the text of its standard.
func VNNCOMP(w io.Writer, r *Run) error {
	if r.Result.Verdict != verify.Violated || strings.HasPrefix(r.Problem.Version, "2") {
		return Strict(w, r)
	}
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, r.Result.Verdict)
	open := "("
	for _, v := range []struct {
		name   string
		values []float64
	}{{"X", r.Result.Witness.X}, {"Y", r.Result.Witness.Y}} {
		for i, x := range v.values {
			fmt.Fprintf(b, "%s(%s_%d %s)", open, v.name, i, decimal(x))
			open = "\n"
		}
	}
	fmt.Fprintln(b, ")")
	return b.Flush()
}

// Assignment writes a witness as VNN-LIB 2.0 text: for every declared variable, in order, the line "NAME type [shape]"
// and then its values in row-major order, one per line.
func Assignment(w io.Writer, p *spec.Problem, wit *spec.Witness) error {
	vars, err := variables(p, wit)
	if err != nil {
		return err
	}
	for _, v := range vars {
		if _, err := fmt.Fprintf(w, "%s %s %s\n", v.Name, v.Type, shapeText(v.Shape)); err != nil {
			return err
		}
		for _, x := range v.values {
			if _, err := fmt.Fprintln(w, decimal(x)); err != nil {
				return err
			}
		}
	}
	return nil
}

// A variable is a declared tensor with its values in the witness.
type variable struct {
	spec.Var
	values []float64
}

// variables splits the flat witness into the declared tensors. VNN-LIB 1.0 declares reals, which stand for float32 values.
func variables(p *spec.Problem, w *spec.Witness) ([]variable, error) {
	x, y := w.X, w.Y
	var out []variable
	for _, v := range p.Vars {
		from := &x
		if v.Output {
			from = &y
		}
		n := 1
		for _, d := range v.Shape {
			n *= d
		}
		if n > len(*from) {
			return nil, fmt.Errorf("report: the witness has too few values for %s", v.Name)
		}
		if !strings.HasPrefix(p.Version, "2") {
			v.Type = "float32"
		}
		out = append(out, variable{v, (*from)[:n]})
		*from = (*from)[n:]
	}
	if len(out) == 0 { // a problem built by a program declares nothing
		out = []variable{
			{spec.Var{Name: "X", Type: "float32", Shape: []int{len(x)}}, x},
			{spec.Var{Name: "Y", Type: "float32", Shape: []int{len(y)}, Output: true}, y},
		}
	}
	return out, nil
}

func shapeText(shape []int) string {
	s := make([]string, len(shape))
	for i, d := range shape {
		s[i] = strconv.Itoa(d)
	}
	return "[" + strings.Join(s, ",") + "]"
}

// decimal writes x without an exponent, which the grammar lacks, and with the fewest digits that read back as x.
func decimal(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
