// Package kernel is the trusted checker: it reads a network, a question and a proof, and accepts or refuses.
//
// It shares no code with the search, imports the standard library only, and computes in integers. Floating point appears
// only where it proposes multipliers, any of which are valid. An accepted "unsat" rests on the inequality of eval.go, on the
// trees of tree.go, with lean.go and reduce.go, covering every case, and on the readers: onnx.go with the operators of ops.go,
// moves.go, relus.go and convops.go, and vnnlib.go. An accepted "sat" rests on witness.go.
//
// Real numbers are integers times a power of two: v·2^-exp, with one exponent for a whole vector. The widths below bound
// every integer; sums are checked to fit before they are formed. What is wrong is said by need, which unwinds to the door.
package kernel

import (
	"errors"
	"fmt"
)

const (
	weightBits = 53 // of a stored weight
	nuBits     = 36 // of a multiplier
	boundBits  = 56 // of a bound
	reluBits   = 50 // of a coefficient on the output of a Relu
	lostBits   = 20 // of what rounding loses of a coefficient
	fanBits    = 17 // of the number of products in one sum
	accBits    = 126
	mergeBits  = 120 // of coefficients from several consumers before they are added

	maxExp      = 64      // of multipliers: finer ones are rounded
	finest      = 110     // exponent of weights: smaller parts are rounded
	maxElements = 1 << 22 // of all vectors of a network together
	maxConstant = 1 << 26 // elements of a tensor of the file
	maxMACs     = 1 << 28 // of a network
	maxDepth    = 2000    // of a proof tree
	maxLive     = 1 << 27 // bounds held by the nodes of one path
	tooWide     = "the numbers of this network spread over too many magnitudes"
)

// A refusal says why something is not accepted.
type refusal string

// need refuses unless ok.
func need(ok bool, format string, args ...any) {
	if !ok {
		panic(refusal(fmt.Sprintf(format, args...)))
	}
}

// door turns a refusal into an error. Any other panic becomes an error too: nothing is accepted by failing.
func door(err *error) {
	switch r := recover().(type) {
	case nil:
	case refusal:
		*err = errors.New(string(r))
	default:
		*err = fmt.Errorf("defect of the checker: %v", r)
	}
}
