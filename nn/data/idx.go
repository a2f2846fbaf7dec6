package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
)

// IDX is the format of MNIST: two zero bytes, the type of the elements, the number of dimensions, the dimensions as big-endian
// 32-bit numbers, the elements in row-major order. Described by LeCun, Cortes and Burges with the data set.

// idxTypes holds the element types by the third byte of the file.
var idxTypes = map[byte]elem{
	0x08: {'u', 1, binary.BigEndian}, 0x09: {'i', 1, binary.BigEndian}, 0x0b: {'i', 2, binary.BigEndian},
	0x0c: {'i', 4, binary.BigEndian}, 0x0d: {'f', 4, binary.BigEndian}, 0x0e: {'f', 8, binary.BigEndian},
}

// idxHeader is the longest header that is read: four dimensions.
const idxHeader = 4 + 4*4

// parseIDXHeader reads the type and the dimensions from the beginning of a file, and returns how long the header is.
func parseIDXHeader(b []byte) (elem, []int, int, error) {
	if len(b) < 4 || b[0] != 0 || b[1] != 0 {
		return elem{}, nil, 0, &Error{Where: "byte 0", Why: "no IDX file: it does not begin with two zero bytes and a type"}
	}
	e, ok := idxTypes[b[2]]
	if !ok {
		return elem{}, nil, 0, &Error{Where: "byte 2", Why: fmt.Sprintf("unknown type of elements 0x%02x in an IDX file", b[2])}
	}
	dims := int(b[3])
	if dims == 0 || 4+4*dims > idxHeader {
		return elem{}, nil, 0, &Error{Where: "byte 3", Why: fmt.Sprintf("%d dimensions in an IDX file; 1 to 4 are read", dims)}
	}
	if len(b) < 4+4*dims {
		return elem{}, nil, 0, &Error{Where: fmt.Sprintf("byte %d", len(b)),
			Why:  "the file ends inside the header of an IDX file",
			Next: "copy or download it again"}
	}
	shape := make([]int, dims)
	for i := range shape {
		d := binary.BigEndian.Uint32(b[4+4*i:])
		if uint64(d) > uint64(^uint(0)>>1) {
			return elem{}, nil, 0, &Error{Where: fmt.Sprintf("byte %d", 4+4*i),
				Why: fmt.Sprintf("dimension %d is too large", d), Err: ErrLimit}
		}
		shape[i] = int(d)
	}
	return e, shape, 4 + 4*dims, nil
}

// parseIDX reads an IDX file, plain or compressed by gzip.
func parseIDX(b []byte, limit int64) (*array, error) {
	if bytes.HasPrefix(b, gzipMagic) {
		var err error
		if b, err = gunzipIDX(b, limit); err != nil {
			return nil, err
		}
	}
	e, shape, header, err := parseIDXHeader(b)
	if err != nil {
		return nil, err
	}
	a := &array{elem: e}
	if err := a.fill(shape, b[header:]); err != nil {
		return nil, err
	}
	return a, nil
}

var gzipMagic = []byte{0x1f, 0x8b}

// gunzipIDX decompresses no more than the header declares, and nothing when that is more than the file can hold.
func gunzipIDX(b []byte, limit int64) ([]byte, error) {
	broken := func(err error) error {
		return &Error{Why: "the compressed file is damaged: " + err.Error(), Next: "copy or download it again", Err: err}
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, broken(err)
	}
	head := make([]byte, idxHeader)
	n, err := readFull(z, head)
	if err != nil {
		return nil, broken(err)
	}
	e, shape, header, err := parseIDXHeader(head[:n])
	if err != nil {
		if err := err.(*Error); err.Where == "byte 0" {
			err.Why, err.Next, err.Err = "the compressed file is no IDX file",
				"decompress it first: only IDX is read compressed", ErrUnsupported
		}
		return nil, err
	}
	size, ok := volume(append(shape, e.size))
	switch {
	case !ok || int64(size) > limit:
		return nil, &Error{Why: fmt.Sprintf("dimensions %v exceed the limit of %d bytes", shape, limit), Err: ErrLimit}
	case int64(size) > deflateRatio*int64(len(b)):
		return nil, &Error{Why: fmt.Sprintf("dimensions %v need %d bytes, which %d compressed bytes cannot hold", shape, size,
			len(b)),
			Next: "the file is cut off: copy or download it again"}
	}
	out := make([]byte, header+size+1)
	have := copy(out, head[:n])
	m, err := readFull(z, out[have:])
	if err != nil {
		return nil, broken(err)
	}
	return out[:have+m], nil // one byte too many means more data than declared: fill says so
}

// readFull reads until b is full or r ends. An end that r calls unexpected, or with a wrong checksum, is an error.
func readFull(r io.Reader, b []byte) (int, error) {
	n := 0
	for n < len(b) {
		m, err := r.Read(b[n:])
		n += m
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
