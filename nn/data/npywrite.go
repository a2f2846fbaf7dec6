package data

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// A Number is a type of elements that arrays are written with.
type Number interface {
	uint8 | int64 | float32 | float64
}

// WriteNPY writes an array in row-major order as .npy, version 1.0, little endian. x must hold as many values as shape says.
// The bytes depend on the arguments alone.
func WriteNPY[T Number](w io.Writer, shape []int, x []T) error {
	if n, ok := volume(shape); !ok || n != len(x) || len(shape) > npyDims {
		return fmt.Errorf("data: %d values do not fill an array of shape %v", len(x), shape)
	}
	descr := ""
	switch any(x).(type) {
	case []uint8:
		descr = "|u1"
	case []int64:
		descr = "<i8"
	case []float32:
		descr = "<f4"
	case []float64:
		descr = "<f8"
	}
	dims := ""
	for _, d := range shape {
		dims += fmt.Sprintf("%d, ", d)
	}
	if len(shape) > 1 {
		dims = strings.TrimSuffix(dims, ", ")
	}
	h := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, strings.TrimSuffix(dims, " "))
	const align = 64 // the data begin at a multiple of this
	pad := align - 1 - (len(npyMagic)+4+len(h))%align
	h += strings.Repeat(" ", pad) + "\n"

	var b bytes.Buffer
	b.Write(npyMagic)
	b.Write([]byte{1, 0, byte(len(h)), byte(len(h) >> 8)})
	b.WriteString(h)
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	const chunk = 1 << 14
	for len(x) > 0 {
		n := min(chunk, len(x))
		if err := binary.Write(w, binary.LittleEndian, x[:n]); err != nil {
			return fmt.Errorf("data: %w", err)
		}
		x = x[n:]
	}
	return nil
}

// An Array is a named array for WriteNPZ.
type Array struct {
	name string
	npy  []byte
	err  error
}

// NewArray names an array; see WriteNPY. Errors are returned when it is written.
func NewArray[T Number](name string, shape []int, x []T) Array {
	var b bytes.Buffer
	err := WriteNPY(&b, shape, x)
	return Array{name, b.Bytes(), err}
}

// WriteNPZ writes arrays as .npz, uncompressed as numpy.savez does. The bytes depend on the arguments alone. Names must differ.
func WriteNPZ(w io.Writer, arrays ...Array) error {
	z := zip.NewWriter(w)
	seen := map[string]bool{}
	for _, a := range arrays {
		switch {
		case a.err != nil:
			return fmt.Errorf("%w (array %q)", a.err, a.name)
		case a.name == "" || seen[a.name]:
			return fmt.Errorf("data: arrays need different names that are not empty; one is %q", a.name)
		}
		seen[a.name] = true
		f, err := z.CreateHeader(&zip.FileHeader{Name: a.name + ".npy", Method: zip.Store})
		if err == nil {
			_, err = f.Write(a.npy)
		}
		if err != nil {
			return fmt.Errorf("data: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	return nil
}
