package data

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A folder of PNG files is a data set: the pictures in the order of their names, byte by byte, labelled by the first of these
// that applies:
//   - a file of labels: Options.Labels, or labels.csv in the folder, with lines "name,label";
//   - sub-folders, one for each class: their names when all are whole numbers, else their positions in alphabetical order;
//   - names such as 7_0001.png, when all begin with a number and an underscore.

// A listing is what is in a folder.
type listing struct {
	files   []string // relative to the folder, slashes between
	labels  []int    // one for each file; nil when nothing says
	classes []string
}

// readFolder reads the pictures of the span.
func (l *loader) readFolder(dir string) (*items, error) {
	ls, err := listFolder(dir)
	if err != nil {
		return nil, err
	}
	path := l.opt.Labels
	if own := filepath.Join(dir, "labels.csv"); path == "" && isFile(own) {
		path = own
	}
	if path != "" {
		if ls.labels, err = l.folderLabels(path, ls.files); err != nil {
			return nil, inFile(err, path)
		}
		ls.classes = nil
	}
	from, to, err := l.span.resolve(len(ls.files))
	if err != nil {
		return nil, err
	}
	out := &items{total: len(ls.files), names: ls.files[from:to], classes: ls.classes}
	if ls.labels != nil {
		out.labels = ls.labels[from:to]
	}
	for _, name := range out.names {
		p, err := l.readPicture(filepath.Join(dir, filepath.FromSlash(name)), name)
		if err != nil {
			return nil, err
		}
		if out.shape == nil {
			out.shape, out.natural = p.shape, p.scale
		}
		switch {
		case !slices.Equal(out.shape, p.shape):
			return nil, &Error{Where: fmt.Sprintf("%q", name),
				Why:  fmt.Sprintf("the picture has shape %v, %q has %v", p.shape, out.names[0], out.shape),
				Next: "bring all pictures to one size and one number of channels"}
		case out.natural != p.scale:
			return nil, &Error{Where: fmt.Sprintf("%q", name),
				Why:  fmt.Sprintf("8 and 16 bits a channel are mixed (%q)", out.names[0]),
				Next: "save all pictures with the same depth"}
		}
		out.x = append(out.x, p.x...)
		if int64(len(out.x)) > l.limit/8 {
			return nil, &Error{Why: fmt.Sprintf("the pictures exceed the limit of %d bytes", l.limit),
				Next: "take a range of them: [0:100]", Err: ErrLimit}
		}
	}
	return out, nil
}

func (l *loader) readPicture(path, name string) (*picture, error) {
	b, err := l.read(path, name)
	if err != nil {
		return nil, err
	}
	p, err := readPNG(b, l.limit)
	return p, inFile(err, path)
}

// listFolder finds the pictures of a folder, or of its sub-folders.
func listFolder(dir string) (*listing, error) {
	files, dirs, err := visible(dir)
	if err != nil {
		return nil, err
	}
	ls := &listing{files: files}
	if len(files) > 0 {
		ls.labels, err = nameLabels(files)
		return ls, err // folders beside pictures hold something else
	}
	numbers, numbered := folderNumbers(dirs)
	for i, d := range dirs {
		files, _, err := visible(filepath.Join(dir, d))
		if err != nil {
			return nil, err
		}
		if len(files) == 0 && !numbered {
			return nil, &Error{Where: fmt.Sprintf("%q", d), Why: "the sub-folder has no PNG files; it would count as a class",
				Next: "remove it"}
		}
		for _, f := range files {
			ls.files = append(ls.files, d+"/"+f)
			ls.labels = append(ls.labels, numbers[i])
		}
	}
	if !numbered {
		ls.classes = dirs
	}
	if len(ls.files) == 0 {
		return nil, &Error{Why: "the folder has no PNG files, nor have its sub-folders",
			Next: "name a file inside it, or a folder of pictures"}
	}
	return ls, nil
}

// visible returns the PNG files and the sub-folders of a folder in alphabetical order, without those that begin with a dot.
func visible(dir string) (files, dirs []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("data: %w", err)
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, "."):
		case strings.EqualFold(filepath.Ext(name), ".png"):
			files = append(files, name)
		case e.IsDir():
			dirs = append(dirs, name)
		}
	}
	return files, dirs, nil
}

// folderNumbers returns the labels of sub-folders, and whether they are the names.
func folderNumbers(dirs []string) ([]int, bool) {
	labels := make([]int, len(dirs))
	for i, d := range dirs {
		v, err := strconv.ParseUint(d, 10, 31)
		if err != nil {
			for i := range labels {
				labels[i] = i
			}
			return labels, false
		}
		labels[i] = int(v)
	}
	return labels, true
}

// nameLabels reads labels from names such as 7_0001.png.
func nameLabels(files []string) ([]int, error) {
	var labels []int
	with, without := "", ""
	for _, f := range files {
		number, _, ok := strings.Cut(f, "_")
		v, err := strconv.ParseUint(number, 10, 31)
		if !ok || err != nil {
			without = f
			continue
		}
		with = f
		labels = append(labels, int(v))
	}
	if with != "" && without != "" {
		return nil, &Error{Why: fmt.Sprintf("%q begins with a label, %q does not", with, without),
			Next: "name all pictures alike, or write labels.csv with lines name,label"}
	}
	return labels, nil
}

// folderLabels reads the labels of the named files, by name or, from a file with one label a line, by position.
func (l *loader) folderLabels(path string, files []string) ([]int, error) {
	names, labels, err := l.readLabels(path)
	if err != nil || names == nil {
		if err == nil && len(labels) != len(files) {
			err = labelCount(len(labels), len(files))
		}
		return labels, err
	}
	byName := make(map[string]int, len(names))
	for i, name := range names {
		if _, ok := byName[name]; ok {
			return nil, &Error{Why: fmt.Sprintf("%q has two labels", name)}
		}
		byName[name] = labels[i]
	}
	out := make([]int, len(files))
	for i, f := range files {
		v, ok := byName[f]
		if !ok {
			return nil, &Error{Why: fmt.Sprintf("no label for %q", f), Next: "add a line name,label for every picture"}
		}
		out[i] = v
		delete(byName, f)
	}
	for _, name := range names {
		if _, left := byName[name]; left {
			return nil, &Error{Why: fmt.Sprintf("a label for %q, which is not in the folder", name),
				Next: "remove the line, or add the picture"}
		}
	}
	return out, nil
}
