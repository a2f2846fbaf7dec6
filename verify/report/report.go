// Package report writes verification results: the strict text of the VNN-LIB 2.0 standard, VNN-COMP result files, the
// certify.result/1 JSON object, and sentences for people. It decides nothing and never prints by itself.
package report

import (
	"time"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
)

// A File is an input file and the SHA-256 of its decompressed contents in hex.
type File struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// A Tool says what produced a result.
type Tool struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	CPU     string `json:"cpu,omitempty"`
}

// A Run is one verification with everything a reader needs to repeat it. Result must be set; Problem must be set when
// the verdict is Violated.
type Run struct {
	Model, Query File
	Semantics    string
	Problem      *spec.Problem
	Result       *verify.Result
	Load         time.Duration // reading both files
	Wall, CPU    time.Duration // since the process started; CPU 0 where the system does not tell
	PeakRSS      int64         // bytes, 0 where the system does not tell
	Seed         uint64
	Tool         Tool

	// Decided is what it took until the search had its answer, when the kernel was to check that afterwards.
	Decided *Usage
	// Certificate is the one the kernel accepted, nil if none was made.
	Certificate *Certificate
	// Unchecked says why the kernel did not accept an answer that it was to check, "" if it did or was not to.
	Unchecked string
}

// Usage is what a process used since it started.
type Usage struct {
	Wall, CPU time.Duration
	PeakRSS   int64 // bytes, 0 where the system does not tell
}

// A Certificate is a proof of unsat that the kernel accepted.
type Certificate struct {
	Path        string // where it was written, "" for nowhere
	Data        []byte
	Leaves      int
	Make, Check time.Duration // making it; the kernel's check of it
}
