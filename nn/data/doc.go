// Package data reads data sets and writes arrays and pictures: IDX, .npy, .npz, CSV and PNG in, .npy, .npz and pictures out.
//
// Files are taken to be hostile. A reader checks every declared size against the bytes at hand before it allocates, so what
// Open allocates in all is bounded: by 64 times the size of a plain file, and by 64 times what a compressed one declares to hold
// (256 times for PNG, whose pixels may be single bits), which must be no more than deflate can reach, 1032 times the file's size,
// and no more than Options.MaxBytes. One MiB comes on top.
//
// The .npy format is read and written here rather than by a library: github.com/sbinet/npyio v0.9.0 panics on headers without
// a newline or with their keys in another order, allocates what a header declares before it has seen the data, returns an empty
// array for a negative dimension, knows no version 3, and needs an interpreter of pickles.
package data

import (
	"errors"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// ErrUnsupported is wrapped by errors about files that may be whole, but are of a kind that is not read.
var ErrUnsupported = errors.New("data: unsupported kind of file")

// ErrLimit is wrapped by errors about data larger than Options.MaxBytes.
var ErrLimit = errors.New("data: more than the limit allows")

// An Error says what is wrong with a data set, where, why, and what to do about it.
type Error struct {
	File  string // "" for a set that came from elsewhere
	Where string // "byte 4", "line 3, column 2", "item 5, element 12"; "" for the whole
	Why   string // what was found, and what is expected
	Next  string // what to do next; "" when nothing helps but another file
	Err   error  // ErrUnsupported, ErrLimit, the cause that another package found, or nil: the data are malformed
}

// Error returns the parts, the empty ones left out.
func (e *Error) Error() string {
	parts := slices.DeleteFunc([]string{"data", e.File, e.Where, e.Why}, func(s string) bool { return s == "" })
	s := strings.Join(parts, ": ")
	if e.Next != "" {
		s += "; " + e.Next
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// inFile fills in the file's name where an error of this package has none.
func inFile(err error, file string) error {
	if e, ok := errors.AsType[*Error](err); ok && e.File == "" {
		e.File = file
	}
	return err
}

// deflateRatio bounds what deflate, the method of gzip, zip and PNG, can expand: 258 bytes for two bits.
const deflateRatio = 1032

// volume returns the product of non-negative dimensions, false when one is negative or the product is no int.
func volume(shape []int) (int, bool) {
	n := uint64(1)
	for _, d := range shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if d < 0 || hi != 0 || lo > math.MaxInt {
			return 0, false
		}
		n = lo
	}
	return int(n), true
}
