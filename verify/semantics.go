package verify

import (
	"errors"
	"fmt"
	"math"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
)

// Semantics is the arithmetic that a verdict is about.
type Semantics uint8

const (
	// Real is real arithmetic.
	Real Semantics = iota
	// Float32 is every binary32 execution: Holds is valid for each of them, and a witness violates in each of them.
	Float32
	// Both is real arithmetic and every binary32 execution. Bounds of binary32 executions admit roundings of 0, and witnesses are
	// confirmed in real arithmetic first, so the two differ in what is claimed and not in what is done.
	Both
)

var semanticsNames = [...]string{"real", "float32", "both"}

func (s Semantics) String() string { return semanticsNames[s] }

// ParseSemantics is the inverse of String.
func ParseSemantics(s string) (Semantics, bool) {
	for i, name := range semanticsNames {
		if s == name {
			return Semantics(i), true
		}
	}
	return Real, false
}

const (
	// reasonThin: counterexamples were found, but none that violates in every binary32 execution. Bounds then cannot help, because
	// they hold for real arithmetic too.
	reasonThin     = "a counterexample in real arithmetic was found, but not one for every binary32 execution"
	reasonOverflow = "a binary32 execution may overflow, as far as intervals can tell"
)

// Lower lowers g for the semantics. Where a network can be bounded in real arithmetic, but it is not known how its binary32
// executions are rounded, there is no program but a result, Unknown, that says so.
func Lower(g *nn.Graph, s Semantics) (*prog.Program, *Result, error) {
	if s == Real {
		p, err := g.Lower()
		return p, nil, err
	}
	p, err := g.Lower32()
	var u *nn.UnsupportedError
	if errors.As(err, &u) {
		if _, err := g.Lower(); err != nil {
			return nil, nil, err
		}
		reason := "binary32: " + u.Nodes[0].Error()
		if n := len(u.Nodes) - 1; n > 0 {
			reason += fmt.Sprintf(" (and %d more)", n)
		}
		return nil, &Result{Reason: reason, Margin: math.Inf(-1), Stats: Stats{Phases: map[string]float64{}}}, nil
	}
	return p, nil, err
}

// unfit returns why nothing can be said under the semantics, "" where something can.
func (r *run) unfit() string {
	switch {
	case r.opt.Semantics == Real:
		return ""
	case !r.full.Binary32:
		return "binary32: the roundings of the network are not declared"
	case r.opt.Method == methodReluplex:
		return "binary32: this method is about real arithmetic"
	case relax.NewNet(r.full).Overflows(hull(r.p)):
		return reasonOverflow
	}
	return ""
}

// accept reports whether a confirmed witness is one under the semantics.
func (r *run) accept(w *spec.Witness) bool {
	if r.opt.Semantics == Real || w.AnyOrder {
		return true
	}
	r.thin.Store(true)
	return false
}

// hull returns the least box around all boxes of the question.
func hull(p *spec.Problem) relax.Box {
	h := relax.Box{Lo: make([]float64, p.NumInputs), Hi: make([]float64, p.NumInputs)}
	for i := range h.Lo {
		h.Lo[i], h.Hi[i] = math.Inf(1), math.Inf(-1)
		for c := range p.Cases {
			b := &p.Boxes[p.Cases[c].Box]
			h.Lo[i], h.Hi[i] = min(h.Lo[i], b.Lower[i]), max(h.Hi[i], b.Upper[i])
		}
	}
	return h
}
