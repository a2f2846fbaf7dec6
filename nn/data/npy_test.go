package data

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// npy returns a .npy file of version 1.
func npy(header string, data ...byte) string {
	b := append([]byte{}, npyMagic...)
	b = append(b, 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	return string(b) + header + string(data)
}

// TestNPYGolden reads what NumPy 2.4 wrote: (arange(6) − 2) as a 2×3 array of every type, divided by 4 for floats, without the
// subtraction for unsigned numbers and bools; then other versions, column-major order, and what is refused.
func TestNPYGolden(t *testing.T) {
	for name, x := range map[string][]float64{
		"f": {-0.5, -0.25, 0, 0.25, 0.5, 0.75}, "i": {-2, -1, 0, 1, 2, 3}, "u": {0, 1, 2, 3, 4, 5}, "b": {0, 1, 1, 1, 1, 1},
	} {
		files := []string{name + "1"}
		for _, size := range "248" {
			files = append(files, "le_"+name+string(size), "be_"+name+string(size))
		}
		read := 0
		for _, file := range files {
			if _, err := os.Stat("testdata/" + file + ".npy"); err != nil {
				continue
			}
			read++
			s, err := Open("testdata/"+file+".npy", Options{})
			want(t, s, err, []int{3}, x, nil)
		}
		if wanted := map[string]int{"f": 6, "i": 7, "u": 4, "b": 1}[name]; read != wanted {
			t.Errorf("type %s: %d files, want %d", name, read, wanted)
		}
	}
	for _, file := range []string{"v2", "v3"} {
		s, err := Open("testdata/"+file+".npy", Options{})
		want(t, s, err, []int{3}, []float64{0, 1, 2, 3, 4, 5}, nil)
	}
	s, err := Open("testdata/fortran.npy[1:]", Options{})
	want(t, s, err, []int{3, 4}, []float64{12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}, nil)
	for file, words := range map[string][]string{
		"object": {"|O", "Python", "astype"}, "struct": {"several fields"}, "scalar": {"single number"},
	} {
		_, err := Open("testdata/"+file+".npy", Options{})
		wantError(t, err, words...)
		if file != "scalar" && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v is not ErrUnsupported", file, err)
		}
	}
}

func TestNPYHeader(t *testing.T) {
	for header, shape := range map[string][]int{
		"{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }\n":      {2},
		"{'shape':(1,2,),\"descr\":\"|u1\",'fortran_order':True}":          {2},
		" { 'shape' : ( 1L , 2L ) , 'fortran_order':False,'descr':'=u1' }": {2},
		"{'descr': '<u1', 'fortran_order': False, 'shape': (2, 1)}":        {1},
	} {
		s, err := openText(t, npy(header, 5, 6), "", Options{})
		want(t, s, err, shape, []float64{5, 6}, nil)
	}
	head := func(shape string) string {
		return "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }\n"
	}
	for name, c := range map[string]struct {
		text string
		say  string
	}{
		"magic":          {"\x93NUMPY", "byte 0"},
		"version":        {"\x93NUMPY\x04\x00\x00\x00\x00\x00", "version 4"},
		"header beyond":  {"\x93NUMPY\x02\x00\x00\x00\x00\x40", "1073741824 bytes"},
		"header cut":     {"\x93NUMPY\x02\x00\x00\x00\x00", "inside its header"},
		"no newline":     {npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }"), "need 8 bytes"},
		"negative":       {npy(head("(-3,)")), "dimension"},
		"huge":           {npy(head("(99999999999999999999,)")), "dimension"},
		"overflow":       {npy(head("(4294967296, 4294967296)"), 1, 2, 3), "too large"},
		"overflow bytes": {npy(head("(4611686018427387904,)"), 1, 2, 3), "too large"},
		"100M values":    {npy(head("(100000000,)"), 1, 2, 3), "need 400000000 bytes"},
		"cut":            {npy(head("(1,)"), 1, 2, 3), "has 3"},
		"behind":         {npy(head("(1,)"), 1, 2, 3, 4, 5), "has 5"},
		"empty":          {npy(head("(0, 3)")), "empty"},
		"65 dimensions":  {npy(head("(" + strings.Repeat("1,", 65) + ")")), "64 dimensions"},
		"twice":          {npy("{'descr': '<f4', 'descr': '<f4'}"), "twice"},
		"missing":        {npy("{'descr': '<f4', 'fortran_order': False}"), `"shape" is missing`},
		"unknown key":    {npy("{'descr': '<f4', 'other': 1}"), "unknown key"},
		"no dictionary":  {npy("[]"), "expected '{'"},
		"not closed":     {npy("{'descr': '<f4"), "does not end"},
		"order":          {npy("{'fortran_order': 1}"), "True nor False"},
		"behind header":  {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", 0, 0, 0, 0), "after the dictionary"},
		"no byte order":  {npy("{'descr': '|f4', 'fortran_order': False, 'shape': (1,)}"), "byte order"},
		"complex":        {npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}"), "<c8"},
		"f1":             {npy("{'descr': '<f1', 'fortran_order': False, 'shape': (1,)}"), "<f1"},
		"b4":             {npy("{'descr': '<b4', 'fortran_order': False, 'shape': (1,)}"), "<b4"},
		"f16":            {npy("{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}"), "<f16"},
		"long":           {npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1,)}", 1, 0, 0, 0, 0, 0, 32, 0), "2^53"},
		"long unsigned":  {npy("{'descr': '<u8', 'fortran_order': False, 'shape': (1,)}", 1, 0, 0, 0, 0, 0, 32, 0), "2^53"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openText(t, c.text, "", Options{})
			wantError(t, err, c.say)
		})
	}
	// The dimensions of no items cost no memory, whatever is done with the values.
	_, err := openText(t, npy(head("(0, 1099511627776)")), "", Options{Scale: 2, Mean: []float64{1}})
	wantError(t, err, "empty")
}

// TestFloat16 compares every finite half with the value its bits spell.
func TestFloat16(t *testing.T) {
	e := elem{'f', 2, binary.LittleEndian}
	for u := range uint64(1 << 16) {
		exp, frac, v := int(u>>10&31), u&1023, e.float(u)
		if exp == 31 {
			if (frac != 0) != (v != v) || frac == 0 && v-v == v-v {
				t.Fatalf("%#x is %v", u, v)
			}
			continue
		}
		// In units of 2^−24 the value is a whole number.
		units := int64(frac)
		if exp > 0 {
			units = int64(1024+frac) << (exp - 1)
		}
		if u>>15 != 0 {
			units = -units
		}
		if v*(1<<24) != float64(units) {
			t.Fatalf("%#x is %v, want %d/2^24", u, v, units)
		}
	}
}

// TestNPYShape: with the shape of an item known, an array that is one item needs no leading dimension.
func TestNPYShape(t *testing.T) {
	var b bytes.Buffer
	if err := WriteNPY(&b, []int{3, 2, 2}, []float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}); err != nil {
		t.Fatal(err)
	}
	x := []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	s, err := openText(t, b.String(), "", Options{})
	want(t, s, err, []int{2, 2}, x, nil)
	s, err = openText(t, b.String(), "", Options{Shape: []int{1, 3, 2, 2}})
	want(t, s, err, []int{3, 2, 2}, x, nil)
	s, err = openText(t, b.String(), "", Options{Shape: []int{1, 4}})
	want(t, s, err, []int{2, 2}, x, nil)
	_, err = openText(t, b.String(), "", Options{Shape: []int{5}})
	wantError(t, err, "(4 values)", "[5]")

	b.Reset()
	if err := WriteNPY(&b, []int{4}, []float64{1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	s, err = openText(t, b.String(), "", Options{})
	want(t, s, err, []int{4}, x[1:5], nil)
	s, err = openText(t, b.String(), "", Options{Shape: []int{1, 2, 2}})
	want(t, s, err, []int{1, 2, 2}, x[1:5], nil)
	s, err = openText(t, b.String(), "[1:3]", Options{Shape: []int{1}})
	want(t, s, err, []int{1}, x[2:4], nil)
}

func TestNPZ(t *testing.T) {
	x := []float64{}
	for k := range 8 {
		x = append(x, float64(float32(float64(k)/7)))
	}
	for _, file := range []string{"plain", "packed", "position"} {
		s, err := Open("testdata/"+file+".npz", Options{})
		want(t, s, err, []int{1, 2, 2}, x, []int{7, 2})
		s, err = Open("testdata/"+file+".npz[1]", Options{})
		want(t, s, err, []int{1, 2, 2}, x[4:], []int{2})
	}
	s, err := Open("testdata/position.npz", Options{Key: "arr_1"})
	want(t, s, err, []int{2}, []float64{7, 2}, nil)
	_, err = Open("testdata/plain.npz", Options{Key: "z"})
	wantError(t, err, "no array z", `"x", "y"`, "--key")
	_, err = Open("testdata/plain.npz", Options{LabelKey: "z"})
	wantError(t, err, "no array z with labels")
	_, err = Open("testdata/plain.npz", Options{LabelKey: "x"})
	wantError(t, err, "labels of shape [2 1 2 2]", "argmax")

	_, err = openText(t, archived(t, NewArray("z", []int{1}, []float64{0.5})), "", Options{})
	wantError(t, err, `has "z"`)
	one := NewArray("x", []int{1, 2}, []float64{1, 2})
	s, err = openText(t, archived(t, one, NewArray("y", []int{1, 1}, []float64{3})), "", Options{})
	want(t, s, err, []int{2}, []float64{1, 2}, []int{3})
	_, err = openText(t, archived(t, one, NewArray("y", []int{2}, []int64{3, 4})), "", Options{})
	wantError(t, err, "2 labels for 1 items")
	_, err = openText(t, archived(t, one, NewArray("y", []int{1}, []float64{0.5})), "", Options{})
	wantError(t, err, "0.5 is not a class")
	labels := filepath.Join(write(t, map[string]string{"labels": "4"}), "labels")
	s, err = openText(t, archived(t, one, NewArray("y", []int{1}, []float64{0.5})), "", Options{Labels: labels})
	want(t, s, err, []int{2}, []float64{1, 2}, []int{4})
}

// archived returns an .npz file.
func archived(t *testing.T, arrays ...Array) string {
	var b bytes.Buffer
	if err := WriteNPZ(&b, arrays...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestNPZErrors(t *testing.T) {
	one := NewArray("x", []int{1, 2}, []float64{1, 2})
	whole := archived(t, one)
	flipped := []byte(whole)
	flipped[bytes.Index(flipped, npyMagic)+130] ^= 1
	// The name and the sizes of the directory are behind the data; the reader goes by them.
	renamed := strings.Replace(archived(t, one, Array{name: "y", npy: one.npy}), "y.npy", "x.npy", 2)
	declared := []byte(whole)
	entry := bytes.Index(declared, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(declared[entry+24:], 1<<20)
	for name, c := range map[string]struct {
		text string
		opt  Options
		say  []string
	}{
		"empty":    {archived(t), Options{}, []string{"0 files", "numpy.savez"}},
		"cut":      {whole[:len(whole)-30], Options{}, []string{"damaged"}},
		"checksum": {string(flipped), Options{}, []string{"damaged", "checksum", `array "x"`}},
		"twice":    {renamed, Options{}, []string{`array "x"`, "2 times"}},
		"declared": {string(declared), Options{}, []string{`array "x"`, "1048576 bytes", "cannot hold"}},
		"limit":    {string(declared), Options{MaxBytes: 1<<20 - 1}, []string{`array "x"`, "limit of 1048575"}},
		"inside":   {archived(t, Array{name: "x", npy: []byte("bad")}), Options{}, []string{`array "x", byte 0`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openText(t, c.text, "", c.opt)
			wantError(t, err, c.say...)
		})
	}
}

// TestWriteGolden compares the writer with numpy.save: the bytes are the same.
func TestWriteGolden(t *testing.T) {
	for file, write := range map[string]func(*bytes.Buffer) error{
		"le_f4": func(b *bytes.Buffer) error {
			return WriteNPY(b, []int{2, 3}, []float32{-0.5, -0.25, 0, 0.25, 0.5, 0.75})
		},
		"le_f8": func(b *bytes.Buffer) error {
			return WriteNPY(b, []int{2, 3}, []float64{-0.5, -0.25, 0, 0.25, 0.5, 0.75})
		},
		"le_i8": func(b *bytes.Buffer) error { return WriteNPY(b, []int{2, 3}, []int64{-2, -1, 0, 1, 2, 3}) },
		"u1":    func(b *bytes.Buffer) error { return WriteNPY(b, []int{2, 3}, []uint8{0, 1, 2, 3, 4, 5}) },
	} {
		golden, err := os.ReadFile("testdata/" + file + ".npy")
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := write(&b); err != nil || !bytes.Equal(b.Bytes(), golden) {
			t.Errorf("%s: %v\n%q\n%q", file, err, b.Bytes(), golden)
		}
	}
	var b bytes.Buffer
	for _, shape := range [][]int{{2}, {-3, -1}, {math.MaxInt, 4}, {}, nil} {
		if err := WriteNPY(&b, shape, []float64{1, 2, 3}); err == nil {
			t.Errorf("three values as %v: no error", shape)
		}
	}
	bad, good := NewArray("a", []int{2}, []float64{1}), NewArray("a", []int{1}, []float64{1})
	if WriteNPZ(&b, bad) == nil || WriteNPZ(&b, good, good) == nil || WriteNPZ(&b, NewArray("", []int{1}, []float64{1})) == nil {
		t.Error("a bad archive was written")
	}
}

// TestRoundTrip: what is written is read back, bit by bit, from both formats, and the same call writes the same bytes.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := rapid.SliceOfN(rapid.IntRange(1, 4), 2, 4).Draw(t, "shape")
		n, _ := volume(shape)
		x := rapid.SliceOfN(rapid.Float64(), n, n).Draw(t, "x")
		y := rapid.SliceOfN(rapid.Int64Range(-1<<31, 1<<31-1), shape[0], shape[0]).Draw(t, "y")
		var a, b, c bytes.Buffer
		for _, w := range []*bytes.Buffer{&b, &c} {
			if err := WriteNPZ(w, NewArray("x", shape, x), NewArray("y", shape[:1], y)); err != nil {
				t.Fatal(err)
			}
		}
		if err := WriteNPY(&a, shape, x); err != nil || !bytes.Equal(b.Bytes(), c.Bytes()) {
			t.Fatalf("%v, or two archives differ", err)
		}
		from := rapid.IntRange(0, shape[0]-1).Draw(t, "from")
		l := &loader{limit: 1 << 20, span: span{from, -1}}
		plain, err := l.parse(a.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		both, err := l.parse(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		d := n / shape[0]
		if !same(plain.x, x[from*d:]) || !same(both.x, x[from*d:]) || !slices.Equal(both.shape, shape[1:]) {
			t.Fatalf("%v, %v, want %v", plain.x, both.x, x[from*d:])
		}
		for i, v := range both.labels {
			if int64(v) != y[from+i] {
				t.Fatalf("label %d is %d, want %d", i, v, y[from+i])
			}
		}
	})
}

// TestFortran: reading the transposed copy in column-major order gives the items of the row-major array.
func TestFortran(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := rapid.SliceOfN(rapid.IntRange(1, 4), 2, 4).Draw(t, "shape")
		n, _ := volume(shape)
		rows := array{shape: shape, elem: elem{'u', 1, binary.LittleEndian}, data: make([]byte, n)}
		columns := rows
		columns.fortran, columns.data = true, make([]byte, n)
		for k := range n {
			at, stride, rest := 0, n, k
			for i := len(shape) - 1; i >= 0; i-- { // row-major index k, last dimension first; its column-major stride is largest
				stride /= shape[i]
				at += rest % shape[i] * stride
				rest /= shape[i]
			}
			rows.data[k], columns.data[at] = byte(k), byte(k)
		}
		from := rapid.IntRange(0, shape[0]-1).Draw(t, "from")
		a, err := rows.rows(from, shape[0])
		if err != nil {
			t.Fatal(err)
		}
		b, err := columns.rows(from, shape[0])
		if err != nil || !same(a, b) {
			t.Fatalf("%v: %v, want %v", err, b, a)
		}
	})
}
