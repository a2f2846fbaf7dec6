package benchmarks

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// A Result is one finished instance, one line of a results file.
type Result struct {
	Suite   string  `json:"suite"`
	Model   string  `json:"onnx"`
	Query   string  `json:"vnnlib"`
	Limit   float64 `json:"timeout_s"` // the limit the tool was given
	Verdict string  `json:"verdict"`   // sat, unsat, unknown, timed-out, unsupported, or error
	Reason  string  `json:"reason,omitempty"`
	Wall    float64 `json:"wall_s"` // whole process, start included; where certificates are asked for, up to the answer; so the next two
	CPU     float64 `json:"cpu_s"`
	PeakMiB float64 `json:"peak_mib"`
	Exit    int     `json:"exit"`
	Error   string  `json:"error,omitempty"`
	Truth   string  `json:"truth,omitempty"`
	Dir     string  `json:"dir"`

	Margin        *float64 `json:"margin,omitempty"`
	WitnessMargin *float64 `json:"witness_margin,omitempty"`
	AnyOrder      bool     `json:"any_order,omitempty"`
	Checked       bool     `json:"checked,omitempty"`
	Branches      int      `json:"branches,omitempty"`
	Open          int      `json:"open,omitempty"`
	Load          float64  `json:"load_s,omitempty"`
	Steps         []string `json:"steps,omitempty"`
	Workers       int      `json:"workers,omitempty"`
	Args          []string `json:"args,omitempty"` // further arguments the tool was given
	Version       string   `json:"version,omitempty"`
	At            string   `json:"at,omitempty"` // start, RFC 3339
	Semantics     string   `json:"semantics,omitempty"`
	ProofLimit    float64  `json:"proof_timeout_s,omitempty"` // 0: no proof was asked for
	// Certificate is what became of the proof of an unsat, nil when none was asked for.
	Certificate *Certificate `json:"certificate,omitempty"`
	// Phases is what the tool said about its phases, as it came; see PhaseSeconds.
	Phases json.RawMessage `json:"phases,omitempty"`
}

// PhaseSeconds returns the seconds spent in each phase, nil when the tool did not say.
func (r *Result) PhaseSeconds() (map[string]float64, error) {
	if len(r.Phases) == 0 {
		return nil, nil
	}
	var m map[string]float64
	if err := json.Unmarshal(r.Phases, &m); err != nil {
		return nil, fmt.Errorf("benchmarks: %s %s: phases are not seconds by name: %w", r.Model, r.Query, err)
	}
	return m, nil
}

// check reports what makes a line no result.
func (r *Result) check() error {
	switch {
	case r.Suite == "" || r.Model == "" || r.Query == "":
		return errors.New("not a result: suite, onnx and vnnlib are needed")
	case !slices.Contains([]string{"sat", "unsat", "unknown", "timed-out", "unsupported", "error"}, r.Verdict):
		return fmt.Errorf("not a result: verdict %q", r.Verdict)
	case !(r.Limit > 0) || !(r.Wall >= 0):
		return fmt.Errorf("not a result: wall_s %g, timeout_s %g", r.Wall, r.Limit)
	}
	return nil
}

// Key identifies the instance, as Instance.Key.
func (r *Result) Key() string {
	i := Instance{Suite: r.Suite, Model: r.Model, Query: r.Query}
	return i.Key()
}

// Solved reports whether the result decides the instance within its limit.
func (r *Result) Solved() bool { return (r.Verdict == "sat" || r.Verdict == "unsat") && !r.Late() }

// Late reports whether the answer came after the limit.
func (r *Result) Late() bool { return r.Limit > 0 && r.Wall > r.Limit }

// ReadResults reads a results file; a missing file is empty. whole is the length of the part made of complete lines: a
// run that was killed while writing leaves half a line behind, which is not a result.
func ReadResults(path string) (all []Result, whole int64, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("benchmarks: %w", err)
	}
	return parseResults(path, data)
}

// parseResults reads the lines of a results file; path is for messages.
func parseResults(path string, data []byte) (all []Result, whole int64, err error) {
	r := bufio.NewReader(bytes.NewReader(data))
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return all, whole, nil
		}
		if len(bytes.TrimSpace(line)) > 0 {
			var res Result
			err := json.Unmarshal(line, &res)
			if err == nil {
				err = res.check()
			}
			if err != nil {
				return nil, 0, fmt.Errorf("benchmarks: %s:%d: %w", path, n, err)
			}
			all = append(all, res)
		}
		whole += int64(len(line))
	}
}

// appendTo opens a results file for appending after its whole lines.
func appendTo(path string, whole int64) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("benchmarks: %w", err)
	}
	if err = f.Truncate(whole); err == nil {
		_, err = f.Seek(whole, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("benchmarks: %w", err)
	}
	return f, nil
}
