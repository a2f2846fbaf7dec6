package report

import (
	"bufio"
	"fmt"
	"io"
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
	if err := spec.WriteCounterexample(b, r.Result.Witness.X, r.Result.Witness.Y); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return b.Flush()
}

// Assignment writes a witness as VNN-LIB 2.0 text: for every declared variable, in order, the line "NAME type [shape]"
// and then its values in row-major order, one per line.
func Assignment(w io.Writer, p *spec.Problem, wit *spec.Witness) error {
	if err := spec.WriteAssignment(w, variables(p), wit.X, wit.Y); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// Serialise writes the witness of r into dir as the VNN-LIB 2.0 standard wants it: one ONNX TensorProto per declared
// variable in NAME.pb.
func Serialise(dir string, r *Run) error {
	if err := spec.WriteTensors(dir, variables(r.Problem), r.Result.Witness.X, r.Result.Witness.Y); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// variables returns the declared tensors under the types that a witness reports: VNN-LIB 1.0 declares reals that stand for
// the float32 values of an ONNX file, and a problem built by a program declares nothing.
func variables(p *spec.Problem) []spec.Var {
	if len(p.Vars) == 0 {
		return []spec.Var{{Name: "X", Type: "float32", Shape: []int{p.NumInputs}},
			{Name: "Y", Type: "float32", Shape: []int{p.NumOutputs}, Output: true}}
	}
	vars := append([]spec.Var{}, p.Vars...)
	if !strings.HasPrefix(p.Version, "2") {
		for i := range vars {
			vars[i].Type = "float32"
		}
	}
	return vars
}
