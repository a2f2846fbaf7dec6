package data

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Set is a list of items of one shape, with or without labels.
type Set struct {
	// X holds the items one after the other, each row-major: Len()·Dim() values.
	X []float64
	// Labels holds one class for every item; nil when the data have none.
	Labels []int
	// Shape is the shape of one item: channels first for pictures ([1 28 28], [3 32 32]) and IDX files of gray pictures, as
	// stored for other arrays, [d] for vectors.
	Shape []int
	// Names says what the items are called in reports: the file's name, or the position in the file from 0.
	Names []string
	// Classes holds the names of the sub-folders that labels were numbered from; nil for other data.
	Classes []string
	// Hash is the SHA-256, in hexadecimal, of the file as stored. For several files (pictures and labels, a folder) it is that
	// of the lines "hash  name\n" in the order they were read, as sha256sum prints them for names inside the folder.
	Hash string
}

// Len returns the number of items.
func (s *Set) Len() int { return len(s.Names) }

// Dim returns the number of values of one item.
func (s *Set) Dim() int {
	d, _ := volume(s.Shape)
	return d
}

// Item returns the values of item i, which alias the set. It panics when there is no such item, as slices do.
func (s *Set) Item(i int) []float64 {
	d := s.Dim()
	return s.X[i*d : (i+1)*d : (i+1)*d]
}

// Slice returns the items from, …, to−1, which alias the set. It panics when there are no such items, as slices do. Hash stays
// that of the bytes read.
func (s *Set) Slice(from, to int) *Set {
	d := s.Dim()
	out := *s
	out.X, out.Names = s.X[from*d:to*d:to*d], s.Names[from:to:to]
	if s.Labels != nil {
		out.Labels = s.Labels[from:to:to]
	}
	return &out
}

// Select returns copies of the named items in the given order. It panics when there is no such item, as slices do.
func (s *Set) Select(items []int) *Set {
	out := *s
	out.X, out.Labels, out.Names = make([]float64, 0, len(items)*s.Dim()), nil, make([]string, 0, len(items))
	if s.Labels != nil {
		out.Labels = make([]int, 0, len(items))
	}
	for _, i := range items {
		out.X = append(out.X, s.Item(i)...)
		out.Names = append(out.Names, s.Names[i])
		if s.Labels != nil {
			out.Labels = append(out.Labels, s.Labels[i])
		}
	}
	return &out
}

// Check returns an error unless the set has items, X, Labels and Names agree in number, and every value is finite. Open has
// checked what it returns.
func (s *Set) Check() error {
	d, ok := volume(s.Shape)
	n := s.Len()
	switch {
	case n == 0 || d == 0:
		return &Error{Why: "the data set is empty", Next: "name a file, or a range of it, that holds at least one item"}
	case !ok || len(s.X)/d != n || len(s.X)%d != 0:
		return &Error{Why: fmt.Sprintf("%d values for %d items of shape %v", len(s.X), n, s.Shape)}
	case s.Labels != nil && len(s.Labels) != n:
		return &Error{Why: fmt.Sprintf("%d labels for %d items", len(s.Labels), n),
			Next: "name the labels that belong to these items"}
	}
	for k, v := range s.X {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return &Error{Where: s.where(k), Why: fmt.Sprintf("the value is %v; only finite numbers have a meaning here", v),
				Next: "remove the item, or write the data again"}
		}
	}
	return nil
}

// CheckLabels returns an error unless every item has a label in [0, classes). It names the first items that have not.
func (s *Set) CheckLabels(classes int) error {
	if s.Labels == nil {
		return &Error{Why: "the data have no labels", Next: "name a file of labels (--labels FILE)"}
	}
	const shown = 5
	var bad []string
	count := 0
	for i, l := range s.Labels {
		if l >= 0 && l < classes {
			continue
		}
		if count++; count <= shown {
			bad = append(bad, fmt.Sprintf("%s has %d", s.item(i), l))
		}
	}
	if count == 0 {
		return nil
	}
	list := strings.Join(bad, ", ")
	if count > shown {
		list += ", …"
	}
	return &Error{Why: fmt.Sprintf("%d of %d labels outside 0 … %d: %s", count, s.Len(), classes-1, list),
		Next: "check that the labels belong to this network, and that they count from 0"}
}

// CheckRange returns an error unless every value is in [lo, hi], without tolerance. It names the first that is not.
func (s *Set) CheckRange(lo, hi float64) error {
	first, count := -1, 0
	least, most := math.Inf(1), math.Inf(-1)
	for k, v := range s.X {
		least, most = min(least, v), max(most, v)
		if v >= lo && v <= hi {
			continue
		}
		if count++; count == 1 {
			first = k
		}
	}
	if count == 0 {
		return nil
	}
	e := &Error{Where: s.where(first),
		Next: "scale the values to the range (--scale, --mean, --std), or state the range they have",
		Why:  fmt.Sprintf("the value %v is outside [%v, %v], as %d of %d values are", s.X[first], lo, hi, count, len(s.X))}
	if hi <= 1 && least >= 0 && most > 1 && most <= 255 {
		e.Next = fmt.Sprintf("the values lie in [%v, %v] and look like bytes: --scale 1/255 brings them to [0, 1]", least, most)
	}
	return e
}

// item names item i for messages.
func (s *Set) item(i int) string {
	if name := s.Names[i]; name != strconv.Itoa(i) {
		return fmt.Sprintf("item %d (%q)", i, name)
	}
	return "item " + strconv.Itoa(i)
}

// where names the item and element of X[k].
func (s *Set) where(k int) string {
	d := s.Dim()
	return fmt.Sprintf("%s, element %d", s.item(k/d), k%d)
}
