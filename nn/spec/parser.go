package spec

import (
	"errors"
	"fmt"
)

// Limits that keep a hostile query from exhausting the machine.
type limits struct {
	depth int   // nesting of and, or and arithmetic
	cases int   // disjuncts after multiplying out
	rows  int   // constraints over all cases
	ends  int   // interval ends over all boxes, and 1/64 of those compared to find equal boxes
	vars  int   // scalars of the query
	terms int   // additions of exact arithmetic
	bytes int64 // of the (decompressed) query
}

var defaultLimits = limits{
	depth: 10_000, cases: 2_000_000, rows: 1 << 24, ends: 1 << 26, vars: 1 << 26, terms: 1 << 26, bytes: 1 << 30,
}

// A parser reads a query by recursive descent into a formula.
type parser struct {
	lx   *lexer
	lim  limits
	nums *numbers
	sig  *Signature
	v2   bool
	vars symbols
	formula
	terms int // spent of lim.terms
}

// parse reads the whole stream.
func (p *parser) parse() error {
	for first := true; ; first = false {
		if err := p.lx.next(); err != nil {
			return err
		}
		switch p.lx.kind {
		case tokEOF:
			if first {
				return p.fail("the query is empty")
			}
			return p.finish()
		case tokClose:
			return p.fail("unbalanced ')': nothing is open here")
		case tokOpen:
			if err := p.command(first); err != nil {
				return err
			}
		default:
			return p.fail("expected '(' here, a query is a sequence of (declare-…) and (assert …)")
		}
	}
}

// command reads one form; the current token is its opening parenthesis.
func (p *parser) command(first bool) error {
	open := p.lx.at
	if err := p.next(open); err != nil {
		return err
	}
	if p.lx.kind != tokSymbol {
		return p.fail("expected a command such as assert after '('")
	}
	switch word := string(p.lx.text); word {
	case "vnnlib-version":
		return p.version(open, first)
	case "assert":
		return p.assert(open)
	case "declare-const", "declare-fun":
		if !p.v2 {
			return p.declareConst(open, word == "declare-fun")
		}
		return p.fail("%s belongs to VNN-LIB 1.0; version 2.0 declares variables in (declare-network …)", word)
	case "declare-network":
		if p.v2 {
			return p.declareNetwork(open)
		}
		return p.fail("declare-network needs (vnnlib-version <2.0>) as the first form")
	case "set-logic", "set-info", "set-option", "check-sat", "get-model", "get-info", "exit":
		if !p.v2 {
			return p.skip(open, 0)
		}
	case "define-fun", "define-const", "push", "pop", "assert-soft", "maximize", "minimize", "declare-datatypes":
		return p.unsupported(word, "write the query with declare-const and assert")
	}
	return p.fail("unknown command %s; expected assert or a declaration", quoteWord(p.lx.text))
}

// version reads <2.0>) after vnnlib-version.
func (p *parser) version(open place, first bool) error {
	if !first {
		return p.fail("vnnlib-version must be the first form")
	}
	if err := p.next(open); err != nil {
		return err
	}
	switch v := string(p.lx.text); v {
	case "<1.0>":
	case "<2.0>", "<2.1>":
		p.v2 = true
	default:
		return p.unsupported("VNN-LIB version "+quoteWord(p.lx.text), "1.0 and <2.0> are")
	}
	return p.expectClose(open)
}

// assert reads a formula and its closing parenthesis.
func (p *parser) assert(open place) error {
	if p.v2 && len(p.vars.tensors) == 0 {
		return p.fail("assert before declare-network")
	}
	if err := p.next(open); err != nil {
		return err
	}
	if p.lx.kind != tokOpen {
		return p.fail("expected '(' and a comparison, and, or or")
	}
	inner := p.lx.at
	if err := p.next(inner); err != nil {
		return err
	}
	if err := p.body(inner, 1); err != nil {
		return err
	}
	return p.expectClose(open)
}

// body reads a formula from its operator to its closing parenthesis into the open conjunction.
func (p *parser) body(open place, depth int) error {
	if depth > p.lim.depth {
		return p.fail("more than %d nested parentheses", p.lim.depth)
	}
	if p.lx.kind != tokSymbol {
		return p.fail("expected a comparison, and or or after '('")
	}
	if op, ok := comparisons[string(p.lx.text)]; ok {
		return p.comparison(open, op, depth)
	}
	switch string(p.lx.text) {
	case "and":
		return p.conjunction(open, depth)
	case "or":
		from := len(p.openConjs)
		if err := p.members(open, depth); err != nil {
			return err
		}
		p.closeOr(from, open.line)
		return nil
	case "not", "=>", "xor", "ite", "let", "forall", "exists", "distinct":
		return p.unsupported("the connective "+string(p.lx.text), "use and, or, <=, >=, <, >, == and !=")
	}
	return p.fail("unknown operator %s; expected and, or, <=, >=, <, >, == or !=", quoteWord(p.lx.text))
}

func (p *parser) conjunction(open place, depth int) error {
	for n := 0; ; n++ {
		if err := p.next(open); err != nil {
			return err
		}
		switch p.lx.kind {
		case tokClose:
			if n == 0 && p.v2 {
				return p.fail("and needs at least one operand")
			}
			return nil
		case tokOpen:
			inner := p.lx.at
			if err := p.next(inner); err != nil {
				return err
			}
			if err := p.body(inner, depth+1); err != nil {
				return err
			}
		default:
			return p.fail("expected '(' or ')' in and")
		}
	}
}

// members reads the operands of or onto openConjs, those of a nested or as its own.
func (p *parser) members(open place, depth int) error {
	if depth > p.lim.depth {
		return p.fail("more than %d nested parentheses", p.lim.depth)
	}
	for n := 0; ; n++ {
		if err := p.next(open); err != nil {
			return err
		}
		switch p.lx.kind {
		case tokClose:
			if n == 0 && p.v2 {
				return p.fail("or needs at least one operand")
			}
			return nil
		case tokOpen:
		default:
			return p.fail("expected '(' or ')' in or")
		}
		inner := p.lx.at
		if err := p.next(inner); err != nil {
			return err
		}
		if p.lx.kind == tokSymbol && string(p.lx.text) == "or" {
			if err := p.members(inner, depth+1); err != nil {
				return err
			}
			continue
		}
		m := p.formula.mark()
		if err := p.body(inner, depth+1); err != nil {
			return err
		}
		p.openConjs = append(p.openConjs, p.cut(m, inner.line))
	}
}

// skip reads to the parenthesis that closes open.
func (p *parser) skip(open place, depth int) error {
	for depth++; depth > 0; {
		if err := p.next(open); err != nil {
			return err
		}
		switch p.lx.kind {
		case tokOpen:
			depth++
		case tokClose:
			depth--
		}
	}
	return nil
}

// next reads a token inside the form that opened at open, where the end of the file is an error.
func (p *parser) next(open place) error {
	if err := p.lx.next(); err != nil {
		return err
	}
	if p.lx.kind == tokEOF {
		return p.lx.failAt(open, 1, "unbalanced parentheses: this '(' is not closed before the end of the file")
	}
	return nil
}

func (p *parser) expectClose(open place) error {
	if err := p.next(open); err != nil {
		return err
	}
	if p.lx.kind != tokClose {
		return p.fail("expected ')' to close the '(' of line %d, column %d", open.line, open.col)
	}
	return nil
}

func (p *parser) fail(format string, args ...any) error { return p.lx.fail(format, args...) }

func (p *parser) unsupported(feature, works string) error {
	return &UnsupportedError{Location: p.lx.locate(p.lx.at, len(p.lx.text)), Feature: feature, Works: works}
}

// mismatch is fail, wrapping ErrMismatch.
func (p *parser) mismatch(at place, width int, format string, args ...any) error {
	err := p.lx.failAt(at, width, format, args...)
	if e, ok := errors.AsType[*SyntaxError](err); ok {
		e.Err = ErrMismatch
	}
	return err
}

// quoteWord quotes a token for a message, cut when long.
func quoteWord(b []byte) string {
	if len(b) > 40 {
		return fmt.Sprintf("%q…", b[:40])
	}
	return fmt.Sprintf("%q", b)
}
