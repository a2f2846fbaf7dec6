package spec

import (
	"bytes"
	"fmt"
	"io"
)

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokOpen
	tokClose
	tokLeft  // [
	tokRight // ]
	tokComma
	tokSymbol // a word or an operator
	tokNumber
	tokString // "…", quotes included
)

const (
	bufferSize = 256 << 10
	history    = 256  // bytes kept before the current token, to show the line in an error
	maxToken   = 8192 // bytes of one token
)

// A place is where a token starts.
type place struct {
	off  int64 // in the stream
	line int
	col  int
}

// A lexer splits a stream into tokens. It holds one buffer, allocates nothing per token, and its token is valid until next.
type lexer struct {
	src       io.Reader
	buf       []byte
	r, w      int   // read position and end of the data in buf
	base      int64 // stream offset of buf[0]
	eof       bool
	line      int
	lineStart int64 // stream offset of the current line

	kind tokenKind
	text []byte // the token
	at   place
}

func newLexer(src io.Reader) *lexer {
	return &lexer{src: src, buf: make([]byte, bufferSize), line: 1}
}

// Classes of bytes.
const (
	classBad = iota
	classSpace
	classNewline
	classComment
	classSymbol
	classDigit
	classPunct
	classQuote
)

var class = func() (t [256]uint8) {
	for c := '!'; c <= '~'; c++ {
		t[c] = classSymbol
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = classDigit
	}
	t[' '], t['\t'], t['\r'], t['\f'] = classSpace, classSpace, classSpace, classSpace
	t['\n'], t[';'], t['"'] = classNewline, classComment, classQuote
	for _, c := range "()[]," {
		t[c] = classPunct
	}
	for _, c := range "\\`{}" {
		t[c] = classBad
	}
	return t
}()

// next reads the next token into kind, text and at.
func (l *lexer) next() error {
	for {
		if l.r == l.w {
			if more, err := l.fill(l.r); err != nil || !more {
				l.kind, l.text = tokEOF, nil
				l.at = l.here(l.r)
				return err
			}
		}
		c := l.buf[l.r]
		switch class[c] {
		case classSpace:
			l.r++
		case classNewline:
			l.r++
			l.line++
			l.lineStart = l.base + int64(l.r)
		case classComment:
			if err := l.comment(); err != nil {
				return err
			}
		case classPunct:
			l.punct(c)
			return nil
		case classSymbol, classDigit:
			return l.word()
		case classQuote:
			return l.quoted()
		default:
			if l.bom() {
				continue
			}
			return l.badByte(c)
		}
	}
}

func (l *lexer) here(r int) place {
	off := l.base + int64(r)
	return place{off, l.line, int(off-l.lineStart) + 1}
}

func (l *lexer) punct(c byte) {
	l.at, l.text = l.here(l.r), l.buf[l.r:l.r+1]
	l.r++
	switch c {
	case '(':
		l.kind = tokOpen
	case ')':
		l.kind = tokClose
	case '[':
		l.kind = tokLeft
	case ']':
		l.kind = tokRight
	default:
		l.kind = tokComma
	}
}

// word reads a symbol or a number: a run of symbol bytes and digits.
func (l *lexer) word() error {
	start := l.r
	l.at = l.here(start)
	i := start + 1
	for {
		for i < l.w && (class[l.buf[i]] == classSymbol || class[l.buf[i]] == classDigit) {
			i++
		}
		if i < l.w {
			break
		}
		if i-start > maxToken {
			l.text = l.buf[start:i]
			return l.fail("this word is too long")
		}
		n := i - start
		more, err := l.fill(start)
		if err != nil {
			return err
		}
		start = l.r
		i = start + n
		if !more {
			break
		}
	}
	l.text, l.r = l.buf[start:i], i
	l.kind = tokSymbol
	c := l.text[0]
	if (c == '-' || c == '+' || c == '.') && len(l.text) > 1 {
		c = l.text[1]
		if c == '.' && len(l.text) > 2 {
			c = l.text[2]
		}
	}
	if class[c] == classDigit {
		l.kind = tokNumber
	}
	return nil
}

func (l *lexer) quoted() error {
	start := l.r
	l.at = l.here(start)
	for n := 1; ; n++ {
		if start+n == l.w {
			more, err := l.fill(start)
			if err != nil {
				return err
			}
			if start = l.r; !more {
				l.text = l.buf[start:l.w]
				return l.fail("this string is not closed")
			}
		}
		switch c := l.buf[start+n]; {
		case c == '\n' || n > maxToken:
			l.text = l.buf[start : start+n]
			return l.fail("this string is not closed on its line")
		case c == '"':
			l.text, l.r, l.kind = l.buf[start:start+n+1], start+n+1, tokString
			return nil
		}
	}
}

func (l *lexer) comment() error {
	for {
		if i := bytes.IndexByte(l.buf[l.r:l.w], '\n'); i >= 0 {
			l.r += i
			return nil
		}
		l.r = l.w
		if more, err := l.fill(l.r); err != nil || !more {
			return err
		}
	}
}

// bom skips a byte order mark at the start of the stream.
func (l *lexer) bom() bool {
	if l.base != 0 || l.r != 0 || !bytes.HasPrefix(l.buf[:l.w], []byte("\xef\xbb\xbf")) {
		return false
	}
	l.r, l.lineStart = 3, 3
	return true
}

func (l *lexer) badByte(c byte) error {
	l.at, l.text = l.here(l.r), l.buf[l.r:l.r+1]
	if c >= ' ' && c < 0x7f {
		return l.fail("unexpected %q", rune(c))
	}
	hint := ""
	if l.at.off < 16 {
		hint = "; this does not look like a VNN-LIB text"
	}
	return l.fail("unexpected byte 0x%02x%s", c, hint)
}

// fill reads more data, keeping the bytes from keep on (and some history before them); afterwards r is where keep moved to.
// more is false at the end of the stream.
func (l *lexer) fill(keep int) (more bool, err error) {
	l.r = keep
	if l.eof {
		return false, nil
	}
	if l.w == len(l.buf) {
		cut := max(0, keep-history)
		copy(l.buf, l.buf[cut:l.w])
		l.base += int64(cut)
		l.w -= cut
		l.r -= cut
	}
	for range 100 {
		n, err := l.src.Read(l.buf[l.w:])
		l.w += n
		if err == io.EOF {
			l.eof = true
			return n > 0, nil
		}
		if err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, io.ErrNoProgress
}

// fail returns a SyntaxError at the current token.
func (l *lexer) fail(format string, args ...any) error {
	return l.failAt(l.at, len(l.text), format, args...)
}

func (l *lexer) failAt(at place, width int, format string, args ...any) error {
	return &SyntaxError{Location: l.locate(at, width), Msg: fmt.Sprintf(format, args...)}
}

// locate describes a place, with its line as far as the buffer still holds it.
func (l *lexer) locate(at place, width int) Location {
	loc := Location{Line: at.line, Col: at.col, width: width}
	p := int(at.off - l.base)
	if p < 0 || p > l.w {
		return loc
	}
	from, to := p-min(p, at.col-1), p
	for to < l.w && l.buf[to] != '\n' && to-p < history {
		to++
	}
	loc.mark(l.buf[from:to], p-from, width, p-from < at.col-1, to-p == history)
	return loc
}
