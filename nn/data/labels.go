package data

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// readLabels reads a file of labels: one-dimensional IDX or .npy, or text with one label, or name and label, a line. names is
// nil unless the file has them.
func (l *loader) readLabels(path string) (names []string, labels []int, err error) {
	b, err := l.read(path, filepath.Base(path))
	if err != nil {
		return nil, nil, err
	}
	var a *array
	switch kindOf(b) {
	case kindIDX:
		a, err = parseIDX(b, l.limit)
	case kindNPY:
		a, err = parseNPY(b)
	case kindText:
		return textLabels(b)
	default:
		err = &Error{Why: "no file of labels",
			Next: "name an IDX or .npy file with one number an item, or text with one number a line", Err: ErrUnsupported}
	}
	if err == nil {
		labels, err = a.labels()
	}
	return nil, labels, err
}

// textLabels reads lines "label" or "name,label"; a first line whose last word is no number is a heading.
func textLabels(b []byte) (names []string, labels []int, err error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	named, seen := false, false
	for number := 1; len(b) > 0; number++ {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		b = rest
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		at := bytes.LastIndexByte(line, ',')
		v, err := strconv.ParseInt(csvField(line[at+1:]), 10, 32)
		switch {
		case err != nil && !seen && csvName(csvField(line[at+1:])):
		case err != nil:
			return nil, nil, &Error{Where: fmt.Sprintf("line %d", number), Why: "the line does not end with a class number",
				Err: err}
		case len(labels) > 0 && named != (at >= 0):
			return nil, nil, &Error{Where: fmt.Sprintf("line %d", number),
				Why: "some lines have a name before the label, some have not"}
		default:
			if named = at >= 0; named {
				names = append(names, csvField(line[:at]))
			}
			labels = append(labels, int(v))
		}
		seen = true
	}
	if labels == nil {
		return nil, nil, &Error{Why: "the file of labels is empty"}
	}
	return names, labels, nil
}

func labelCount(labels, items int) error {
	return &Error{Why: fmt.Sprintf("%d labels for %d items", labels, items), Next: "name the labels that belong to these items"}
}

// labelsBeside returns the file of labels that belongs to an IDX file by its name (images → labels, idx3 → idx1), compressed
// or not; "" when there is none.
func labelsBeside(path string) string {
	base := filepath.Base(path)
	name := strings.NewReplacer("images", "labels", "idx2", "idx1", "idx3", "idx1", "idx4", "idx1").Replace(base)
	if name == base {
		return ""
	}
	plain := filepath.Join(filepath.Dir(path), strings.TrimSuffix(name, ".gz"))
	for _, p := range [2]string{filepath.Join(filepath.Dir(path), name), plain} {
		if isFile(p) {
			return p
		}
	}
	if isFile(plain + ".gz") {
		return plain + ".gz"
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}
