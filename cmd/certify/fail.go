package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
)

// The exit statuses; the README lists them.
const (
	exitListed      = 1 // --fail-on named the verdict, a benchmark contradicts known answers, or a proof is refused
	exitUsage       = 2
	exitUnsupported = 3
	exitMalformed   = 4
	exitResources   = 5
	exitInternal    = 70
	exitInterrupted = 130
	exitTerminated  = 143
)

// A failure is an error as the user sees it: what, where, why, what next.
type failure struct {
	code   int
	kind   string   // the word in error[…]
	msg    string   // one line: where and what
	detail []string // indented lines: the source line with a caret, the nodes concerned
	hint   string   // what to do next
	err    error
}

func (f *failure) Error() string { return f.msg }
func (f *failure) Unwrap() error { return f.err }

// A status ends the program with an exit status and no further message.
type status struct{ code int }

func (s *status) Error() string { return fmt.Sprintf("exit status %d", s.code) }

func usagef(hint, format string, args ...any) *failure {
	return &failure{code: exitUsage, kind: "usage", msg: fmt.Sprintf(format, args...), hint: hint}
}

func unsupportedf(hint, format string, args ...any) *failure {
	return &failure{code: exitUnsupported, kind: "unsupported", msg: fmt.Sprintf(format, args...), hint: hint}
}

func malformedf(hint, format string, args ...any) *failure {
	return &failure{code: exitMalformed, kind: "input", msg: fmt.Sprintf(format, args...), hint: hint}
}

// fail prints f on stderr and returns its exit status.
func (a *app) fail(f *failure) int {
	fmt.Fprintf(a.err, "error[%s]: %s\n", f.kind, f.msg)
	for _, d := range f.detail {
		if d == "" {
			continue
		}
		for _, l := range strings.Split(strings.TrimRight(d, "\n"), "\n") {
			fmt.Fprintf(a.err, "   %s\n", l)
		}
	}
	if f.hint != "" {
		fmt.Fprintf(a.err, "   → %s\n", f.hint)
	}
	return f.code
}

// explain turns any error into a failure. What reaches it unclassified came from the command line parser.
func explain(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return usagef("run `certify --help` or `certify COMMAND --help`", "%v", err)
}

// classified turns an error of the libraries into a failure with the exit status its kind has.
func classified(err error) error {
	var (
		f      *failure
		s      *status
		uns    *nn.UnsupportedError
		one    *op.UnsupportedError
		syntax *spec.SyntaxError
		theory *spec.UnsupportedError
		path   *fs.PathError
	)
	switch {
	case errors.As(err, &f), errors.As(err, &s):
		return err
	case errors.As(err, &uns):
		return unsupportedOps(err, uns.Nodes)
	case errors.As(err, &one):
		return unsupportedOps(err, []op.UnsupportedError{*one})
	case errors.As(err, &syntax):
		return &failure{code: exitMalformed, kind: "query", msg: err.Error(), detail: []string{syntax.Caret()}, err: err}
	case errors.As(err, &theory):
		return &failure{code: exitUnsupported, kind: "unsupported", msg: err.Error(), detail: []string{theory.Caret()}, err: err}
	case errors.Is(err, verify.ErrMismatch):
		return &failure{code: exitMalformed, kind: "mismatch", msg: err.Error(), err: err,
			hint: "run `certify inspect MODEL` and `certify inspect QUERY` to compare the shapes"}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EDQUOT):
		return &failure{code: exitResources, kind: "resources", msg: err.Error(), err: err}
	case errors.As(err, &path):
		return &failure{code: exitMalformed, kind: "file", msg: err.Error(), err: err}
	}
	return &failure{code: exitMalformed, kind: "input", msg: err.Error(), err: err}
}

func unsupportedOps(err error, nodes []op.UnsupportedError) *failure {
	f := &failure{code: exitUnsupported, kind: "unsupported-op", err: err, hint: "run `certify inspect MODEL` for the whole list"}
	for i := range nodes {
		f.detail = append(f.detail, fmt.Sprintf("node %q %s   %s", nodes[i].Node, nodes[i].Op, nodes[i].Why))
	}
	f.msg = fmt.Sprintf("%d node(s) cannot be verified soundly", len(nodes))
	return f
}
