// Package spec is the question: which inputs, and what the network must never do on them.
//
// A Problem is the set of counterexamples in disjunctive form: "sat" when some Case has an input in its Box whose output
// satisfies every one of its Rows, "unsat" when none has.
package spec

// A Problem is the set of counterexamples over the flattened input x and the flattened output y of a network (several
// inputs or outputs are concatenated in declaration order).
type Problem struct {
	NumInputs, NumOutputs int
	Boxes                 []Box // shared by cases, no duplicates
	Cases                 []Case
	// Vacuous lists, in words, the input constraints that contradict each other ("X_3 ≥ 0.6 (line 4) and X_3 ≤ 0.5 (line 9)").
	// Cases whose box is empty are left out of Cases and named here.
	Vacuous []string
	Vars    []Var  // declared variables in order, for writing witnesses
	Version string // "1.0", "2.0", or "" when built by a program
	Hash    string // SHA-256 of the (decompressed) query, hex
}

// A Var is a declared tensor variable; a VNN-LIB 1.0 query has one per scalar, summarised as X and Y.
type Var struct {
	Name   string
	Type   string // as declared: "Real", "float32", ...
	Shape  []int
	Output bool
}

// A Box is a product of intervals with decimal ends, held in two roundings. An end that a strict bound excludes is part of
// [Lower, Upper], which is closed, and not part of [InLower, InUpper]. An end beyond the range of float32 counts as itself in
// the hull.
type Box struct {
	// Lower, Upper is the set to prove: the hull of the decimal interval and of its ends rounded to the nearest float32,
	// rounded outward to float64.
	Lower, Upper []float64
	// InLower, InUpper is the float32 grid inside the decimal interval: the least float32 ≥ the decimal lower end, the
	// greatest float32 ≤ the decimal upper end. Where no float32 lies inside (InLower > InUpper would hold), both are the
	// float32 nearest to the interval's lower end and Inexact is true.
	InLower, InUpper []float32
	Inexact          bool
}

// A Case is one disjunct: x in Boxes[Box] and every row true. Cases may share the memory of their rows' coefficients: treat
// them as read-only.
type Case struct {
	Box  int
	Rows []Row
}

// A Row is the linear constraint Σ X·x + Σ Y·y ≤ RHS (< when Strict). Numbers are decimals of the file: a Coef is exact up to
// Err, and the true right-hand side lies in [RHSLower, RHSUpper].
type Row struct {
	X, Y               []Coef
	RHSLower, RHSUpper float64
	Strict             bool
}

// A Coef is one coefficient: the true number lies within Err of Value.
type Coef struct {
	Index int
	Value float64
	Err   float64
}

// A Witness is a counterexample: an input (float32 values, widened) and the network's output on it.
type Witness struct {
	Case int
	X, Y []float64
	// Margin is a rigorous lower bound, in real arithmetic, on how far inside every row the output lies (≥ 0).
	Margin float64
	// AnyOrder is true when the violation was also proved for every float32 execution of the network, whatever the order of
	// its sums and with or without fused multiply-add.
	AnyOrder bool
}
