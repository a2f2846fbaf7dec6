package data

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Options say how to read a data set. The zero value reads what the file says.
type Options struct {
	// MNIST is the folder of the four IDX files that mnist:train and mnist:test stand for.
	MNIST string
	// Shape is what the caller expects of an item, such as the network's input; nil expects nothing. Items of another size are an
	// error, and vectors of this size get this shape.
	Shape []int
	// Scale, Mean and Std give x = (raw·Scale − Mean)/Std, each step rounded to float32; raw is the value as stored. A zero
	// Scale is the file's own: 1/255 for bytes of IDX and PNG, 1/65535 for PNG with 16 bits, 1 for the rest. A scale 1/n
	// divides by n, so bytes become float32(b)/255. Mean and Std hold one value, or one for each index of an item's first
	// dimension (the channels of a picture); none stands for 0 and 1. When nothing is given and the file's own scale is 1,
	// values stay as stored.
	Scale     float64
	Mean, Std []float64
	// Labels is a file of labels, which goes before those that the data bring along.
	Labels string
	// LabelColumn names the column of a CSV file that holds the label: first, last, none, or a name from the first line. ""
	// takes the column named label, labels, y, class or target; without one, no column when Labels is set or the line has as many
	// values as Shape, else the first.
	LabelColumn string
	// Key and LabelKey name the arrays of an .npz file: by default the first of x, X, images, arr_0 that is there, and the first
	// of y, Y, labels, and arr_1 beside arr_0.
	Key, LabelKey string
	// MaxBytes bounds each file, what it decompresses to, and the values read (8 bytes each). 0 means 4 GiB.
	MaxBytes int64
}

// Open reads a data set. spec is mnist:train, mnist:test, a file or a folder of PNG files, recognised by content, with a range
// of items behind it if wanted: digits.npz[10:20], [10:], [:20] or [10]. Labels of an IDX file are found beside it by its name.
// Everything wrong with the data is an *Error; a file that cannot be opened gives the operating system's.
func Open(spec string, opt Options) (*Set, error) {
	path, sp, err := splitSpan(spec)
	if err != nil {
		return nil, inFile(err, spec)
	}
	l := &loader{opt: opt, limit: opt.MaxBytes, span: sp}
	if l.limit <= 0 {
		l.limit = 4 << 30
	}
	l.limit = min(l.limit, math.MaxInt-1)
	if which, ok := strings.CutPrefix(path, "mnist:"); ok {
		if path, err = mnistFile(which, opt.MNIST); err != nil {
			return nil, inFile(err, spec)
		}
	}
	its, err := l.load(path)
	if err != nil {
		return nil, inFile(err, path)
	}
	s, err := l.finish(its)
	return s, inFile(err, spec)
}

// mnistFile returns the path of the images of MNIST.
func mnistFile(which, dir string) (string, error) {
	prefix, ok := map[string]string{"train": "train", "test": "t10k"}[which]
	if !ok {
		return "", &Error{Why: fmt.Sprintf("MNIST has no part %q", which), Next: "say mnist:train or mnist:test"}
	}
	if dir == "" {
		return "", &Error{Why: "it is not known where MNIST is",
			Next: "name the folder of its four IDX files (CERTIFY_MNIST=FOLDER)"}
	}
	for _, name := range []string{"-images-idx3-ubyte.gz", "-images-idx3-ubyte", "-images.idx3-ubyte", "-images.idx3-ubyte.gz"} {
		path := filepath.Join(dir, prefix+name)
		if !isFile(path) {
			continue
		}
		if labelsBeside(path) == "" {
			return "", &Error{File: path, Why: "the file of labels is not beside it",
				Next: "put all four files of MNIST into one folder"}
		}
		return path, nil
	}
	return "", &Error{File: dir, Why: fmt.Sprintf("no file %s-images-idx3-ubyte, with or without .gz", prefix),
		Next: "name the folder of the four IDX files (CERTIFY_MNIST=FOLDER)"}
}

// A span is a range of items; to is −1 for the end.
type span struct{ from, to int }

// splitSpan takes the range off the end of a specification.
func splitSpan(spec string) (string, span, error) {
	all := span{0, -1}
	at := strings.LastIndexByte(spec, '[')
	if at < 0 || !strings.HasSuffix(spec, "]") {
		return spec, all, nil
	}
	first, second, isRange := strings.Cut(spec[at+1:len(spec)-1], ":")
	from, to, err := 0, -1, error(nil)
	if first != "" || !isRange {
		from, err = strconv.Atoi(first)
	}
	if second != "" && err == nil {
		to, err = strconv.Atoi(second)
	}
	if err != nil || from < 0 || second != "" && to < 0 {
		return "", all, &Error{Why: fmt.Sprintf("%q is no range of items", spec[at:]),
			Next: "write [10:20], [10:], [:20] or [10]; items count from 0"}
	}
	if !isRange {
		to = from + 1
	}
	if second != "" && from >= to || to == 0 || from+1 < 0 {
		return "", all, &Error{Why: fmt.Sprintf("the range %s is empty", spec[at:]),
			Next: "the second number is one more than the last item"}
	}
	return spec[:at], span{from, to}, nil
}

// has reports whether the span holds item i.
func (s span) has(i int) bool { return i >= s.from && (s.to < 0 || i < s.to) }

// resolve returns the span within n items.
func (s span) resolve(n int) (from, to int, err error) {
	to = s.to
	if to < 0 {
		to = n
	}
	if s.from >= n && s.from > 0 || to > n {
		return 0, 0, &Error{Why: fmt.Sprintf("the range [%d:%d] reaches beyond the %d items", s.from, max(to, s.from+1), n),
			Next: "ask for fewer items"}
	}
	return s.from, to, nil
}

// A kind is what a file holds.
type kind int

const (
	kindUnknown kind = iota
	kindIDX
	kindNPY
	kindNPZ
	kindPNG
	kindText
)

// kindOf recognises a file by its content.
func kindOf(b []byte) kind {
	switch {
	case bytes.HasPrefix(b, npyMagic):
		return kindNPY
	case bytes.HasPrefix(b, []byte("PK\x03\x04")), bytes.HasPrefix(b, []byte("PK\x05\x06")):
		return kindNPZ
	case bytes.HasPrefix(b, pngMagic):
		return kindPNG
	case bytes.HasPrefix(b, gzipMagic), len(b) >= 4 && b[0] == 0 && b[1] == 0:
		return kindIDX
	}
	head := b[:min(len(b), 512)]
	if bytes.IndexByte(head, 0) < 0 && utf8.Valid(bytes.TrimRightFunc(head, func(r rune) bool { return r == utf8.RuneError })) {
		return kindText
	}
	return kindUnknown
}

// strangers are files that are asked for and not read, by their first bytes.
var strangers = []struct{ magic, what, next string }{
	{"\xff\xd8\xff", "a JPEG picture: its values depend on the decoder", "convert it to PNG"},
	{"GIF8", "a GIF picture", "convert it to PNG"},
	{"BM", "a BMP picture", "convert it to PNG"},
	{"\x89HDF", "an HDF5 file", "write the arrays with numpy.savez"},
	{"\x80", "a Python pickle: reading it would run what is in it", "write the arrays with numpy.savez"},
}

// stranger says what a file is that is not read.
func stranger(b []byte) error {
	for _, s := range strangers {
		if bytes.HasPrefix(b, []byte(s.magic)) {
			return &Error{Why: s.what, Next: s.next, Err: ErrUnsupported}
		}
	}
	return &Error{Why: "neither IDX, .npy, .npz, CSV nor PNG", Next: "write the data with numpy.savez", Err: ErrUnsupported}
}

// isFolder reports whether path names a folder.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
