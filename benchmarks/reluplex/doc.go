// Package reluplex asks again what Katz, Barrett, Dill, Julian and Kochenderfer asked to evaluate their solver ("Reluplex: An
// Efficient SMT Solver for Verifying Deep Neural Networks", CAV 2017): ten properties of the ACAS Xu networks (Table 2) and the
// local robustness of one of them (Table 3). It holds the questions, the published answers, and the runner that compares.
//
// Questions are VNN-LIB text in the units of the paper, feet, radians and feet per second: scaling to what the networks take is
// left to the exact arithmetic of the reader, so no end of a box is rounded on the way.
package reluplex

import "fmt"

// A Network is one of the 45 networks: Previous is the advisory before (1 clear of conflict, 2 weak left, 3 weak right, 4 strong
// left, 5 strong right), Time the class of the time until vertical separation is lost, 1 to 9.
type Network struct{ Previous, Time int }

// String returns the paper's name.
func (n Network) String() string { return fmt.Sprintf("N%d,%d", n.Previous, n.Time) }

// File returns the name of the ONNX file in VNN-COMP's suite acasxu.
func (n Network) File() string {
	return fmt.Sprintf("ACASXU_run2a_%d_%d_batch_2000.onnx", n.Previous, n.Time)
}

// The outputs: scores of the five advisories, of which the lowest is issued.
const (
	clear = iota
	weakLeft
	weakRight
	strongLeft
	strongRight
	numOutputs
)

var advisories = [numOutputs]string{"clear of conflict", "weak left", "weak right", "strong left", "strong right"}
