package reluplex

import (
	"fmt"
	"math/big"

	"github.com/spai-project/certify/nn/spec"
)

// A Point is a row of Table 3: a point that N1,1 is asked about, as the network takes it.
type Point struct {
	X         [numInputs]string
	Published [len(Radii)]PublishedCell
}

// A PublishedCell is the paper's answer for one radius: sat when some point in the ball gets another advisory, and the seconds.
type PublishedCell struct {
	Result  string
	Seconds int
}

// Radii are the columns of Table 3: distances in every scaled input.
var Radii = [...]string{"0.1", "0.075", "0.05", "0.025", "0.01"}

// Robust is the network of Table 3.
var Robust = Network{1, 1}

// Points returns the rows of Table 3.
func Points() []Point {
	const sat, unsat = "sat", "unsat"
	return []Point{
		{[numInputs]string{"0", "0", "0", "0", "0"},
			[len(Radii)]PublishedCell{{sat, 135}, {sat, 239}, {sat, 24}, {unsat, 609}, {unsat, 57}}},
		{[numInputs]string{"0.2", "-0.1", "0", "-0.3", "0.4"},
			[len(Radii)]PublishedCell{{unsat, 5880}, {unsat, 1167}, {unsat, 285}, {unsat, 57}, {unsat, 5}}},
		{[numInputs]string{"0.45", "-0.23", "-0.4", "0.12", "0.33"},
			[len(Radii)]PublishedCell{{unsat, 863}, {unsat, 436}, {unsat, 99}, {unsat, 53}, {unsat, 1}}},
		{[numInputs]string{"-0.2", "-0.25", "-0.5", "-0.3", "-0.44"},
			[len(Radii)]PublishedCell{{sat, 2}, {sat, 977}, {sat, 1168}, {unsat, 656}, {unsat, 7}}},
		{[numInputs]string{"0.61", "0.36", "0", "0", "-0.24"},
			[len(Radii)]PublishedCell{{unsat, 14560}, {unsat, 4344}, {unsat, 1331}, {unsat, 221}, {unsat, 6}}},
	}
}

// Value returns the float64 nearest to the point.
func (p *Point) Value() []float64 {
	x := make([]float64, numInputs)
	for i, s := range p.X {
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			panic("reluplex: " + s + " is no number")
		}
		x[i], _ = r.Float64()
	}
	return x
}

// Problem asks whether within a radius of the point, and in the domain of the networks as the paper's program has it, some of the
// scores rivals is at most that of advisory, up to slack.
func (p *Point) Problem(radius, slack string, advisory int, rivals ...int) (*spec.Problem, error) {
	w := newWriter(slack)
	w.ball(p.X, radius)
	var cases [][]comparison
	for _, j := range rivals {
		cases = append(cases, lowest(j, advisory))
	}
	w.unsafe(cases)
	return w.problem(fmt.Sprintf("point %v, radius %s", p.X, radius))
}
