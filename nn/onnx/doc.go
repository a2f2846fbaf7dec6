// Package onnx reads ONNX and .nnet files into networks and writes networks as ONNX.
//
// The protocol-buffer wire format is decoded by hand, field by field: what is read is exactly what the package names, every
// length is checked against the file before anything is allocated, and errors say where in the file they are. Opsets 8 to
// 21 of the default domain are read; external data, sub-graphs, custom domains and sparse tensors are refused by name.
package onnx

import "fmt"

// A FormatError says that a file is malformed: where, what is wrong there, and why.
type FormatError struct {
	Offset int64  // byte offset in the decompressed file; -1 when the defect has no single place
	Line   int    // line of a text file, from 1; 0 for binary files
	What   string // the thing that is malformed: `node "conv1"`, "tensor", ...
	Why    string
	Err    error // the cause, when another package found it
}

func (e *FormatError) Error() string {
	at := ""
	switch {
	case e.Line > 0:
		at = fmt.Sprintf(" (line %d)", e.Line)
	case e.Offset >= 0:
		at = fmt.Sprintf(" (at byte %d)", e.Offset)
	}
	return fmt.Sprintf("onnx: malformed file: %s: %s%s", e.What, e.Why, at)
}

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// A LimitError says that a file is larger than Options allow.
type LimitError struct {
	What  string
	Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("onnx: %s exceeds the limit of %d", e.What, e.Limit)
}
