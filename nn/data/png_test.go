package data

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"path/filepath"
	"slices"
	"testing"
)

func TestPNG(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 3, 2))
	copy(gray.Pix, []byte{0, 1, 2, 128, 254, 255})
	deep := image.NewGray16(image.Rect(0, 0, 2, 1))
	deep.SetGray16(0, 0, color.Gray16{0x1234})
	deep.SetGray16(1, 0, color.Gray16{0xffff})
	rgb := image.NewRGBA(image.Rect(0, 0, 2, 1))
	rgb.SetRGBA(0, 0, color.RGBA{1, 2, 3, 255})
	rgb.SetRGBA(1, 0, color.RGBA{4, 5, 6, 255})
	deepRGB := image.NewRGBA64(image.Rect(0, 0, 1, 1))
	deepRGB.SetRGBA64(0, 0, color.RGBA64{1, 2, 3, 0xffff})
	bits := image.NewPaletted(image.Rect(0, 0, 2, 1), color.Palette{color.Gray{0}, color.Gray{255}})
	bits.Pix[1] = 1
	palette := image.NewPaletted(image.Rect(0, 0, 2, 1), color.Palette{color.RGBA{9, 8, 7, 255}, color.Gray{255}})
	palette.Pix[1] = 1
	for name, c := range map[string]struct {
		m     image.Image
		shape []int
		x     []float64
	}{
		"gray":    {gray, []int{1, 2, 3}, bytes255(0, 1, 2, 128, 254, 255)},
		"gray 16": {deep, []int{1, 1, 2}, []float64{float64(float32(0x1234) / 65535), 1}},
		"RGB":     {rgb, []int{3, 1, 2}, bytes255(1, 4, 2, 5, 3, 6)},
		"RGB 16": {deepRGB, []int{3, 1, 1}, []float64{float64(float32(1) / 65535), float64(float32(2) / 65535),
			float64(float32(3) / 65535)}},
		"gray palette": {bits, []int{1, 1, 2}, []float64{0, 1}},
		"palette":      {palette, []int{3, 1, 2}, bytes255(9, 255, 8, 255, 7, 255)},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := openText(t, pngText(c.m), "", Options{})
			want(t, s, err, c.shape, c.x, nil)
			if s.Names[0] != "file" {
				t.Errorf("names %v", s.Names)
			}
		})
	}
	s, err := openText(t, pngText(rgb), "", Options{Scale: 1, Mean: []float64{1, 2, 3}, Std: []float64{1, 1, 3}})
	want(t, s, err, []int{3, 1, 2}, []float64{0, 3, 0, 3, 0, 1}, nil)
}

// bigPNG returns a PNG that declares a size its data do not have.
func bigPNG(width, height uint32) string {
	b := []byte(grayPNG(1, 2, 3, 4))
	binary.BigEndian.PutUint32(b[16:], width)
	binary.BigEndian.PutUint32(b[20:], height)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return string(b)
}

func TestPNGErrors(t *testing.T) {
	clear := image.NewNRGBA(image.Rect(0, 0, 1, 1))
	good := grayPNG(1, 2, 3, 4)
	for name, c := range map[string]struct {
		text string
		opt  Options
		say  string
		is   error
	}{
		"transparent": {pngText(clear), Options{}, "transparent", ErrUnsupported},
		"cut":         {good[:20], Options{}, "cut off", nil},
		"data cut":    {good[:len(good)-20], Options{}, "damaged", nil},
		"bomb":        {bigPNG(10000, 10000), Options{}, "cannot hold", nil},
		"overflow":    {bigPNG(1<<31-1, 1<<31-1), Options{}, "limit", ErrLimit},
		"negative":    {bigPNG(1<<31, 1), Options{}, "declares", nil},
		"nothing":     {bigPNG(0, 1), Options{}, "declares", nil},
		"limit":       {good, Options{MaxBytes: 95}, "limit", ErrLimit},
		"shape":       {good, Options{Shape: []int{3, 2, 2}}, "[1 2 2] (4 values)", nil},
		"jpeg":        {"\xff\xd8\xff\xe0\x00\x10JFIF", Options{}, "JPEG", ErrUnsupported},
		"pickle":      {"\x80\x04\x95\x00", Options{}, "pickle", ErrUnsupported},
		"other":       {"\x7fELF\x00\x00", Options{}, "neither", ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openText(t, c.text, "", c.opt)
			wantError(t, err, c.say)
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v does not wrap %v", err, c.is)
			}
		})
	}
	_, err := openText(t, good, "[1]", Options{})
	wantError(t, err, "1 items")
}

func TestFolder(t *testing.T) {
	a, b, c := grayPNG(1, 2, 3, 4), grayPNG(5, 6, 7, 8), grayPNG(9, 10, 11, 12)
	x := bytes255(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
	for name, f := range map[string]struct {
		files          map[string]string
		labels         []int
		names, classes []string
		labelsOfCaller string
	}{
		"no labels": {map[string]string{"a.png": a, "b.PNG": b, "c.png": c, "README": "x", ".png": "x"}, nil,
			[]string{"a.png", "b.PNG", "c.png"}, nil, ""},
		"in the names": {map[string]string{"1_c.png": a, "7_0001.png": b, "7_0002.png": c}, []int{1, 7, 7},
			[]string{"1_c.png", "7_0001.png", "7_0002.png"}, nil, ""},
		"numbers": {map[string]string{"10/1.png": a, "2/2.png": b, "2/3.png": c, "3/README": "x"}, []int{10, 2, 2},
			[]string{"10/1.png", "2/2.png", "2/3.png"}, nil, ""},
		"classes": {map[string]string{"cat/1.png": a, "dog/2.png": b, "dog/3.png": c, ".git/x": ""}, []int{0, 1, 1},
			[]string{"cat/1.png", "dog/2.png", "dog/3.png"}, []string{"cat", "dog"}, ""},
		"labels.csv": {map[string]string{"a.png": a, "b.png": b, "c.png": c,
			"labels.csv": "file,label\nb.png,4\na.png,3\nc.png,5\n"}, []int{3, 4, 5}, []string{"a.png", "b.png", "c.png"},
			nil, ""},
		"by position": {map[string]string{"a.png": a, "b.png": b, "c.png": c, "labels.csv": "6\n5\n4\n"}, []int{6, 5, 4},
			[]string{"a.png", "b.png", "c.png"}, nil, ""},
		"of the caller": {map[string]string{"1_a.png": a, "2_b.png": b, "3_c.png": c, "labels.csv": "bad"}, []int{0, 0, 9},
			[]string{"1_a.png", "2_b.png", "3_c.png"}, nil, "0\n0\n9\n"},
		"csv of classes": {map[string]string{"x/1.png": a, "x/2.png": b, "y/1.png": c,
			"labels.csv": "x/1.png,1\nx/2.png,2\ny/1.png,3\n"}, []int{1, 2, 3}, []string{"x/1.png", "x/2.png", "y/1.png"},
			nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, f.files)
			opt := Options{}
			if f.labelsOfCaller != "" {
				opt.Labels = filepath.Join(write(t, map[string]string{"y": f.labelsOfCaller}), "y")
			}
			s, err := Open(dir, opt)
			want(t, s, err, []int{1, 2, 2}, x, f.labels)
			if !slices.Equal(s.Names, f.names) || !slices.Equal(s.Classes, f.classes) {
				t.Errorf("names %v, classes %v", s.Names, s.Classes)
			}
			s, err = Open(dir+"[1:2]", opt)
			labels := f.labels
			if labels != nil {
				labels = labels[1:2]
			}
			want(t, s, err, []int{1, 2, 2}, x[4:8], labels)
		})
	}
}

func TestFolderErrors(t *testing.T) {
	a := grayPNG(1, 2, 3, 4)
	for name, c := range map[string]struct {
		files map[string]string
		say   []string
	}{
		"nothing":     {map[string]string{"README": "x"}, []string{"no PNG files"}},
		"empty class": {map[string]string{"cat/1.png": a, "dog/README": "x"}, []string{`"dog"`, "class"}},
		"some labels": {map[string]string{"7_1.png": a, "b.png": a}, []string{`"7_1.png"`, `"b.png"`, "labels.csv"}},
		"sizes":       {map[string]string{"a.png": a, "b.png": grayPNG(1, 2)}, []string{`"b.png"`, "[1 2 1]", "[1 2 2]"}},
		"depths": {map[string]string{"a.png": a, "b.png": pngText(image.NewGray16(image.Rect(0, 0, 2, 2)))},
			[]string{"16 bits"}},
		"damaged":      {map[string]string{"a.png": a, "b.png": a[:40]}, []string{"b.png: ", "damaged"}},
		"no PNG":       {map[string]string{"a.png": "x"}, []string{"a.png: ", "no PNG"}},
		"unlabelled":   {map[string]string{"a.png": a, "b.png": a, "labels.csv": "a.png,1\n"}, []string{`no label for "b.png"`}},
		"unknown":      {map[string]string{"a.png": a, "labels.csv": "a.png,1\nb.png,2\n"}, []string{`"b.png", which is not`}},
		"twice":        {map[string]string{"a.png": a, "labels.csv": "a.png,1\na.png,2\n"}, []string{"two labels"}},
		"short":        {map[string]string{"a.png": a, "b.png": a, "labels.csv": "1\n"}, []string{"1 labels for 2 items"}},
		"mixed labels": {map[string]string{"a.png": a, "labels.csv": "1\nb,1\n"}, []string{"line 2", "some lines"}},
		"bad label":    {map[string]string{"a.png": a, "labels.csv": "a.png,1\nb.png,x\n"}, []string{"labels.csv: line 2"}},
		"no line":      {map[string]string{"a.png": a, "labels.csv": "file,label\n"}, []string{"labels.csv: ", "empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(write(t, c.files), Options{})
			wantError(t, err, c.say...)
		})
	}
	// Four pictures take 4·32 bytes as values; each of them and its file take less than the limit.
	four := write(t, map[string]string{"a.png": a, "b.png": a, "c.png": a, "d.png": a})
	_, err := Open(four, Options{MaxBytes: 127})
	wantError(t, err, "limit of 127")
	if !errors.Is(err, ErrLimit) {
		t.Errorf("%v is not ErrLimit", err)
	}
	if _, err := Open(four, Options{MaxBytes: 128}); err != nil {
		t.Error(err)
	}
}
