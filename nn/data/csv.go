package data

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A CSV file has one item a line: numbers between commas, semicolons or tabs, one of them the label. A first line of names is
// recognised by its first or last word. Quotation marks around a number are allowed; empty fields are not.

// A csvFile is what the lines of a file have in common.
type csvFile struct {
	sep    byte
	header []string // nil when the first line holds an item
	fields int
	label  int // column of the label, −1 for none
}

// readCSV reads the items of the span. Every line is checked, read or not.
func readCSV(b []byte, opt *Options, sp span, limit int64) (*items, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	var f csvFile
	out := &items{}
	for number := 1; len(b) > 0; number++ {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		b = rest
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if f.fields == 0 {
			if err := f.begin(line, opt); err != nil {
				err.Where = fmt.Sprintf("line %d", number)
				return nil, err
			}
			if f.header != nil {
				continue
			}
		}
		if err := f.item(line, out, sp.has(out.total)); err != nil {
			err.Where = strings.TrimSuffix(fmt.Sprintf("line %d, %s", number, err.Where), ", ")
			return nil, err
		}
		if int64(len(out.x)) > limit/8 {
			return nil, &Error{Why: fmt.Sprintf("the values exceed the limit of %d bytes", limit),
				Next: "take a range of items: [0:100]", Err: ErrLimit}
		}
		out.total++
	}
	if f.fields == 0 {
		return nil, &Error{Why: "the file is empty", Next: "write one item a line"}
	}
	d := f.fields
	if f.label >= 0 {
		d--
	}
	if d == 0 {
		return nil, &Error{Why: "the lines hold a label and no values", Next: "say that there is no label (--label-column none)"}
	}
	out.shape = []int{d}
	return out, nil
}

// begin learns from the first line: the separator, the names, the column of the label.
func (f *csvFile) begin(line []byte, opt *Options) *Error {
	f.sep = ','
	for _, c := range []byte{';', '\t'} {
		if bytes.Count(line, []byte{c}) > bytes.Count(line, []byte{f.sep}) {
			f.sep = c
		}
	}
	f.fields = bytes.Count(line, []byte{f.sep}) + 1
	word, _, _ := bytes.Cut(line, []byte{f.sep})
	first, last := csvField(word), csvField(line[bytes.LastIndexByte(line, f.sep)+1:])
	if csvName(first) || csvName(last) {
		f.header = make([]string, 0, f.fields)
		for w := range bytes.SplitSeq(line, []byte{f.sep}) {
			f.header = append(f.header, csvField(w))
		}
	}
	if first == "" && f.fields > 1 {
		return &Error{Why: "the first column has no name: it looks like the row numbers that pandas writes",
			Next: "write the file without them (index=False)"}
	}
	return f.labelColumn(opt)
}

// labelColumn decides which column holds the label; see Options.LabelColumn.
func (f *csvFile) labelColumn(opt *Options) *Error {
	want, known := volume(opt.Shape)
	known = known && opt.Shape != nil
	switch opt.LabelColumn {
	case "none":
		f.label = -1
		return nil
	case "first":
		return nil
	case "last":
		f.label = f.fields - 1
		return nil
	case "":
		f.label = slices.IndexFunc(f.header, func(name string) bool {
			return slices.Contains([]string{"label", "labels", "y", "class", "target"}, strings.ToLower(name))
		})
		if f.label < 0 && opt.Labels == "" && !(known && f.fields == want) {
			f.label = 0
		}
		return nil
	}
	if f.label = slices.Index(f.header, opt.LabelColumn); f.label < 0 {
		return &Error{Why: fmt.Sprintf("no column is named %q", opt.LabelColumn),
			Next: "say first, last, none or a name from the first line"}
	}
	return nil
}

// item reads one line; keep says whether its values are stored.
func (f *csvFile) item(line []byte, out *items, keep bool) *Error {
	if n := bytes.Count(line, []byte{f.sep}) + 1; n != f.fields {
		return &Error{Why: fmt.Sprintf("%d fields where the first line has %d", n, f.fields),
			Next: "every item needs the same number of values"}
	}
	for col := 0; col < f.fields; col++ {
		word, rest, _ := bytes.Cut(line, []byte{f.sep})
		line = rest
		text := csvField(word)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return &Error{Where: fmt.Sprintf("column %d", col+1),
				Why: fmt.Sprintf("%q is not a number", text[:min(len(text), 40)]), Err: err}
		}
		switch {
		case !keep:
		case col != f.label:
			out.x = append(out.x, v)
		case v != math.Trunc(v) || math.Abs(v) > math.MaxInt32:
			return &Error{Where: fmt.Sprintf("column %d", col+1), Why: fmt.Sprintf("the label %s is not a class number", text),
				Next: "say which column holds the label (--label-column first, last, none or its name)"}
		default:
			out.labels = append(out.labels, int(v))
		}
	}
	return nil
}

// csvField returns a field without white space and quotation marks around it.
func csvField(b []byte) string {
	s := strings.TrimSpace(string(b))
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	return s
}

// csvName reports whether a field is a name rather than a number or nothing.
func csvName(s string) bool {
	if s == "" {
		return false
	}
	_, err := strconv.ParseFloat(s, 64)
	letter := s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z' || s[0] == '_' || s[0] >= 0x80
	return err != nil && letter
}
