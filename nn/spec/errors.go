package spec

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrMismatch is wrapped by errors about a query whose variables do not fit the network's inputs and outputs.
var ErrMismatch = errors.New("spec: the query does not fit the network")

// A Location is a place in a file: line and column count from 1, columns are bytes; a zero column means the whole line.
type Location struct {
	File      string
	Line, Col int
	Source    string // the text of the line, cut to a window around the column when it is long; "" when it is not at hand

	caret, width int // the marked bytes of Source
}

// String returns file:line:col, without the column when it is zero.
func (l *Location) String() string {
	switch {
	case l.Line == 0:
		return l.File
	case l.Col == 0:
		return fmt.Sprintf("%s:%d", l.File, l.Line)
	}
	return fmt.Sprintf("%s:%d:%d", l.File, l.Line, l.Col)
}

// Caret returns the source line and, beneath it, carets under the marked place; "" when the line is not at hand.
func (l *Location) Caret() string {
	if l.Source == "" || l.Col == 0 {
		return ""
	}
	number := fmt.Sprintf("%5d | ", l.Line)
	var b strings.Builder
	b.WriteString(number)
	b.WriteString(l.Source)
	b.WriteByte('\n')
	b.WriteString(strings.Repeat(" ", len(number)-2) + "| ")
	for _, r := range l.Source[:min(l.caret, len(l.Source))] {
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	b.WriteString(strings.Repeat("^", max(1, l.width)))
	return b.String()
}

// mark fills Source from a piece of the line: line[col] is the marked place, head and tail say whether text is missing
// before and after the piece.
func (l *Location) mark(line []byte, col, width int, head, tail bool) {
	const before, after = 60, 60
	if col > len(line) {
		col = len(line)
	}
	if col > before {
		line, col, head = line[col-before:], before, true
	}
	if len(line)-col > after {
		line, tail = line[:col+after], true
	}
	var b strings.Builder
	if head {
		b.WriteString("…")
	}
	l.caret, l.width = -1, 1
	for i := 0; i < len(line) && line[i] != '\n' && line[i] != '\r'; {
		if i >= col && l.caret < 0 {
			l.caret, l.width = b.Len(), max(1, min(width, len(line)-i))
		}
		r, n := utf8.DecodeRune(line[i:])
		if r != '\t' && !unicode.IsPrint(r) {
			r = '?' // no control sequences on a terminal
		}
		b.WriteRune(r)
		i += n
	}
	if l.caret < 0 {
		l.caret = b.Len()
	}
	if tail {
		b.WriteString("…")
	}
	l.Source = b.String()
}

// A SyntaxError is a query that is malformed or does not fit the network (then it wraps ErrMismatch).
type SyntaxError struct {
	Location
	Msg string
	Err error // wrapped: ErrMismatch, or nil
}

// Error returns file:line:col: message.
func (e *SyntaxError) Error() string { return e.Location.String() + ": " + e.Msg }

// Unwrap returns Err.
func (e *SyntaxError) Unwrap() error { return e.Err }

// An UnsupportedError is a well-formed query that uses a part of the language certify does not decide.
type UnsupportedError struct {
	Location
	Feature string // what is not supported
	Works   string // what to write instead
}

// Error returns file:line:col: feature is not supported; what works.
func (e *UnsupportedError) Error() string {
	s := e.Location.String() + ": " + e.Feature + " is not supported"
	if e.Works != "" {
		s += "; " + e.Works
	}
	return s
}
