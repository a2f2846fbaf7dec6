package data

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
)

// An .npz file is a zip archive of .npy files; what numpy.savez calls x lies in x.npy.

// The names that arrays are looked for, first come first, when the caller gives none. Positional arrays of numpy.savez are
// arr_0 and arr_1; the latter holds labels only beside the former.
var (
	npzData   = []string{"x", "X", "images", "arr_0"}
	npzLabels = []string{"y", "Y", "labels"}
)

// parseNPZ reads the items, and the labels if there are any, from an .npz file.
func parseNPZ(b []byte, opt *Options, limit int64) (x, y *array, err error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, nil, &Error{Why: "the zip archive is damaged: " + err.Error(), Next: "copy or download it again", Err: err}
	}
	key := opt.Key
	if key == "" {
		for _, name := range npzData {
			if len(npzFind(z, name)) > 0 {
				key = name
				break
			}
		}
	}
	if key == "" || len(npzFind(z, key)) == 0 {
		return nil, nil, npzMissing(z, "items", key, npzData)
	}
	if x, err = npzRead(z, key, len(b), limit); err != nil {
		return nil, nil, err
	}
	labels, candidates := opt.LabelKey, npzLabels
	if key == "arr_0" {
		candidates = append(slices.Clone(npzLabels), "arr_1")
	}
	if labels == "" {
		for _, name := range candidates {
			if len(npzFind(z, name)) > 0 {
				labels = name
				break
			}
		}
	} else if len(npzFind(z, labels)) == 0 {
		return nil, nil, npzMissing(z, "labels", labels, candidates)
	}
	if labels != "" && opt.Labels == "" {
		y, err = npzRead(z, labels, len(b), limit)
	}
	return x, y, err
}

// npzFind returns the files of the archive that hold the named array.
func npzFind(z *zip.Reader, name string) []*zip.File {
	var found []*zip.File
	for _, f := range z.File {
		if f.Name == name+".npy" {
			found = append(found, f)
		}
	}
	return found
}

// npzMissing says which arrays there are instead.
func npzMissing(z *zip.Reader, what, key string, candidates []string) error {
	const shown = 10
	var names []string
	for _, f := range z.File {
		if name, ok := strings.CutSuffix(f.Name, ".npy"); ok && len(names) < shown {
			names = append(names, fmt.Sprintf("%q", name[:min(len(name), 60)]))
		}
	}
	if key != "" {
		candidates = []string{key}
	}
	e := &Error{Why: fmt.Sprintf("no array %s with %s; the archive has %s", strings.Join(candidates, ", "), what,
		strings.Join(names, ", ")),
		Next: "say which array to take (--key, --label-key), or save it under such a name"}
	if len(names) == 0 {
		e.Why, e.Next = fmt.Sprintf("a zip archive of %d files, none of which is .npy", len(z.File)), "write it with numpy.savez"
		e.Err = ErrUnsupported
	}
	return e
}

// npzRead decompresses and parses one array.
func npzRead(z *zip.Reader, name string, size int, limit int64) (*array, error) {
	found := npzFind(z, name)
	where := fmt.Sprintf("array %q", name)
	if len(found) > 1 {
		return nil, &Error{Where: where, Why: fmt.Sprintf("the archive has it %d times", len(found))}
	}
	f := found[0]
	switch n := f.UncompressedSize64; {
	case n > uint64(limit):
		return nil, &Error{Where: where, Why: fmt.Sprintf("%d bytes exceed the limit of %d", n, limit), Err: ErrLimit}
	case n > deflateRatio*uint64(size):
		return nil, &Error{Where: where, Why: fmt.Sprintf("%d bytes are declared, which an archive of %d bytes cannot hold",
			n, size)}
	}
	damaged := func(err error) error {
		return &Error{Where: where, Why: "the zip archive is damaged: " + err.Error(), Next: "copy or download it again",
			Err: err}
	}
	r, err := f.Open()
	if err != nil {
		return nil, damaged(err)
	}
	defer r.Close()
	b := make([]byte, f.UncompressedSize64)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, damaged(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF { // the checksum is compared at the end
		return nil, damaged(fmt.Errorf("array %q does not end where it should: %v", name, err))
	}
	a, err := parseNPY(b)
	if e, ok := err.(*Error); ok {
		e.Where = strings.TrimSuffix(where+", "+e.Where, ", ")
	}
	return a, err
}
