package robust

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Log is a file of JSON lines: a header and one record for every item. Records are appended whole and reach the system at once,
// so that whatever stops the program loses at most the items it was at; the same run goes on from there.
type Log struct {
	Resumed bool // the file was there

	path   string
	f      *os.File
	header []byte
	lines  [][]byte
}

// A HeaderError says that a results file belongs to another run.
type HeaderError struct {
	Path  string
	Diffs []string // "options.eps: the file has [0.1], this run [0.2]"
}

func (e *HeaderError) Error() string {
	return fmt.Sprintf("robust: %s holds the results of another run: %s", e.Path, strings.Join(e.Diffs, "; "))
}

// A FormatError says that a results file makes no sense.
type FormatError struct {
	Path string
	Line int
	Why  string
}

func (e *FormatError) Error() string { return fmt.Sprintf("robust: %s:%d: %s", e.Path, e.Line, e.Why) }

// OpenLog opens a results file for appending, or makes it. The header of an existing file must agree with the given one, but for
// the fields whose dotted names are listed; if not, the error is a *HeaderError. An incomplete last line is cut off.
func OpenLog(path string, header any, ignore ...string) (*Log, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("robust: %w", err)
	}
	l := &Log{path: path, header: h}
	old, lines, whole, err := readLines(path)
	switch {
	case os.IsNotExist(err):
		if err := replace(path, h, nil); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		diffs, err := differences(old, h, ignore)
		if err != nil {
			return nil, &FormatError{path, 1, err.Error()}
		}
		if len(diffs) > 0 {
			return nil, &HeaderError{path, diffs}
		}
		l.Resumed, l.lines, l.header = true, lines, old
		if err := os.Truncate(path, whole); err != nil {
			return nil, fmt.Errorf("robust: %w", err)
		}
	}
	if l.f, err = os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0); err != nil {
		return nil, fmt.Errorf("robust: %w", err)
	}
	return l, nil
}

// Append writes one record. It is not safe for concurrent use.
func (l *Log) Append(record any) error {
	b, err := json.Marshal(record)
	if err == nil {
		_, err = l.f.Write(append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("robust: %s: %w", l.path, err)
	}
	l.lines = append(l.lines, b)
	return nil
}

// Close closes the file. With sorted, for a run that is complete, the records are put into the order of their index first.
func (l *Log) Close(sorted bool) error {
	if err := l.f.Close(); err != nil {
		return fmt.Errorf("robust: %w", err)
	}
	if !sorted {
		return nil
	}
	type keyed struct{ Index int }
	index := make(map[*byte]int, len(l.lines))
	for _, line := range l.lines {
		var k keyed
		if err := json.Unmarshal(line, &k); err != nil {
			return fmt.Errorf("robust: %w", err)
		}
		index[&line[0]] = k.Index
	}
	lines := slices.Clone(l.lines)
	slices.SortStableFunc(lines, func(a, b []byte) int { return cmp.Compare(index[&a[0]], index[&b[0]]) })
	return replace(l.path, l.header, lines)
}

// replace writes the file so that at every moment path holds either its old contents or all of the new ones.
func replace(path string, header []byte, lines [][]byte) (err error) {
	t, err := os.CreateTemp(filepath.Dir(path), ".certify-*")
	if err != nil {
		return fmt.Errorf("robust: %w", err)
	}
	defer func() {
		if err != nil {
			t.Close()
			os.Remove(t.Name())
			err = fmt.Errorf("robust: %w", err)
		}
	}()
	var b bytes.Buffer
	b.Write(header)
	b.WriteByte('\n')
	for _, l := range lines {
		b.Write(l)
		b.WriteByte('\n')
	}
	if _, err = t.Write(b.Bytes()); err != nil {
		return err
	}
	if err = t.Chmod(0o644); err != nil {
		return err
	}
	if err = t.Sync(); err != nil {
		return err
	}
	if err = t.Close(); err != nil {
		return err
	}
	return os.Rename(t.Name(), path)
}

// readLines returns the header and the records of a file, and the length of its complete lines.
func readLines(path string) (header []byte, lines [][]byte, whole int64, err error) {
	st, err := os.Stat(path)
	if err == nil && !st.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: fs.ErrInvalid}
	}
	if err != nil {
		return nil, nil, 0, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, 0, err
	}
	whole = int64(bytes.LastIndexByte(b, '\n') + 1)
	for line := range bytes.Lines(b[:whole]) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if !json.Valid(line) {
			n := len(lines) + 1
			if header != nil {
				n++
			}
			return nil, nil, 0, &FormatError{path, n, "no JSON; certify eval and certify radius write such files"}
		}
		if header == nil {
			header = line
		} else {
			lines = append(lines, line)
		}
	}
	if header == nil {
		return nil, nil, 0, &FormatError{path, 1, "the file holds no header; certify eval and certify radius write such files"}
	}
	return header, lines, whole, nil
}

// decodeAll decodes the log's records, whose indices must be below n.
func decodeAll[R indexed](l *Log, n int) ([]R, error) { return decodeLines[R](l.path, l.lines, n) }

func decodeLines[R indexed](path string, lines [][]byte, n int) ([]R, error) {
	out := make([]R, len(lines))
	for k, line := range lines {
		if line[0] != '{' {
			return nil, &FormatError{path, k + 2, "no JSON object"}
		}
		if err := json.Unmarshal(line, &out[k]); err != nil {
			return nil, &FormatError{path, k + 2, err.Error()}
		}
		if i := out[k].index(); i < 0 || i >= n {
			return nil, &FormatError{path, k + 2, fmt.Sprintf("item %d of a set of %d", i, n)}
		}
	}
	return out, nil
}

// differences compares two JSON objects field by field.
func differences(old, now []byte, ignore []string) ([]string, error) {
	a, b := map[string]string{}, map[string]string{}
	for _, side := range []struct {
		text []byte
		into map[string]string
	}{{old, a}, {now, b}} {
		var v map[string]json.RawMessage
		if err := json.Unmarshal(side.text, &v); err != nil {
			return nil, fmt.Errorf("the header is no object: %w", err)
		}
		flatten("", v, side.into)
	}
	var names, diffs []string
	for n := range a {
		names = append(names, n)
	}
	for n := range b {
		if _, ok := a[n]; !ok {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		if a[n] != b[n] && !slices.Contains(ignore, n) {
			diffs = append(diffs, fmt.Sprintf("%s: the file has %s, this run %s", n, cmp.Or(a[n], "none"), cmp.Or(b[n], "none")))
		}
	}
	return diffs, nil
}

func flatten(prefix string, v map[string]json.RawMessage, into map[string]string) {
	for k, raw := range v {
		var inner map[string]json.RawMessage
		if raw[0] == '{' && json.Unmarshal(raw, &inner) == nil {
			flatten(prefix+k+".", inner, into)
			continue
		}
		into[prefix+k] = string(raw)
	}
}
