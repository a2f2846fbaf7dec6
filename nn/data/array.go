package data

import (
	"encoding/binary"
	"fmt"
	"math"
)

// An array is a dense array as its file stores it: what IDX and .npy have in common.
type array struct {
	shape   []int
	elem    elem
	fortran bool   // the first index runs fastest
	data    []byte // exactly volume(shape)·elem.size bytes
}

// An elem is the type of an array's elements.
type elem struct {
	kind  byte // 'f' float, 'i' signed, 'u' unsigned, 'b' bool
	size  int
	order binary.ByteOrder
}

// fill checks shape against the bytes at hand and completes the array.
func (a *array) fill(shape []int, data []byte) error {
	n, ok := volume(shape)
	if ok && n > math.MaxInt/a.elem.size {
		ok = false
	}
	switch {
	case !ok:
		return &Error{Why: fmt.Sprintf("the dimensions %v are negative or their product is too large", shape)}
	case n*a.elem.size > len(data):
		return &Error{Why: fmt.Sprintf("dimensions %v need %d bytes of data, the file has %d", shape, n*a.elem.size, len(data)),
			Next: "the file is cut off: copy or download it again"}
	case n*a.elem.size < len(data):
		return &Error{Why: fmt.Sprintf("dimensions %v need %d bytes of data, the file has %d", shape, n*a.elem.size, len(data)),
			Next: "check that the file holds one array and nothing behind it"}
	}
	a.shape, a.data = shape, data
	return nil
}

// items returns the array seen as items of one shape: the first dimension counts them. An array with one dimension is a single
// item, unless single numbers are expected, and so is one that has as many values as an item should have.
func (a *array) items(expect []int) (*array, error) {
	if len(a.shape) == 0 {
		return nil, &Error{Why: "the array is a single number without dimensions", Next: "store items along the first dimension"}
	}
	total, _ := volume(a.shape)
	item, _ := volume(a.shape[1:])
	want, ok := volume(expect)
	out := *a
	switch {
	case len(a.shape) == 1 && expect != nil && want == 1:
		out.shape = []int{total, 1}
	case len(a.shape) == 1 || expect != nil && ok && item != want && total == want:
		out.shape = append([]int{1}, a.shape...)
	}
	return &out, nil
}

// rows returns the values of the items from, …, to−1, row-major.
func (a *array) rows(from, to int) ([]float64, error) {
	d, _ := volume(a.shape[1:])
	size := d * a.elem.size
	src := a.data
	if a.fortran && len(a.shape) > 1 {
		src = a.gather(from, to)
	} else {
		src = src[from*size : to*size]
	}
	out := make([]float64, (to-from)*d)
	if k := a.elem.decode(out, src); k >= 0 {
		return nil, &Error{Where: fmt.Sprintf("item %d, element %d", from+k/d, k%d),
			Why:  "the whole number is beyond ±2^53 and has no exact float64",
			Next: "store floating-point numbers"}
	}
	return out, nil
}

// gather copies the elements of items from, …, to−1 from column-major to row-major order.
func (a *array) gather(from, to int) []byte {
	n, item, size := a.shape[0], a.shape[1:], a.elem.size
	d, _ := volume(item)
	out := make([]byte, 0, (to-from)*d*size)
	index := make([]int, len(item))
	for i := from; i < to; i++ {
		for range d {
			at := 0
			for k := len(item) - 1; k >= 0; k-- {
				at = at*item[k] + index[k]
			}
			at = (i + n*at) * size
			out = append(out, a.data[at:at+size]...)
			for k := len(item) - 1; k >= 0; k-- {
				if index[k]++; index[k] < item[k] {
					break
				}
				index[k] = 0
			}
		}
	}
	return out
}

// decode fills dst from as many elements of src. It returns the position of the first whole number that has no exact float64,
// −1 when there is none.
func (e elem) decode(dst []float64, src []byte) int {
	if e.kind == 'u' && e.size == 1 { // pictures
		for k, b := range src {
			dst[k] = float64(b)
		}
		return -1
	}
	for k := range dst {
		b := src[k*e.size : (k+1)*e.size]
		var u uint64
		switch e.size {
		case 1:
			u = uint64(b[0])
		case 2:
			u = uint64(e.order.Uint16(b))
		case 4:
			u = uint64(e.order.Uint32(b))
		default:
			u = e.order.Uint64(b)
		}
		switch e.kind {
		case 'f':
			dst[k] = e.float(u)
		case 'i':
			shift := 64 - 8*e.size
			i := int64(u<<shift) >> shift
			if i < -1<<53 || i > 1<<53 {
				return k
			}
			dst[k] = float64(i)
		case 'u':
			if u > 1<<53 {
				return k
			}
			dst[k] = float64(u)
		default:
			if u != 0 {
				dst[k] = 1
			}
		}
	}
	return -1
}

// float returns the floating-point number with the bits u of binary16, binary32 or binary64.
func (e elem) float(u uint64) float64 {
	switch e.size {
	case 8:
		return math.Float64frombits(u)
	case 4:
		return float64(math.Float32frombits(uint32(u)))
	}
	exp, frac := int(u>>10&31), float64(u&1023)
	v := math.Ldexp(1024+frac, exp-25)
	switch {
	case exp == 31 && frac == 0:
		v = math.Inf(1)
	case exp == 31:
		v = math.NaN()
	case exp == 0:
		v = math.Ldexp(frac, -24)
	}
	if u>>15 != 0 {
		v = -v
	}
	return v
}

// labels returns the array as one class for every item: n whole numbers, or a column of them.
func (a *array) labels() ([]int, error) {
	n, _ := volume(a.shape)
	if len(a.shape) == 0 || n != a.shape[0] {
		return nil, &Error{Why: fmt.Sprintf("labels of shape %v; expected one number for every item", a.shape),
			Next: "store class numbers (for one-hot rows: argmax along the last dimension)"}
	}
	values := make([]float64, n)
	if k := a.elem.decode(values, a.data); k >= 0 {
		return nil, &Error{Where: fmt.Sprintf("label %d", k), Why: "the number is beyond ±2^53"}
	}
	out := make([]int, n)
	for i, v := range values {
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 || int64(v) != int64(int(v)) {
			return nil, &Error{Where: fmt.Sprintf("label %d", i), Why: fmt.Sprintf("%v is not a class number", v),
				Next: "store labels as whole numbers from 0"}
		}
		out[i] = int(v)
	}
	return out, nil
}
