package data

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// The .npy format: "\x93NUMPY", two bytes of version, the length of the header (16 bits in version 1, 32 in 2 and 3, little
// endian), the header, a Python dictionary such as {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, and the
// elements. Specified in NumPy's numpy.lib.format.

var npyMagic = []byte("\x93NUMPY")

// npyDims is NumPy's own limit on the number of dimensions.
const npyDims = 64

// parseNPY reads a .npy file of versions 1 to 3 with floats, whole numbers or bools of either byte order. Python objects would
// have to be run to be read, and are refused.
func parseNPY(b []byte) (*array, error) {
	if !bytes.HasPrefix(b, npyMagic) || len(b) < 10 {
		return nil, &Error{Where: "byte 0", Why: "no .npy file, or one that is cut off"}
	}
	var start, size int64
	switch version := b[6]; version {
	case 1:
		start, size = 10, int64(binary.LittleEndian.Uint16(b[8:]))
	case 2, 3:
		if len(b) < 12 {
			return nil, &Error{Where: fmt.Sprintf("byte %d", len(b)), Why: "the .npy file ends inside its header"}
		}
		start, size = 12, int64(binary.LittleEndian.Uint32(b[8:]))
	default:
		return nil, &Error{Where: "byte 6", Why: fmt.Sprintf(".npy version %d; 1 to 3 are read", version), Err: ErrUnsupported}
	}
	if start+size > int64(len(b)) {
		return nil, &Error{Where: "byte 8",
			Why:  fmt.Sprintf("a header of %d bytes is declared, the file has %d", size, int64(len(b))-start),
			Next: "the file is cut off: copy or download it again"}
	}
	h := npyHeader{text: string(b[start : start+size]), start: int(start)}
	if err := h.parse(); err != nil {
		return nil, err
	}
	a := &array{fortran: h.fortran}
	var err error
	if a.elem, err = npyType(h.descr); err != nil {
		return nil, err
	}
	return a, a.fill(h.shape, b[start+size:])
}

// npyType reads an element type such as <f4 or |u1.
func npyType(descr string) (elem, error) {
	unsupported := func(why, next string) (elem, error) {
		return elem{}, &Error{Where: "header", Why: fmt.Sprintf("elements of type %q%s", descr[:min(len(descr), 40)], why),
			Next: next, Err: ErrUnsupported}
	}
	if strings.HasSuffix(descr, "O") {
		return unsupported(" are Python objects, which only Python can read", "store a numeric array (astype(np.float32))")
	}
	if len(descr) < 3 || strings.IndexByte("fiub", descr[1]) < 0 {
		return unsupported("", "store float32, float64 or whole numbers")
	}
	e := elem{kind: descr[1]}
	switch size := descr[2:]; {
	case e.kind != 'b' && (size == "2" || size == "4" || size == "8"), e.kind != 'f' && size == "1":
		e.size = int(size[0] - '0')
	default:
		return unsupported("", "store float32, float64 or whole numbers")
	}
	switch {
	case descr[0] == '<' || e.size == 1 && (descr[0] == '|' || descr[0] == '='):
		e.order = binary.LittleEndian
	case descr[0] == '>':
		e.order = binary.BigEndian
	default:
		return unsupported(" do not say their byte order", "store them with < or >")
	}
	return e, nil
}

// An npyHeader reads the dictionary. Its three keys may come in any order, each once.
type npyHeader struct {
	text  string
	pos   int
	start int // position of text in the file, for errors
	seen  [3]bool

	descr   string
	fortran bool
	shape   []int
}

func (h *npyHeader) fail(format string, args ...any) error {
	return &Error{Where: fmt.Sprintf("byte %d", h.start+h.pos), Why: "header of a .npy file: " + fmt.Sprintf(format, args...)}
}

func (h *npyHeader) parse() error {
	if !h.take("{") {
		return h.fail("expected '{'")
	}
	for !h.take("}") {
		key, err := h.quoted()
		if err != nil {
			return err
		}
		if !h.take(":") {
			return h.fail("expected ':' after %q", key[:min(len(key), 40)])
		}
		if err := h.value(key); err != nil {
			return err
		}
		if h.take(",") {
			continue
		}
		if !h.take("}") {
			return h.fail("expected ',' or '}'")
		}
		break
	}
	h.take("")
	if h.pos < len(h.text) {
		return h.fail("unexpected text after the dictionary")
	}
	for i, name := range [3]string{"descr", "fortran_order", "shape"} {
		if !h.seen[i] {
			return h.fail("%q is missing", name)
		}
	}
	return nil
}

func (h *npyHeader) value(key string) (err error) {
	field := 0
	switch key {
	case "descr":
		h.take("")
		if strings.HasPrefix(h.text[h.pos:], "[") || strings.HasPrefix(h.text[h.pos:], "(") {
			return &Error{Where: fmt.Sprintf("byte %d", h.start+h.pos), Why: "elements with several fields (a structured array)",
				Next: "store a plain numeric array", Err: ErrUnsupported}
		}
		h.descr, err = h.quoted()
	case "fortran_order":
		field = 1
		if h.fortran = h.take("True"); !h.fortran && !h.take("False") {
			return h.fail("fortran_order is neither True nor False")
		}
	case "shape":
		field = 2
		err = h.tuple()
	default:
		return h.fail("unknown key %q", key[:min(len(key), 40)])
	}
	if err == nil && h.seen[field] {
		return h.fail("%q appears twice", key)
	}
	h.seen[field] = true
	return err
}

// tuple reads (), (3,), (3, 4) or (3L, 4L), as Python 2 wrote.
func (h *npyHeader) tuple() error {
	if !h.take("(") {
		return h.fail("expected '('")
	}
	for !h.take(")") {
		n := 0
		for n < len(h.text)-h.pos && h.text[h.pos+n] >= '0' && h.text[h.pos+n] <= '9' {
			n++
		}
		d, err := strconv.Atoi(h.text[h.pos : h.pos+n])
		if err != nil {
			return h.fail("a dimension is no number from 0 to 2^63−1")
		}
		if len(h.shape) == npyDims {
			return h.fail("more than %d dimensions", npyDims)
		}
		h.shape, h.pos = append(h.shape, d), h.pos+n
		h.take("L")
		if h.take(",") {
			continue
		}
		if !h.take(")") {
			return h.fail("expected ',' or ')'")
		}
		break
	}
	return nil
}

func (h *npyHeader) quoted() (string, error) {
	h.take("")
	if h.pos == len(h.text) || h.text[h.pos] != '\'' && h.text[h.pos] != '"' {
		return "", h.fail("expected a quoted word")
	}
	end := strings.IndexByte(h.text[h.pos+1:], h.text[h.pos])
	if end < 0 {
		return "", h.fail("a quoted word does not end")
	}
	word := h.text[h.pos+1 : h.pos+1+end]
	h.pos += end + 2
	return word, nil
}

// take skips white space, then the token if it is there, then white space.
func (h *npyHeader) take(token string) bool {
	h.space()
	if !strings.HasPrefix(h.text[h.pos:], token) {
		return false
	}
	h.pos += len(token)
	h.space()
	return true
}

func (h *npyHeader) space() {
	for h.pos < len(h.text) && strings.IndexByte(" \t\r\n", h.text[h.pos]) >= 0 {
		h.pos++
	}
}
