package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write puts files into a fresh folder and returns it. The name of the test is not in its path: errors name the path, and would
// seem to say what the test is called.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// openText opens one file of the given content; span goes behind its name.
func openText(t *testing.T, text, span string, opt Options) (*Set, error) {
	t.Helper()
	return Open(filepath.Join(write(t, map[string]string{"file": text}), "file")+span, opt)
}

// want compares a set with what it should hold.
func want(t *testing.T, s *Set, err error, shape []int, x []float64, labels []int) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Shape, shape) || !slices.Equal(s.Labels, labels) || !same(s.X, x) {
		t.Fatalf("shape %v, labels %v, values %v; want %v, %v, %v", s.Shape, s.Labels, s.X, shape, labels, x)
	}
	if s.Len()*s.Dim() != len(x) {
		t.Fatalf("%d items of %d values, %d values", s.Len(), s.Dim(), len(x))
	}
}

// same compares bit by bit.
func same(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(v, w float64) bool { return math.Float64bits(v) == math.Float64bits(w) })
}

// wantError wants an *Error that says all the given words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", words)
	}
	if _, ok := err.(*Error); !ok {
		t.Fatalf("%T is not an *Error: %v", err, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

// idx returns an IDX file.
func idx(kind byte, shape []uint32, data ...byte) string {
	b := []byte{0, 0, kind, byte(len(shape))}
	for _, d := range shape {
		b = binary.BigEndian.AppendUint32(b, d)
	}
	return string(append(b, data...))
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func pngText(m image.Image) string {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.String()
}

// bytes255 returns float32(b)/255 for every byte.
func bytes255(b ...byte) []float64 {
	out := make([]float64, len(b))
	for i, v := range b {
		out[i] = float64(float32(v) / 255)
	}
	return out
}

// grayPNG returns a gray picture of two rows.
func grayPNG(pix ...byte) string {
	m := image.NewGray(image.Rect(0, 0, len(pix)/2, 2))
	copy(m.Pix, pix)
	return pngText(m)
}
