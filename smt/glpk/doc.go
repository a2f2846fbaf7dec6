// Package glpk solves the programs of smt/simplex, and small networks as mixed-integer programs, with GLPK, to compare: build tag
// glpk, cgo, Debian's libglpk-dev. Without the tag it is empty. A program built with the tag is under GLPK's licence, the GPL 3.
//
// GLPK's answers have its tolerances and no multipliers (the Go binding has none), so nothing here may lead to a verdict.
package glpk
