package data

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestIDX(t *testing.T) {
	images := idx(8, []uint32{3, 2, 2}, 0, 1, 2, 3, 128, 129, 130, 131, 252, 253, 254, 255)
	x := bytes255(0, 1, 2, 3, 128, 129, 130, 131, 252, 253, 254, 255)
	for name, text := range map[string]string{"plain": images, "gzip": zipped(images)} {
		t.Run(name, func(t *testing.T) {
			s, err := openText(t, text, "", Options{})
			want(t, s, err, []int{1, 2, 2}, x, nil)
			s, err = openText(t, text, "[1:3]", Options{})
			want(t, s, err, []int{1, 2, 2}, x[4:], nil)
			if s.Names[0] != "1" || s.Names[1] != "2" {
				t.Errorf("names %v", s.Names)
			}
			s, err = openText(t, text, "", Options{Scale: 1})
			want(t, s, err, []int{1, 2, 2}, []float64{0, 1, 2, 3, 128, 129, 130, 131, 252, 253, 254, 255}, nil)
		})
	}
	s, err := openText(t, idx(8, []uint32{2, 3}, 1, 2, 3, 4, 5, 6), "", Options{})
	want(t, s, err, []int{3}, bytes255(1, 2, 3, 4, 5, 6), nil)
	s, err = openText(t, idx(8, []uint32{1, 3, 1, 2}, 1, 2, 3, 4, 5, 6), "", Options{})
	want(t, s, err, []int{3, 1, 2}, bytes255(1, 2, 3, 4, 5, 6), nil)
	for _, c := range []struct {
		kind byte
		data []byte
	}{
		{9, []byte{1, 0xfe}}, {11, []byte{0, 1, 0xff, 0xfe}}, {12, []byte{0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe}},
		{13, []byte{0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0}}, {14, []byte{0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0}},
	} {
		s, err := openText(t, idx(c.kind, []uint32{1, 2}, c.data...), "", Options{})
		want(t, s, err, []int{2}, []float64{1, -2}, nil)
	}
}

func TestIDXErrors(t *testing.T) {
	good := idx(8, []uint32{1, 2, 2}, 1, 2, 3, 4)
	bomb := idx(8, []uint32{1, 2, 2}, make([]byte, 1<<20)...)
	for name, c := range map[string]struct {
		text string
		opt  Options
		say  []string
		is   error
	}{
		"type":            {idx(7, []uint32{1}), Options{}, []string{"byte 2", "0x07"}, nil},
		"no dimensions":   {idx(8, nil, 1, 2), Options{}, []string{"byte 3", "0 dimensions"}, nil},
		"five dimensions": {idx(8, []uint32{1, 1, 1, 1, 1}, 1), Options{}, []string{"5 dimensions"}, nil},
		"header cut":      {good[:9], Options{}, []string{"byte 9", "header"}, nil},
		"data cut":        {good[:len(good)-1], Options{}, []string{"need 4 bytes", "has 3", "again"}, nil},
		"data behind":     {good + "x", Options{}, []string{"need 4 bytes", "has 5"}, nil},
		"overflow":        {idx(8, []uint32{1 << 31, 1 << 31, 1 << 31}), Options{}, []string{"too large"}, nil},
		"overflow f8":     {idx(14, []uint32{1 << 31, 1 << 30}), Options{}, []string{"too large"}, nil},
		"labels":          {idx(8, []uint32{2}, 7, 2), Options{}, []string{"labels", "images"}, nil},
		"no items":        {idx(8, []uint32{0, 2, 2}), Options{}, []string{"empty"}, nil},
		"no values":       {idx(8, []uint32{1 << 31, 0, 2}), Options{}, []string{"empty"}, nil},
		"gzip cut":        {zipped(good)[:20], Options{}, []string{"damaged"}, nil},
		"gzip sum cut":    {zipped(good)[:len(zipped(good))-2], Options{}, []string{"damaged"}, nil},
		"gzip sum":        {zipped(good)[:len(zipped(good))-8] + "01234567", Options{}, []string{"damaged", "checksum"}, nil},
		"gzip bomb":       {zipped(bomb), Options{}, []string{"need 4 bytes", "has 5"}, nil},
		"gzip small":      {zipped(idx(8, []uint32{1 << 20, 784})), Options{}, []string{"cannot hold"}, nil},
		"gzip large":      {zipped(idx(8, []uint32{1 << 31, 784})), Options{}, []string{"limit"}, ErrLimit},
		"gzip text":       {zipped("1,2,3\n"), Options{}, []string{"decompress"}, ErrUnsupported},
		"limit":           {good, Options{MaxBytes: 31}, []string{"limit of 31 bytes", "[0:100]"}, ErrLimit},
		"file limit":      {good, Options{MaxBytes: 19}, []string{"limit of 19 bytes"}, ErrLimit},
		"shape":           {good, Options{Shape: []int{1, 784}}, []string{"[1 2 2] (4 values)", "[1 784]"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openText(t, c.text, "", c.opt)
			wantError(t, err, append(c.say, "file: ")...)
			if !errors.Is(err, c.is) && c.is != nil {
				t.Errorf("%v does not wrap %v", err, c.is)
			}
		})
	}
	if s, err := openText(t, good, "", Options{MaxBytes: 32}); err != nil || s.Len() != 1 {
		t.Errorf("at the limit: %v", err)
	}
}

// TestLabelsBeside wants the labels that belong to a file by its name, compressed or not, and only those.
func TestLabelsBeside(t *testing.T) {
	images, labels := idx(8, []uint32{3, 1, 2}, 1, 2, 3, 4, 5, 6), idx(8, []uint32{3}, 7, 2, 1)
	for _, c := range []struct{ images, labels string }{
		{"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}, {"t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte.gz"},
		{"images-idx3-ubyte.gz", "labels-idx1-ubyte"}, {"my-images.gz", "my-labels.gz"},
	} {
		text := map[string]string{c.images: images, c.labels: labels}
		for name, plain := range text {
			if filepath.Ext(name) == ".gz" {
				text[name] = zipped(plain)
			}
		}
		s, err := Open(filepath.Join(write(t, text), c.images)+"[1:]", Options{})
		want(t, s, err, []int{1, 1, 2}, bytes255(3, 4, 5, 6), []int{2, 1})
	}
	dir := write(t, map[string]string{"images": images, "labels": idx(8, []uint32{2}, 7, 2), "other": labels,
		"text": "label\n4\n5\n6\n"})
	_, err := Open(filepath.Join(dir, "images"), Options{})
	wantError(t, err, "2 labels for 3 items", "labels:")
	s, err := Open(filepath.Join(dir, "images"), Options{Labels: filepath.Join(dir, "text")})
	want(t, s, err, []int{1, 1, 2}, bytes255(1, 2, 3, 4, 5, 6), []int{4, 5, 6})
	s, err = Open(filepath.Join(dir, "images[2]"), Options{Labels: filepath.Join(dir, "other")})
	want(t, s, err, []int{1, 1, 2}, bytes255(5, 6), []int{1})
}
