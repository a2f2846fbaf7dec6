package robust

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
)

// Schema names the records of Evaluate.
const Schema = "certify.eval/1"

// A Record is what Evaluate found about one item of a data set: one line of a results file. Times apart, it is a function of the
// model, the data, the options and the seed as long as no time limit is met.
type Record struct {
	Index   int     `json:"index"` // in the data set as it was given
	Name    string  `json:"name"`
	Label   int     `json:"label"`
	Pred    int     `json:"pred"`   // the class with the largest score, the first of equal ones
	Clean   bool    `json:"clean"`  // no other class scores as much as the label
	Margin  float64 `json:"margin"` // the label's score less the best other one, in float64
	Eps     []At    `json:"eps"`    // by increasing radius
	Seconds float64 `json:"seconds"`
	// X is the item and Adversarial the closest counterexample found, of the first Options.Pictures items that were broken at some
	// radius or not decided.
	X           Vector `json:"x,omitempty"`
	Adversarial Vector `json:"adversarial,omitempty"`
}

// At is the answer at one radius.
type At struct {
	Eps     float64 `json:"eps"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"`
	// By is what decided ("input", "attack NAME", "search", "proof", "bound NAME"), From the radius it decided at where that is another one.
	By   string   `json:"by,omitempty"`
	From *float64 `json:"from,omitempty"`
	// Distance and Class are those of the counterexample; AnyOrder is true when every binary32 execution misclassifies it, Replayed
	// when it was only replayed and not shown by rigorous evaluation.
	Distance *float64 `json:"distance,omitempty"`
	Class    *int     `json:"class,omitempty"`
	AnyOrder bool     `json:"any_order,omitempty"`
	Replayed bool     `json:"replayed,omitempty"`
	// Bound is the lower bound on the label's lead that an undecided search reached.
	Bound   *float64 `json:"bound,omitempty"`
	Seconds float64  `json:"seconds"`
}

// A Vector is a list of float32 numbers, in JSON the base64 of their little-endian bytes: exact and short.
type Vector []float64

// MarshalText implements encoding.TextMarshaler.
func (v Vector) MarshalText() ([]byte, error) {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
	}
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Vector) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil || len(b)%4 != 0 {
		return errors.New("robust: no list of float32 numbers")
	}
	*v = make(Vector, len(b)/4)
	for i := range *v {
		(*v)[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return nil
}

// A Row counts the answers at one radius. Broken, Certified and Undecided add up to Items.
type Row struct {
	Eps       float64 `json:"eps"`
	Items     int     `json:"items"`
	Clean     int     `json:"clean"`     // classified as their labels
	Broken    int     `json:"broken"`    // with a counterexample, those misclassified as they are included
	Certified int     `json:"certified"` // proved
	Undecided int     `json:"undecided"`
	TimedOut  int     `json:"timed_out"` // of the undecided
	Seconds   float64 `json:"seconds"`   // spent at this radius, all workers together
}

// CleanAccuracy is the share of items classified as their labels.
func (r *Row) CleanAccuracy() float64 { return share(r.Clean, r.Items) }

// Attacked is the share that no attack broke: an upper bound on the robust accuracy.
func (r *Row) Attacked() float64 { return share(r.Items-r.Broken, r.Items) }

// CertifiedAccuracy is the share that was proved: a lower bound on the robust accuracy.
func (r *Row) CertifiedAccuracy() float64 { return share(r.Certified, r.Items) }

func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// Summary counts records by radius, in increasing order. All records must have the same radii.
func Summary(records []*Record) []Row {
	var rows []Row
	for _, r := range records {
		if rows == nil {
			rows = make([]Row, len(r.Eps))
		}
		for k := range min(len(rows), len(r.Eps)) {
			rows[k].add(r, &r.Eps[k])
		}
	}
	return rows
}

func (w *Row) add(r *Record, a *At) {
	w.Eps = a.Eps
	w.Items++
	w.Seconds += a.Seconds
	if r.Clean {
		w.Clean++
	}
	switch a.Verdict {
	case Violated:
		w.Broken++
	case Holds:
		w.Certified++
	case Timeout:
		w.TimedOut++
		w.Undecided++
	default:
		w.Undecided++
	}
}
