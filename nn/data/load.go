package data

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Items are what a reader returns: the items of the span with values as stored.
type items struct {
	x       []float64
	labels  []int    // nil for none
	names   []string // nil for positions
	classes []string
	shape   []int
	natural float64 // the scale the file means; 0 for 1
	total   int     // items in the whole file
}

// A loader reads the files of one data set.
type loader struct {
	opt   Options
	limit int64
	span  span
	sums  []string // hash of each file read, and its name
}

// load reads a file or a folder.
func (l *loader) load(path string) (*items, error) {
	if isFolder(path) {
		return l.readFolder(path)
	}
	b, err := l.read(path, filepath.Base(path))
	if err != nil {
		return nil, err
	}
	its, err := l.parse(b)
	if err != nil {
		return nil, err
	}
	labels := l.opt.Labels
	switch kindOf(b) {
	case kindIDX:
		if labels == "" {
			labels = labelsBeside(path)
		}
	case kindPNG:
		its.names = []string{filepath.Base(path)}
	}
	if labels != "" {
		its.labels, err = l.fileLabels(labels, its.total)
	}
	return its, inFile(err, labels)
}

// parse reads the items of the span from a file's content.
func (l *loader) parse(b []byte) (*items, error) {
	switch kindOf(b) {
	case kindIDX:
		return l.parseIDX(b)
	case kindNPY:
		a, err := parseNPY(b)
		if err != nil {
			return nil, err
		}
		return l.fromArrays(a, nil)
	case kindNPZ:
		x, y, err := parseNPZ(b, &l.opt, l.limit)
		if err != nil {
			return nil, err
		}
		return l.fromArrays(x, y)
	case kindPNG:
		if _, _, err := l.span.resolve(1); err != nil {
			return nil, err
		}
		p, err := readPNG(b, l.limit)
		if err != nil {
			return nil, err
		}
		return &items{x: p.x, shape: p.shape, natural: p.scale, total: 1}, nil
	case kindText:
		its, err := readCSV(b, &l.opt, l.span, l.limit)
		if err == nil {
			_, _, err = l.span.resolve(its.total)
		}
		return its, err
	}
	return nil, stranger(b)
}

// parseIDX reads an IDX file of items. Pictures with one channel get that dimension, bytes their meaning.
func (l *loader) parseIDX(b []byte) (*items, error) {
	a, err := parseIDX(b, l.limit)
	if err != nil {
		return nil, err
	}
	if len(a.shape) == 1 {
		return nil, &Error{Why: fmt.Sprintf("an IDX file with one dimension holds labels (%d of them), not items", a.shape[0]),
			Next: "name the file of the images; the labels beside it are found by their name"}
	}
	its, err := l.fromArrays(a, nil)
	if err != nil {
		return nil, err
	}
	if a.elem.kind == 'u' {
		its.natural = 1.0 / 255
	}
	if len(a.shape) == 3 && len(its.shape) == 2 {
		its.shape = append([]int{1}, its.shape...)
	}
	return its, nil
}

// fromArrays takes the items of the span from x and, unless it is nil, their labels from y.
func (l *loader) fromArrays(x, y *array) (*items, error) {
	x, err := x.items(l.opt.Shape)
	if err != nil {
		return nil, err
	}
	its := &items{shape: slices.Clone(x.shape[1:]), total: x.shape[0]}
	from, to, err := l.span.resolve(its.total)
	if err != nil {
		return nil, err
	}
	d, ok := volume(its.shape)
	if !ok || d == 0 || its.total == 0 {
		return its, nil // the check that follows says that it is empty
	}
	if int64(to-from) > l.limit/8/int64(d) {
		return nil, &Error{Why: fmt.Sprintf("%d items of %d values exceed the limit of %d bytes", to-from, d, l.limit),
			Next: "take a range of them: [0:100]", Err: ErrLimit}
	}
	if its.x, err = x.rows(from, to); err != nil || y == nil {
		return its, err
	}
	labels, err := y.labels()
	if err == nil && len(labels) != its.total {
		err = labelCount(len(labels), its.total)
	}
	if err == nil {
		its.labels = labels[from:to]
	}
	return its, err
}

// fileLabels reads the labels of the span from a file of their own.
func (l *loader) fileLabels(path string, total int) ([]int, error) {
	names, labels, err := l.readLabels(path)
	if err != nil {
		return nil, err
	}
	if names != nil {
		return nil, &Error{Why: "the labels have names, which only pictures in a folder can be found by",
			Next: "write one label a line"}
	}
	if len(labels) != total {
		return nil, labelCount(len(labels), total)
	}
	from, to, err := l.span.resolve(total)
	return labels[from:to], err
}

// finish scales the values, names the items and checks the set.
func (l *loader) finish(its *items) (*Set, error) {
	from, to, err := l.span.resolve(its.total)
	if err != nil {
		return nil, err
	}
	s := &Set{X: its.x, Labels: its.labels, Shape: its.shape, Names: its.names, Classes: its.classes, Hash: l.hash()}
	if d, want := s.Dim(), l.opt.Shape; want != nil && to > from {
		size, ok := volume(want)
		if !ok || size != d {
			return nil, &Error{Why: fmt.Sprintf("items have shape %v (%d values), expected are %v", s.Shape, d, want),
				Next: "check that the data belong to this network"}
		}
		if len(s.Shape) == 1 {
			s.Shape = slices.Clone(want)
		}
	}
	if s.Names == nil && len(s.X) > 0 {
		s.Names = make([]string, 0, to-from)
		for i := from; i < to; i++ {
			s.Names = append(s.Names, strconv.Itoa(i))
		}
	}
	if err := l.opt.rescale(s.X, s.Shape, its.natural); err != nil {
		return nil, err
	}
	return s, s.Check()
}

// read returns a file's bytes and remembers their hash under the given name. Devices are refused: they have no end.
func (l *loader) read(path, name string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	tooLarge := &Error{File: path, Why: fmt.Sprintf("the file exceeds the limit of %d bytes", l.limit), Err: ErrLimit}
	switch {
	case info.Mode()&os.ModeDevice != 0 || info.IsDir():
		return nil, &Error{File: path, Why: "neither a file nor a folder of pictures", Err: ErrUnsupported}
	case info.Size() > l.limit:
		return nil, tooLarge
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	defer f.Close()
	var b []byte
	if info.Mode().IsRegular() && info.Size() > 0 {
		b = make([]byte, 0, info.Size()+1)
	}
	if b, err = readAll(f, b, l.limit); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if int64(len(b)) > l.limit {
		return nil, tooLarge
	}
	sum := sha256.Sum256(b)
	l.sums = append(l.sums, hex.EncodeToString(sum[:])+"  "+name+"\n")
	return b, nil
}

// readAll appends what r holds to b, at most limit+1 bytes.
func readAll(r io.Reader, b []byte, limit int64) ([]byte, error) {
	for {
		b = slices.Grow(b, 1)
		n, err := r.Read(b[len(b):min(int64(cap(b)), limit+1)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF || int64(len(b)) > limit:
			return b, nil
		case err != nil:
			return b, err
		}
	}
}

// hash returns the set's hash; see Set.Hash.
func (l *loader) hash() string {
	if len(l.sums) == 1 {
		return l.sums[0][:2*sha256.Size]
	}
	sum := sha256.Sum256([]byte(strings.Join(l.sums, "")))
	return hex.EncodeToString(sum[:])
}
