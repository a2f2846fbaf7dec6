package data

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestSplitSpan(t *testing.T) {
	for spec, c := range map[string]struct {
		path string
		span span
	}{
		"a":               {"a", span{0, -1}},
		"a[10:20]":        {"a", span{10, 20}},
		"a[10:]":          {"a", span{10, -1}},
		"a[:20]":          {"a", span{0, 20}},
		"a[:]":            {"a", span{0, -1}},
		"a[3]":            {"a", span{3, 4}},
		"a[1][2]":         {"a[1]", span{2, 3}},
		"mnist:test[0:1]": {"mnist:test", span{0, 1}},
		"a]":              {"a]", span{0, -1}},
		"a[1":             {"a[1", span{0, -1}},
	} {
		if path, sp, err := splitSpan(spec); err != nil || path != c.path || sp != c.span {
			t.Errorf("%s: %q %v %v", spec, path, sp, err)
		}
	}
	for spec, words := range map[string]string{
		"a[]": "no range", "a[x]": "no range", "a[1:y]": "no range", "a[-1]": "no range", "a[1:-1]": "no range",
		"a[1:2:3]": "no range",
		"a[2:2]":   "empty", "a[3:2]": "empty", "a[:0]": "empty", "a[99999999999999999999]": "no range",
		"a[9223372036854775807]": "empty",
	} {
		_, err := Open(spec, Options{})
		wantError(t, err, spec, words)
	}
	text := idx(8, []uint32{3, 2}, 1, 2, 3, 4, 5, 6)
	for _, s := range []string{"[3:]", "[3]", "[0:4]", "[9223372036854775806]"} {
		_, err := openText(t, text, s, Options{})
		wantError(t, err, "beyond the 3 items")
	}
}

func TestOpenMNIST(t *testing.T) {
	images, labels := idx(8, []uint32{2, 1, 1}, 0, 255), idx(8, []uint32{2}, 7, 2)
	dir := write(t, map[string]string{
		"t10k-images-idx3-ubyte.gz": zipped(images), "t10k-labels-idx1-ubyte.gz": zipped(labels),
		"train-images.idx3-ubyte": images,
	})
	s, err := Open("mnist:test[1:]", Options{MNIST: dir})
	want(t, s, err, []int{1, 1, 1}, []float64{1}, []int{2})
	_, err = Open("mnist:train", Options{MNIST: dir})
	wantError(t, err, "labels", "beside")
	_, err = Open("mnist:valid", Options{MNIST: dir})
	wantError(t, err, `"valid"`, "mnist:train or mnist:test")
	_, err = Open("mnist:test", Options{})
	wantError(t, err, "mnist:test", "CERTIFY_MNIST")
	_, err = Open("mnist:test", Options{MNIST: t.TempDir()})
	wantError(t, err, "t10k-images-idx3-ubyte")
}

// TestHash wants the hash of the file, and for several files that of the lines that sha256sum prints.
func TestHash(t *testing.T) {
	sum := func(text string) string {
		h := sha256.Sum256([]byte(text))
		return hex.EncodeToString(h[:])
	}
	images, labels := idx(8, []uint32{2, 1, 1}, 0, 255), idx(8, []uint32{2}, 7, 2)
	dir := write(t, map[string]string{"images": images, "labels": labels, "x": images, "p/a/1.png": grayPNG(1, 2),
		"p/b/2.png": grayPNG(3, 4)})
	for spec, hash := range map[string]string{
		"x":      sum(images),
		"x[1:]":  sum(images),
		"images": sum(fmt.Sprintf("%s  images\n%s  labels\n", sum(images), sum(labels))),
		"p":      sum(fmt.Sprintf("%s  a/1.png\n%s  b/2.png\n", sum(grayPNG(1, 2)), sum(grayPNG(3, 4)))),
		"p[1:]":  sum(grayPNG(3, 4)),
	} {
		s, err := Open(filepath.Join(dir, spec), Options{})
		if err != nil || s.Hash != hash {
			t.Errorf("%s: %v, hash of %+v, want %s", spec, err, s, hash)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open("does/not/exist", Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	dir := write(t, map[string]string{"x.csv": "1,2\n", "y": "a,1\n", "z": "\x89HDF"})
	x := filepath.Join(dir, "x.csv")
	if _, err := Open(x, Options{Labels: "does/not/exist"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file of labels: %v", err)
	}
	_, err := Open(x, Options{Labels: filepath.Join(dir, "y")})
	wantError(t, err, "y: ", "names")
	_, err = Open(x, Options{Labels: filepath.Join(dir, "z")})
	wantError(t, err, "z: ", "no file of labels")
	_, err = Open(x, Options{Labels: dir})
	wantError(t, err, "neither a file")
	if info, err := os.Stat(os.DevNull); err == nil && info.Mode()&os.ModeDevice != 0 {
		_, err := Open(os.DevNull, Options{})
		wantError(t, err, "neither a file")
	}
}

// TestSparseFile: a file above the limit is refused before there is memory for it.
func TestSparseFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 30); err != nil {
		t.Skip(err)
	}
	before := allocated()
	_, err = Open(path, Options{MaxBytes: 1 << 10})
	wantError(t, err, "limit of 1024")
	if used := allocated() - before; used > 1<<20 {
		t.Errorf("%d bytes allocated", used)
	}
}
