package data

import (
	"bytes"
	"compress/flate"
	"image"
	"os"
	"path/filepath"
	"runtime/metrics"
	"testing"
)

// fuzz feeds files to the loader, through every kind of Options that changes what is read, and checks the promises of the
// package: no panic, an *Error or a set that passes its check, and no more memory than times the bound, and 1 MiB. file makes
// the file from the fuzzer's bytes, and says what its size, or that of what it decompresses to, is bounded by.
func fuzz(f *testing.F, times int, file func([]byte) (b []byte, bound int)) {
	options := []Options{
		{}, {Shape: []int{1, 4}, Scale: 1.0 / 255}, {LabelColumn: "last", Mean: []float64{1}, Std: []float64{1, 2}},
		{LabelColumn: "none"}, {LabelColumn: "b", Key: "arr_1", LabelKey: "x"},
	}
	f.Fuzz(func(t *testing.T, b []byte, from, to uint8) {
		b, bound := file(b)
		for _, opt := range options {
			opt.MaxBytes = 1 << 24
			sp := span{int(from % 4), int(to%4) - 1}
			if sp.to >= 0 && sp.to <= sp.from {
				sp.to = -1
			}
			l := &loader{opt: opt, limit: opt.MaxBytes, span: sp}
			before := allocated()
			its, err := l.parse(b)
			var s *Set
			if err == nil {
				s, err = l.finish(its)
			}
			if used := allocated() - before; used > uint64(times*bound)+1<<20 {
				t.Fatalf("%d bytes allocated for a file of %d, bound %d·%d", used, len(b), times, bound)
			}
			if err != nil {
				if e, ok := err.(*Error); !ok || e.Why == "" {
					t.Fatalf("untyped error %v", err)
				}
				continue
			}
			checkSet(t, s, its, sp)
		}
		if _, _, err := textLabels(b); err != nil {
			_ = err.Error()
		}
	})
}

// checkSet checks what every consumer of a set relies on.
func checkSet(t *testing.T, s *Set, its *items, sp span) {
	t.Helper()
	from, to, err := sp.resolve(its.total)
	if err != nil || s.Len() != to-from || s.Check() != nil {
		t.Fatalf("%d items of %d, span %v: %v, %v", s.Len(), its.total, sp, err, s.Check())
	}
	for i := range s.Len() {
		if len(s.Item(i)) != s.Dim() {
			t.Fatal("an item of another size")
		}
	}
	if s.Len() > 0 && s.Dim() < 1<<16 {
		if _, err := Image(s.Item(0), s.Shape, 0, 1); err != nil {
			t.Fatal(err)
		}
	}
}

// allocated returns the bytes allocated so far.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func plain(b []byte) ([]byte, int) { return b, len(b) }

// deflated bounds what a compressed file can hold.
func deflated(b []byte) ([]byte, int) { return b, deflateRatio * len(b) }

// maybeGzip takes IDX as it is, with the bound for its kind.
func maybeGzip(b []byte) ([]byte, int) {
	if bytes.HasPrefix(b, gzipMagic) {
		return deflated(b)
	}
	return plain(b)
}

// archive takes what is not an archive for the items and the labels of one: a fuzzer does not find checksums.
func archive(b []byte) ([]byte, int) {
	if kindOf(b) == kindNPZ {
		return deflated(b)
	}
	var out bytes.Buffer
	if err := WriteNPZ(&out, Array{name: "x", npy: b}, Array{name: "y", npy: b}); err != nil {
		panic(err)
	}
	return out.Bytes(), out.Len()
}

func FuzzIDX(f *testing.F) {
	for _, s := range []string{
		"", "\x00\x00", idx(8, []uint32{2, 1, 2}, 1, 2, 3, 4), idx(13, []uint32{1, 1}, 0, 0, 0x80, 0x3f), idx(8, []uint32{2},
			1, 2),
		idx(8, []uint32{0xffffffff, 0xffffffff, 0xffffffff}), idx(14, []uint32{1 << 31, 1 << 30}), idx(8, []uint32{0, 5}),
		"\x00\x00\x08\xff",
		zipped(idx(8, []uint32{2, 1, 2}, 1, 2, 3, 4)), zipped(idx(8, []uint32{1 << 20, 784})), zipped(idx(8, []uint32{1, 1},
			make([]byte, 1<<16)...)),
	} {
		f.Add([]byte(s), uint8(0), uint8(0))
	}
	fuzz(f, 64, maybeGzip)
}

func FuzzNPY(f *testing.F) {
	addGolden(f, "*.npy")
	for _, h := range []string{
		"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n", "{'shape': (-1,)}", "{'shape': (",
		"{'descr': '",
		"{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2), }\n",
		"{'descr': '<f4', 'fortran_order': True, 'shape': (0, 1099511627776), }\n",
	} {
		f.Add([]byte(npy(h, 1, 2, 3, 4)), uint8(0), uint8(0))
	}
	f.Add([]byte("\x93NUMPY\x02\x00\x00\x00\x00\x40"), uint8(0), uint8(0))
	fuzz(f, 64, plain)
}

func FuzzNPZ(f *testing.F) {
	addGolden(f, "*.np[yz]")
	fuzz(f, 64, archive)
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{
		"", "1,2\n3,4\n", "label,a,b\n1,2,3\n", "a;b\n\"1\";2\n", "a\tb\n1\t2", ",,,,\n", "a,,,,,,,,,,,,,,,",
		"\xef\xbb\xbf1,nan\n", "1e999,1\n",
		"x.png,3\ny.png,4\n", "1\n2\n3\n", "0x1p-2,1_0\n",
	} {
		f.Add([]byte(s), uint8(0), uint8(0))
	}
	fuzz(f, 64, plain)
}

func FuzzPNG(f *testing.F) {
	f.Add([]byte(grayPNG(1, 2, 3, 4)), uint8(0), uint8(0))
	f.Add([]byte(pngText(image.NewRGBA(image.Rect(0, 0, 2, 1)))), uint8(0), uint8(0))
	f.Add([]byte(pngText(image.NewGray16(image.Rect(0, 0, 2, 1)))), uint8(0), uint8(0))
	f.Add([]byte(bigPNG(500, 500)), uint8(0), uint8(0))
	f.Add([]byte(bigPNG(1<<30, 1<<30)), uint8(0), uint8(0))
	fuzz(f, 256, deflated)
}

// addGolden seeds a fuzz target with the files that NumPy wrote.
func addGolden(f *testing.F, pattern string) {
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		f.Fatalf("no files %s: %v", pattern, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint8(0), uint8(0))
	}
}

// TestDeflateRatio: what bounds decompression is close to what deflate reaches, and not below it.
func TestDeflateRatio(t *testing.T) {
	const size = 1 << 24
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(make([]byte, size))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if ratio := float64(size) / float64(b.Len()); ratio > deflateRatio || ratio < deflateRatio/1.1 {
		t.Errorf("zeros shrink by %.1f, the bound is %d", ratio, deflateRatio)
	}
}
