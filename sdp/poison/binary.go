package poison

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/spai-project/certify/nn/data"
)

// A Binary is a data set of two classes.
type Binary struct {
	D int       // features of an item
	X []float64 // Len()·D finite values, row-major
	Y []int8    // −1 or +1 for every item
}

// NewBinary takes the items of two classes out of a set, in their order: those of the first class get −1, those of the second +1.
// Both must be there.
func NewBinary(s *data.Set, classes [2]int) (*Binary, error) {
	if s.Labels == nil {
		return nil, fmt.Errorf("poison: the data have no labels")
	}
	if classes[0] == classes[1] {
		return nil, fmt.Errorf("poison: two different classes are needed, not %d twice", classes[0])
	}
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("poison: %w", err)
	}
	b := &Binary{D: s.Dim()}
	count := [2]int{}
	for i, l := range s.Labels {
		for k, c := range classes {
			if l == c {
				b.X = append(b.X, s.Item(i)...)
				b.Y = append(b.Y, int8(2*k-1))
				count[k]++
			}
		}
	}
	for k, n := range count {
		if n == 0 {
			return nil, fmt.Errorf("poison: no item of class %d", classes[k])
		}
	}
	return b, nil
}

// Len returns the number of items.
func (b *Binary) Len() int { return len(b.Y) }

// Row returns the features of item i, which alias the set.
func (b *Binary) Row(i int) []float64 { return b.X[i*b.D : (i+1)*b.D : (i+1)*b.D] }

// Hash returns the SHA-256, in hexadecimal, of the numbers of the set: D and Len as 8 bytes, the labels, the values as float64,
// all little-endian. Sets with the same hash are the same set, whatever file they came from.
func (b *Binary) Hash() string {
	h := sha256.New()
	buf := make([]byte, 0, 8*b.D+16)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(b.D))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(b.Len()))
	h.Write(buf)
	for i, y := range b.Y {
		buf = append(buf[:0], byte(y))
		for _, v := range b.Row(i) {
			buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v))
		}
		h.Write(buf)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// class returns 0 for −1 and 1 for +1, the index of the arrays with one entry for each class.
func class(y int8) int { return int(y+1) / 2 }
