package robust

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/spai-project/certify/nn/data"
)

// A Header is the first line of a results file: everything that the records are a function of, and how they were asked for.
type Header struct {
	Schema  string `json:"schema"`
	Command string `json:"command"` // the command line
	Model   struct {
		Path    string `json:"path"`
		SHA256  string `json:"sha256"`
		Inputs  int    `json:"inputs"`
		Classes int    `json:"classes"`
		Params  int64  `json:"params"`
		// Cut is set where a final Softmax was left out, Unverifiable where nothing can be proved.
		Cut          bool   `json:"cut,omitempty"`
		Unverifiable string `json:"unverifiable,omitempty"`
	} `json:"model"`
	Data struct {
		Spec   string   `json:"spec"`
		SHA256 string   `json:"sha256"` // of the files
		Values string   `json:"values"` // SHA-256 of the items as the network sees them, with their labels
		Items  int      `json:"items"`
		Shape  []int    `json:"shape"`
		Names  []string `json:"classes,omitempty"` // of the classes
	} `json:"data"`
	Options struct {
		Eps       []float64 `json:"eps,omitempty"`
		EpsText   []string  `json:"eps_text,omitempty"` // as they were typed
		Norm      string    `json:"norm"`
		Lower     []float64 `json:"lower,omitempty"`
		Upper     []float64 `json:"upper,omitempty"`
		Unit      []float64 `json:"unit,omitempty"`
		Timeout   float64   `json:"timeout"` // seconds, 0: none
		Attacks   []string  `json:"attacks"`
		Verify    bool      `json:"verify"`
		Method    string    `json:"method,omitempty"`
		Bound     string    `json:"bound,omitempty"` // the one method that was asked
		Semantics string    `json:"semantics"`
		Memory    int64     `json:"memory,omitempty"`
		Pictures  int       `json:"pictures"`
		Seed      uint64    `json:"seed"`
	} `json:"options"`
	Tool struct {
		Version string `json:"version"`
		Commit  string `json:"commit,omitempty"`
		CPU     string `json:"cpu,omitempty"`
	} `json:"tool"`
	Workers int `json:"workers"` // that the run was started with
}

// HeaderMayDiffer lists the fields that a run may be continued with whatever they are.
var HeaderMayDiffer = []string{"command", "model.path", "data.spec", "data.sha256", "options.eps_text", "tool.cpu", "workers"}

// NewHeader describes a run of Evaluate, or of Radii with no radii, after a look at all of the data: its errors are those of the
// run. Schema, Command, Tool, Model.Path and Data.Spec are the caller's.
func (m *Model) NewHeader(set *data.Set, opt *EvalOptions) (*Header, error) {
	var s *solver
	var err error
	if opt.Bound != "" {
		var b *boundSolver
		if b, err = m.checkBound(set, opt); err == nil {
			s = b.solver
		}
	} else {
		s, err = m.checked(set, opt.Options)
	}
	if err != nil {
		return nil, err
	}
	h := &Header{Schema: Schema, Workers: opt.Workers}
	h.Model.SHA256, h.Model.Inputs, h.Model.Classes, h.Model.Params = m.Graph.Hash, m.Inputs(), m.Classes(), m.Graph.Params
	if h.Model.Cut = m.Cut; m.Unverifiable != nil {
		h.Model.Unverifiable = m.Unverifiable.Error()
	}
	h.Data.SHA256, h.Data.Values, h.Data.Items, h.Data.Shape, h.Data.Names = set.Hash, hashItems(set), set.Len(), set.Shape,
		set.Classes
	o := &h.Options
	o.Eps, o.Norm, o.Lower, o.Upper, o.Unit = opt.Eps, opt.Norm.String(), opt.Domain.Lower, opt.Domain.Upper, opt.Domain.Unit
	o.Timeout, o.Verify, o.Method, o.Memory, o.Bound = opt.Timeout.Seconds(), !opt.NoVerify, opt.Method, opt.Memory, opt.Bound
	o.Semantics, o.Pictures, o.Seed = m.Semantics.String(), opt.Pictures, opt.Seed
	o.Attacks = []string{}
	for _, a := range s.a.methods {
		o.Attacks = append(o.Attacks, a.text)
	}
	return h, nil
}

// Proves reports whether the run attempts proofs.
func (h *Header) Proves() bool {
	o := &h.Options
	return h.Model.Unverifiable == "" && (o.Bound != "" || o.Verify && o.Norm == "linf")
}

// hashItems is the SHA-256 of shape, values and labels.
func hashItems(set *data.Set) string {
	h := sha256.New()
	fmt.Fprintf(h, "%v %v\n", set.Shape, set.Labels)
	var b [8]byte
	for _, v := range set.X {
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(v))
		h.Write(b[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// ReadLog reads a results file of Evaluate. An incomplete last line, as a run that goes on may leave it, is left out.
func ReadLog(path string) (h *Header, records []*Record, err error) {
	head, lines, _, err := readLines(path)
	if err != nil {
		return nil, nil, err
	}
	h = new(Header)
	if err := json.Unmarshal(head, h); err != nil {
		return nil, nil, &FormatError{path, 1, err.Error()}
	}
	if h.Schema != Schema {
		return nil, nil, &FormatError{path, 1, fmt.Sprintf("the schema is %q, expected %s: certify eval writes such files", h.Schema,
			Schema)}
	}
	if records, err = decodeLines[*Record](path, lines, h.Data.Items); err != nil {
		return nil, nil, err
	}
	d := 1
	for _, n := range h.Data.Shape {
		d *= n
	}
	for k, r := range records {
		bad := ""
		switch {
		case len(r.Eps) != len(h.Options.Eps) || len(r.Eps) == 0:
			bad = fmt.Sprintf("%d radii where the header has %d", len(r.Eps), len(h.Options.Eps))
		case len(r.X) != 0 && len(r.X) != d, len(r.Adversarial) != 0 && len(r.Adversarial) != d:
			bad = fmt.Sprintf("the values of an item do not fill its shape %v", h.Data.Shape)
		}
		if bad != "" {
			return nil, nil, &FormatError{path, k + 2, strings.TrimSpace(bad)}
		}
	}
	return h, first(records), nil
}

// first keeps the first record of every index.
func first(records []*Record) []*Record {
	seen := map[int]bool{}
	var out []*Record
	for _, r := range records {
		if !seen[r.Index] {
			out = append(out, r)
		}
		seen[r.Index] = true
	}
	return out
}
