package reluplex

import (
	"fmt"
	"strings"

	"github.com/spai-project/certify/nn/spec"
)

// A side is the interval of one input in the units of the paper, as decimals; an empty end is that of the domain.
type side struct{ lo, hi string }

const numInputs = 5

// inputs are the domain of the networks and its scaling: a network takes (v − mean) / span. They are distance (ft), the angle
// to the intruder and its heading (rad), the own speed and the intruder's (ft/s).
var inputs = [numInputs]struct {
	lo, hi     string
	mean, span string
}{
	{"0", "60760", "19791.091", "60261"},
	{"-3.141593", "3.141593", "0", "6.28318530718"},
	{"-3.141593", "3.141593", "0", "6.28318530718"},
	{"100", "1200", "650", "1100"},
	{"0", "1200", "600", "1200"},
}

// Scores are scaled alike.
const outputMean, outputSpan = "7.5188840201005975", "373.94992"

// scaled returns the exact quotient that a network takes for v.
func scaled(v, mean, span string) string { return fmt.Sprintf("(/ (- %s %s) %s)", v, mean, span) }

// A writer collects VNN-LIB 1.0. Comparisons of scores hold up to slack, a decimal.
type writer struct {
	strings.Builder
	slack string
}

func newWriter(slack string) *writer {
	w := &writer{slack: slack}
	for i := range numInputs {
		fmt.Fprintf(w, "(declare-const X_%d Real)\n", i)
	}
	for i := range numOutputs {
		fmt.Fprintf(w, "(declare-const Y_%d Real)\n", i)
	}
	return w
}

// boxes asserts that the input lies in one of the boxes.
func (w *writer) boxes(boxes [][numInputs]side) {
	w.WriteString("(assert (or")
	for _, b := range boxes {
		w.WriteString("\n  (and")
		for i, in := range inputs {
			lo, hi := b[i].lo, b[i].hi
			if lo == "" {
				lo = in.lo
			}
			if hi == "" {
				hi = in.hi
			}
			fmt.Fprintf(w, "\n    (>= X_%d %s) (<= X_%d %s)", i, scaled(lo, in.mean, in.span), i, scaled(hi, in.mean, in.span))
		}
		w.WriteString(")")
	}
	w.WriteString("))\n")
}

// ball asserts that the input lies within radius of a point, both as a network takes them, and in the domain.
func (w *writer) ball(point [numInputs]string, radius string) {
	w.boxes([][numInputs]side{{}})
	for i, x := range point {
		fmt.Fprintf(w, "(assert (>= X_%d (- %s %s))) (assert (<= X_%d (+ %s %s)))\n", i, x, radius, i, x, radius)
	}
}

// unsafe asserts one of the conjunctions.
func (w *writer) unsafe(cases [][]comparison) {
	w.WriteString("(assert (or")
	for _, all := range cases {
		w.WriteString("\n  (and")
		for _, c := range all {
			w.WriteString(" " + c.text(w.slack))
		}
		w.WriteString(")")
	}
	w.WriteString("))\n")
}

// problem reads the question.
func (w *writer) problem(name string) (*spec.Problem, error) {
	return spec.Read(name, strings.NewReader(w.String()), nil)
}

// A comparison says that output lower is at most output upper, or, where score is given, that upper is at least that score.
type comparison struct {
	lower, upper int
	score        string
}

func (c comparison) text(slack string) string {
	low := fmt.Sprintf("Y_%d", c.lower)
	if c.score != "" {
		low = scaled(c.score, outputMean, outputSpan)
	}
	if slack == "0" {
		return fmt.Sprintf("(<= %s Y_%d)", low, c.upper)
	}
	return fmt.Sprintf("(<= (- %s %s) Y_%d)", low, slack, c.upper)
}

// lowest is the case that output i is at most each of these.
func lowest(i int, these ...int) (all []comparison) {
	for _, j := range these {
		all = append(all, comparison{lower: i, upper: j})
	}
	return all
}

// highest is the case that each of the other outputs is at most output i.
func highest(i int) (all []comparison) {
	for _, j := range others(i) {
		all = append(all, comparison{lower: j, upper: i})
	}
	return all
}

// beaten are the cases that some other output is at most output i.
func beaten(i int) (cases [][]comparison) {
	for _, c := range highest(i) {
		cases = append(cases, []comparison{c})
	}
	return cases
}

// others are the outputs but i.
func others(i int) (rest []int) {
	for j := range numOutputs {
		if j != i {
			rest = append(rest, j)
		}
	}
	return rest
}
