// Package kernel is the trusted checker: it reads a network, a question and a proof, and accepts or refuses.
//
// It shares no code with the search, imports the standard library only, and computes in integers. Floating point appears
// only where it proposes multipliers, any of which are valid. An accepted "unsat" rests on the inequality of eval.go, on the
// trees of tree.go covering every case, and on the readers onnx.go, ops.go and vnnlib.go. An accepted "sat" rests on
// witness.go.
//
// Real numbers are integers times a power of two: v·2^-exp, with one exponent for a whole vector. The widths below bound
// every integer; sums are checked to fit before they are formed.
package kernel

const (
	weightBits = 50 // of a stored weight or bias
	nuBits     = 36 // of a multiplier
	boundBits  = 56 // of a bound
	fanBits    = 20 // of the number of products in one sum
	accBits    = 126

	maxExp      = 64      // of multipliers: finer ones are rounded
	finest      = 110     // exponent of weights: smaller parts are rounded
	maxElements = 1 << 22 // of all vectors of a network together
	maxMACs     = 1 << 28 // of a network
	maxDepth    = 2000    // of a proof tree
	maxLive     = 1 << 27 // bounds held by the nodes of one path
)
