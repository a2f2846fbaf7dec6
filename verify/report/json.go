package report

import (
	"encoding/json"
	"io"
	"math"

	"github.com/spai-project/certify/verify"
)

// Schema names the JSON object that JSON writes.
const Schema = "certify.result/1"

// An Object is the certify.result/1 object. Numbers that are unknown are null.
type Object struct {
	Schema    string `json:"schema"`
	Verdict   string `json:"verdict"`
	Reason    string `json:"reason,omitempty"`
	Semantics string `json:"semantics"`
	Model     File   `json:"model"`
	Query     struct {
		File
		Version string `json:"version,omitempty"`
	} `json:"query"`
	Margin struct {
		Lower *float64 `json:"lower"`
		Upper *float64 `json:"upper"`
	} `json:"margin"`
	Time struct {
		Wall float64 `json:"wall"`
		CPU  float64 `json:"cpu,omitempty"`
		Load float64 `json:"load"`
		// Phases are seconds by phase, disjoint; their sum falls short of Wall by what belongs to none.
		Phases map[string]float64 `json:"phases,omitempty"`
	} `json:"time"`
	Strategy struct {
		Steps []string `json:"steps"`
	} `json:"strategy"`
	Search  Search  `json:"search"`
	Network Network `json:"network"`
	// Checked says that the kernel accepted the answer: the witness of sat, or a certificate of unsat, which Proof describes. When
	// it tried and did not, Unchecked says why.
	Checked   bool   `json:"checked"`
	Unchecked string `json:"unchecked,omitempty"`
	Proof     *Proof `json:"proof,omitempty"`
	// Decided is what had been used when the search had its answer, if the kernel was to check that afterwards.
	Decided *Used    `json:"decided,omitempty"`
	Witness *Witness `json:"witness"`
	Vacuous bool     `json:"vacuous"`
	PeakRSS int64    `json:"peak_rss,omitempty"`
	Tool    Tool     `json:"tool"`
	Seed    uint64   `json:"seed"`
}

// Search counts the work done.
type Search struct {
	Branches int `json:"branches"`
	Open     int `json:"open"`
	Closed   int `json:"closed"`
	// Volume is the fraction of the input set, or of the tree where ReLUs are split, that was proved, 0..1: 1 for unsat, left out
	// for sat. The boxes of a query with several count the same.
	Volume    *float64 `json:"volume,omitempty"`
	PeakBytes int64    `json:"peak_bytes,omitempty"`
}

// Network gives the sizes of the network as the search saw it.
type Network struct {
	Params   int `json:"params"`
	Relus    int `json:"relus"`
	Unstable int `json:"unstable"`
}

// Proof describes a certificate that the kernel accepted. Make and Check are seconds.
type Proof struct {
	Path   string  `json:"path,omitempty"` // left out if it was not written
	Bytes  int     `json:"bytes"`
	Leaves int     `json:"leaves"`
	Make   float64 `json:"make"`
	Check  float64 `json:"check"`
}

// Used is seconds and bytes since the start of the process.
type Used struct {
	Wall    float64 `json:"wall"`
	CPU     float64 `json:"cpu,omitempty"`
	PeakRSS int64   `json:"peak_rss,omitempty"`
}

// Witness is a counterexample in JSON.
type Witness struct {
	Case     int       `json:"case"`
	X        []float64 `json:"x"`
	Y        []float64 `json:"y"`
	Margin   *float64  `json:"margin"`
	AnyOrder bool      `json:"any_order"`
}

// NewObject returns the JSON form of r.
func NewObject(r *Run) *Object {
	res := r.Result
	o := &Object{Schema: Schema, Verdict: res.Verdict.String(), Reason: res.Reason, Semantics: r.Semantics, Model: r.Model,
		Checked: res.Checked, Vacuous: res.Vacuous, PeakRSS: r.PeakRSS, Tool: r.Tool, Seed: r.Seed,
		Search:  Search{Branches: res.Stats.Branches, Open: res.Stats.Open, Closed: res.Stats.Closed, PeakBytes: res.Stats.PeakBytes},
		Network: Network{res.Stats.Params, res.Stats.Relus, res.Stats.Unstable},
	}
	o.Query.File = r.Query
	if r.Problem != nil {
		o.Query.Version = r.Problem.Version
	}
	o.Time.Wall, o.Time.CPU, o.Time.Load = r.Wall.Seconds(), r.CPU.Seconds(), r.Load.Seconds()
	o.Time.Phases = res.Stats.Phases
	o.Strategy.Steps = append([]string{}, res.Strategy...)
	if res.Verdict != verify.Violated {
		o.Margin.Lower, o.Search.Volume = finite(res.Margin), finite(res.Stats.Volume)
	}
	if w := res.Witness; w != nil {
		o.Witness = &Witness{w.Case, w.X, w.Y, finite(w.Margin), w.AnyOrder}
	}
	o.Unchecked = r.Unchecked
	if c := r.Certificate; c != nil {
		o.Proof = &Proof{c.Path, len(c.Data), c.Leaves, c.Make.Seconds(), c.Check.Seconds()}
	}
	if d := r.Decided; d != nil {
		o.Decided = &Used{d.Wall.Seconds(), d.CPU.Seconds(), d.PeakRSS}
	}
	return o
}

// JSON writes r as one certify.result/1 object on one line.
func JSON(w io.Writer, r *Run) error { return json.NewEncoder(w).Encode(NewObject(r)) }

// finite returns nil for what JSON cannot hold.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}
