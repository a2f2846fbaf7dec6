package onnx

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// A message is a byte range of the file that holds fields.
type message struct {
	b   []byte
	off int64 // of b[0] in the file
}

// A field is one decoded field: num for varints and fixed-width numbers, data for length-delimited ones.
type field struct {
	id   protowire.Number
	typ  protowire.Type
	num  uint64
	data message
	off  int64
}

func (m message) fail(what, format string, args ...any) error {
	return &FormatError{Offset: m.off, What: what, Why: fmt.Sprintf(format, args...)}
}

// fields calls f for every field of m in order, until an error. what names the message in errors.
func (m message) fields(what string, f func(field) error) error {
	for len(m.b) > 0 {
		id, typ, n := protowire.ConsumeTag(m.b)
		if n < 0 {
			return m.fail(what, "bad field tag: %v", protowire.ParseError(n))
		}
		fl := field{id: id, typ: typ, off: m.off}
		m = m.skip(n)
		if n = fl.value(m); n < 0 {
			return m.fail(what, "field %d: %v", id, protowire.ParseError(n))
		}
		m = m.skip(n)
		if err := f(fl); err != nil {
			return err
		}
	}
	return nil
}

func (m message) skip(n int) message { return message{m.b[n:], m.off + int64(n)} }

// value decodes the field's value from the front of m and returns its length, negative for an error.
func (f *field) value(m message) (n int) {
	switch f.typ {
	case protowire.VarintType:
		f.num, n = protowire.ConsumeVarint(m.b)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(m.b)
		f.num = uint64(v)
	case protowire.Fixed64Type:
		f.num, n = protowire.ConsumeFixed64(m.b)
	case protowire.BytesType:
		var b []byte
		b, n = protowire.ConsumeBytes(m.b)
		f.data = message{b, m.off + int64(n-len(b))}
	default: // groups: no ONNX message has them; protowire checks their nesting
		n = protowire.ConsumeFieldValue(f.id, f.typ, m.b)
	}
	return n
}

// want checks the field's wire type.
func (f *field) want(what string, typ protowire.Type) error {
	if f.typ != typ {
		return &FormatError{Offset: f.off, What: what, Why: fmt.Sprintf("field %d has wire type %d, want %d", f.id, f.typ, typ)}
	}
	return nil
}

// str returns a string or bytes field.
func (f *field) str(what string) (string, error) {
	return string(f.data.b), f.want(what, protowire.BytesType)
}

// varints calls put for every number of a repeated integer field, packed or not.
func (f *field) varints(what string, put func(uint64)) error {
	if f.typ == protowire.VarintType {
		put(f.num)
		return nil
	}
	if err := f.want(what, protowire.BytesType); err != nil {
		return err
	}
	for b := f.data.b; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return f.data.fail(what, "field %d: %v", f.id, protowire.ParseError(n))
		}
		put(v)
		b = b[n:]
	}
	return nil
}

// fixed returns the bytes of a repeated fixed-width field (4 or 8 bytes a number), packed or not.
func (f *field) fixed(what string, width int) ([]byte, error) {
	single := protowire.Fixed32Type
	if width == 8 {
		single = protowire.Fixed64Type
	}
	if f.typ == single {
		if width == 4 {
			return protowire.AppendFixed32(nil, uint32(f.num)), nil
		}
		return protowire.AppendFixed64(nil, f.num), nil
	}
	if err := f.want(what, protowire.BytesType); err != nil {
		return nil, err
	}
	if len(f.data.b)%width != 0 {
		return nil, f.data.fail(what, "field %d: %d bytes are no whole number of %d-byte numbers", f.id, len(f.data.b), width)
	}
	return f.data.b, nil
}
