// Package benchmarks runs suites of verification instances and compares the answers with known ones.
//
// A suite is a folder with instances.csv (model, query, time limit in seconds) as VNN-COMP publishes them, and optionally
// truth.csv with the known answers. Every instance runs in a process of its own, so that its memory, its time and its
// crashes are its own; every finished instance is one JSON line, written at once, so that a run can be resumed.
package benchmarks

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// An Instance is one question of a suite. Model and Query are the names in instances.csv, relative to Dir.
type Instance struct {
	Suite, Dir   string
	Model, Query string
	Timeout      time.Duration
}

// Key identifies an instance within all suites.
func (i *Instance) Key() string { return i.Suite + "|" + i.Model + "|" + i.Query }

// Path returns where a file of the instance lies, with .gz appended when only the compressed file exists.
func (i *Instance) Path(name string) string {
	p := filepath.Join(i.Dir, filepath.FromSlash(name))
	if _, err := os.Stat(p); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(p + ".gz"); err == nil {
			return p + ".gz"
		}
	}
	return p
}

// Load reads a suite: path is its folder or its instances.csv. The suite is named after its folder.
func Load(path string) ([]Instance, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		path = filepath.Join(path, "instances.csv")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("benchmarks: %w", err)
	}
	defer f.Close()
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("benchmarks: %w", err)
	}
	dir := filepath.Dir(abs)
	r := csv.NewReader(f)
	r.TrimLeadingSpace = true
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("benchmarks: %s: %w", path, err)
	}
	var all []Instance
	for n, row := range rows {
		if len(row) < 3 {
			return nil, fmt.Errorf("benchmarks: %s: row %d has %d fields, want model,query,seconds", path, n+1, len(row))
		}
		s, err := strconv.ParseFloat(strings.TrimSpace(row[2]), 64)
		if err != nil || !(s > 0 && s < 1e8) {
			if n == 0 {
				continue // a heading
			}
			return nil, fmt.Errorf("benchmarks: %s: row %d: %q is not a time limit in seconds", path, n+1, row[2])
		}
		all = append(all, Instance{filepath.Base(dir), dir, name(row[0]), name(row[1]), time.Duration(s * float64(time.Second))})
	}
	return all, nil
}

// name strips what some suites put before a relative name.
func name(s string) string { return strings.TrimPrefix(strings.TrimSpace(s), "./") }
