// Package verifytest decides tiny questions about networks exactly, so that everything fast has something to agree with.
//
// It draws random programs and problems from a seed, finds exact minima and exact verdicts by enumerating activation
// patterns with rational linear programs, and runs a verifier against that oracle, shrinking any contradiction to a
// reproducer in text form. It does not import package verify: the verifier under test is a callback.
//
// The package is for tests and for the hidden fuzz command; it panics on programs it does not support (Sigmoid nodes).
package verifytest
