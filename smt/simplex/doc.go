// Package simplex solves linear programs in two forms.
//
// Solver minimises c·x subject to G·x ≤ h over a finite box lo ≤ x ≤ hi. It serves the leaves of a branch and bound: many
// variables, few of the rows active, solved again and again with a row or a bound changed. The method is the dual simplex with
// bound flipping (the long-step ratio test). Only the active part of a basis is held: k rows that are tight and k variables
// that make them so, and the inverse of that k×k kernel; a pivot costs k·n + k² + m·(changed variables) operations and nothing
// of size m×m is ever formed.
//
// Every variable is boxed, slacks included (see problem.go), so any basis becomes dual feasible by moving nonbasic variables to
// their other bound. One algorithm therefore serves cold starts, warm starts after any change, repair after rounding, and early
// stops.
//
// System is the general form s = A·x, lo ≤ (x,s) ≤ hi of solvers modulo theories: bounds may be infinite or equal, are asserted
// and retracted in O(1), and the explicit tableau can be read. It serves smt/reluplex.
//
// Nothing is decided by floating-point tolerances. A caller takes the multipliers of the rows and evaluates DualBound or
// System.Bound (rounded outward) or System.BoundExact (rationals), which are valid wherever the multipliers came from.
//
// Sources: Maros, Computational Techniques of the Simplex Method (2003), ch. 10; Koberstein, The Dual Simplex Method (2005);
// Dutertre and de Moura, A fast linear-arithmetic solver for DPLL(T) (2006); Neumaier and Shcherbina, Safe bounds in linear and
// mixed-integer programming (2004).
package simplex
