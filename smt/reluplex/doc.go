// Package reluplex is the solver of Katz, Barrett, Dill, Julian and Kochenderfer, Reluplex: An Efficient SMT Solver for Verifying
// Deep Neural Networks (CAV 2017): the simplex method on all equations of a network, whose pairs ⟨b,f⟩ with f = max(0,b) may be
// violated for a while, are repaired one by one, and are split only when repair fails again and again.
//
// A configuration of the paper is ⟨B, T, l, u, α, R⟩. Here
//
//	B, T, α   the basis, the tableau and the assignment of a simplex.System
//	l, u      its bounds, which come and go with the decisions (Push, Pop)
//	R         engine.pairs
//
// and its rules are
//
//	Pivot₁, Pivot₂, Update, Failure   simplex.System.Repair, which chooses among them: see repair.go
//	Update_b, Update_f, PivotForRelu  pair.go
//	ReluSplit                         stack.go, on demand
//	ReluSuccess                       engine.go
//	deriveLowerBound, …UpperBound     intervals.go for the network's own rows, derive.go for rows of the tableau
//
// Two things differ from the program of 2017. A pair that is split is not taken out of the tableau: SPLIT is f ≤ 0, MERGE is
// f − b ≤ 0, both bounds, so going back costs nothing. And no tolerance decides: the tableau is in floats, but a branch closes only
// when the multipliers of its failing row, evaluated on the network's own weights and rounded outward, exclude it (Farkas), and an
// input is a counterexample only when the caller's Try says so. Where neither happens the answer is Open.
//
// It is here to be read, to be compared with, and to show the distance to bounding methods; verify/bab is faster by orders of
// magnitude.
package reluplex
