// Package smt decides questions about ReLU networks by DPLL(T): a Boolean search whose literals mean something about the network,
// and bounds that say which literals exclude each other (Ganzinger et al., DPLL(T), CAV 2004; for networks Ehlers, ATVA 2017, and
// Duong et al., NeuralSAT, 2023).
//
// # Literals
//
//	phase      z ≥ 0, or z ≤ 0, for every ReLU that the bounds over the box leave open
//	atom       x_i ≤ t, or x_i ≥ t
//	row        a row of the unsafe set holds; equal rows of different cases are one literal
//	selector   a case of the unsafe set holds: it implies its rows; one clause says that some case holds
//
// Both sides of a phase and of an atom are closed, so every input satisfies one of them and points on the border both.
//
// # No-goods
//
// A refutation is a vector of multipliers (package relax) whose bound is positive on the set that the literals describe. The
// bound is a sum with one term for each neuron and each input, and a literal only matters to its own term. So literals are left
// out, the least costly first, until nothing is left to give away; what remains is evaluated once more, rounded outward, and is
// an explanation: literals that no input satisfies together. Its negation is a clause, valid in the whole box, whatever the
// search did to find it.
//
// Bounds of inner neurons may be computed anew for a part of the box. Explanations that use them contain the literals that
// describe the part; they are first tried with the bounds of larger parts, the whole box above all.
//
// # Search
//
// The package decides, gini propagates (clauses.go). Refutations that involve true literals alone are conflicts: resolution
// along the implications leaves one literal of the last level (the first unique implication point), and the search goes back as
// far as that literal is implied (analyze.go). The question is settled when the clauses exclude each other without any
// decision.
//
// Reading order: query.go, clauses.go, literals.go, dual.go, explain.go, analyze.go, search.go, check.go, ascend.go, branch.go,
// leaf.go.
package smt
