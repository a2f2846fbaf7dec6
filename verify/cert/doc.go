// Package cert writes certificates (NNCERT/1, docs/design/0009-certificates.md): the file as Go values, its encoding, and a
// Builder that turns what a search knows in floating point into a proof that the kernel accepts.
package cert
