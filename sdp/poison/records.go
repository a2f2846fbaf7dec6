package poison

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/spai-project/certify/nn/data"
)

// RecordsFormat is the first field of a file of Records.
const RecordsFormat = "certify.poison.records/1"

// The methods that certify items one by one.
const (
	MethodVotes      = "dpa"
	MethodFlips      = "label-flip"
	MethodNeighbours = "knn"
)

// Parameters say how a classifier is trained that withstands poison. Fields of other methods are ignored.
type Parameters struct {
	Method    string  `json:"method"`
	Classes   int     `json:"classes"`              // labels are in [0, Classes)
	Pair      [2]int  `json:"pair,omitzero"`        // label-flip: the classes that become −1 and +1
	K         int     `json:"k,omitempty"`          // knn: neighbours
	Models    int     `json:"models,omitempty"`     // dpa
	Copies    int     `json:"copies,omitempty"`     // dpa: models that train on each bucket
	FlipsOnly bool    `json:"flips_only,omitempty"` // dpa: buckets do not depend on labels
	Ridge     float64 `json:"ridge,omitempty"`      // dpa, label-flip
	Flip      float64 `json:"flip,omitempty"`       // label-flip: probability of the smoothing; 0 without
	Seed      uint64  `json:"seed,omitempty"`       // dpa with copies
}

// Assumptions are what the statement about an item rests on, in sentences for its readers.
func (p *Parameters) Assumptions() []string {
	classes := fmt.Sprintf("there are %d classes, whatever the data: an item with another label is an error, not an item", p.Classes)
	constant := "how values are scaled does not depend on the data"
	switch p.Method {
	case MethodVotes:
		counts := "a changed item, or label, is one deleted and one inserted"
		if p.FlipsOnly {
			counts = "a flipped label is one change; a changed item is one deleted and one inserted"
		}
		return []string{classes, constant, counts,
			"models are trained by this program on processors that round and order sums as this one does"}
	case MethodFlips:
		out := []string{"the attacker changes labels to the other one of the two classes; items themselves, and how many there are, stay"}
		if p.Flip > 0 {
			out = append(out, fmt.Sprintf("every label is flipped at random with probability %v before training, and the answer is the "+
				"class that comes out most often", p.Flip))
		}
		return out
	}
	return []string{classes, constant, "a changed item is one deleted and one inserted"}
}

// A Record is what is certain about the answer for one item: so many flips, or so many insertions and deletions in any mixture,
// cannot change it. −1 says that nothing is certain, not even without poison.
type Record struct {
	Class   int `json:"class"`
	Label   int `json:"label"` // −1 without
	Flips   int `json:"flips"`
	Changes int `json:"changes"`
}

// Records are a certificate for each item of a test set.
type Records struct {
	Format     string     `json:"format"`
	Parameters Parameters `json:"parameters"`
	Train      SetRecord  `json:"train"`
	Test       SetRecord  `json:"test"`
	Items      []Record   `json:"items"`
}

// A SetRecord names a data set by what is in it.
type SetRecord struct {
	Spec   string `json:"spec"`
	Items  int    `json:"items"`
	SHA256 string `json:"sha256"`
}

// NewSetRecord hashes the numbers of a set: the size of an item and the number of items as 8 bytes, then for every item its
// label (−1 without) as 8 bytes and its values as float64, all little-endian.
func NewSetRecord(spec string, s *data.Set) SetRecord {
	h := sha256.New()
	buf := binary.LittleEndian.AppendUint64(nil, uint64(s.Dim()))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(s.Len()))
	h.Write(buf)
	for i := range s.Len() {
		buf = binary.LittleEndian.AppendUint64(buf[:0], uint64(label(s, i)))
		for _, v := range s.Item(i) {
			buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v))
		}
		h.Write(buf)
	}
	return SetRecord{spec, s.Len(), hex.EncodeToString(h.Sum(nil))}
}

// label returns the label of an item, −1 without one.
func label(s *data.Set, i int) int {
	if s.Labels == nil {
		return -1
	}
	return s.Labels[i]
}

// Certify trains and certifies every item of test. For label-flip both sets must hold the pair of classes alone. progress is
// called from time to time, one call at a time, unless it is nil. When ctx ends, the items up to the first that was not
// finished are returned with its error.
func Certify(ctx context.Context, train, test *data.Set, p Parameters, workers int,
	progress func(what string, done, total int)) (*Records, error) {
	if train.Dim() != test.Dim() {
		return nil, fmt.Errorf("poison: training items have %d values, test items %d", train.Dim(), test.Dim())
	}
	if err := train.Check(); err != nil {
		return nil, fmt.Errorf("poison: %w", err)
	}
	if err := test.Check(); err != nil {
		return nil, fmt.Errorf("poison: %w", err)
	}
	r := &Records{Format: RecordsFormat, Parameters: p, Train: NewSetRecord("", train), Test: NewSetRecord("", test)}
	step := func(what string) func(done, total int) {
		return func(done, total int) {
			if progress != nil {
				progress(what, done, total)
			}
		}
	}
	var err error
	switch p.Method {
	case MethodVotes:
		err = r.votes(ctx, train, test, workers, step("models"))
	case MethodFlips:
		err = r.flips(ctx, train, test, workers, step("items"))
	case MethodNeighbours:
		err = r.neighbours(ctx, train, test, workers, step("items"))
	default:
		err = fmt.Errorf("poison: unknown method %q", p.Method)
	}
	for i := range r.Items {
		r.Items[i].Label = label(test, i)
	}
	return r, err
}

func (r *Records) votes(ctx context.Context, train, test *data.Set, workers int, progress func(done, total int)) error {
	p := r.Parameters
	e, err := TrainEnsemble(ctx, train, p.Classes, EnsembleOptions{Models: p.Models, Copies: p.Copies, FlipsOnly: p.FlipsOnly,
		Ridge: p.Ridge, Seed: p.Seed, Workers: workers, Progress: progress})
	if err != nil {
		return err
	}
	votes, err := e.Votes(ctx, test)
	if err != nil {
		return err
	}
	m := e.Spread.Buckets
	for i := range test.Len() {
		c, radius := e.Spread.Radius(votes[i*m:(i+1)*m], p.Classes)
		flips := radius
		if !p.FlipsOnly {
			flips /= 2 // one item goes, another comes
		}
		r.Items = append(r.Items, Record{Class: c, Flips: flips, Changes: radius})
	}
	return nil
}

func (r *Records) flips(ctx context.Context, train, test *data.Set, workers int, progress func(done, total int)) error {
	p := r.Parameters
	b, err := NewBinary(train, p.Pair)
	if err != nil {
		return err
	}
	l, err := NewLinear(b, p.Ridge, workers)
	if err != nil {
		return err
	}
	y := make([]int8, test.Len()) // labels play no part
	records, err := l.Certify(ctx, &Binary{D: test.Dim(), X: test.X, Y: y}, p.Flip, progress)
	for _, f := range records {
		if f.Class == 0 {
			break
		}
		rec := Record{Class: p.Pair[class(f.Class)], Flips: f.Exact, Changes: -1}
		if f.Smooth != nil {
			if rec.Flips = f.Smooth.Flips; f.Smooth.Positive != (f.Class > 0) {
				rec.Flips = -1 // the float64 sum disagrees with the exact one
			}
		}
		r.Items = append(r.Items, rec)
	}
	return err
}

func (r *Records) neighbours(ctx context.Context, train, test *data.Set, workers int, progress func(done, total int)) error {
	n, err := NewNeighbours(train, r.Parameters.K, r.Parameters.Classes)
	if err != nil {
		return err
	}
	out, err := n.CertifyAll(ctx, test, workers, progress)
	for _, s := range out {
		if s.Class < 0 {
			break
		}
		r.Items = append(r.Items, Record{Class: s.Class, Flips: s.Flips, Changes: s.Changes})
	}
	return err
}

// Check trains again and compares: it returns a *RefusedError unless the sets are those of the hashes and no item has another
// class or claims more than is found. The same code decides as in Certify: what is checked is the file, not the method.
func (r *Records) Check(ctx context.Context, train, test *data.Set, workers int,
	progress func(what string, done, total int)) error {
	for _, s := range []struct {
		what string
		want SetRecord
		got  SetRecord
	}{{"training", r.Train, NewSetRecord("", train)}, {"test", r.Test, NewSetRecord("", test)}} {
		if s.want.Items != s.got.Items || s.want.SHA256 != s.got.SHA256 {
			return refusef("the %s data are %d items with the SHA-256 %s, it names %d with %s", s.what, s.got.Items, s.got.SHA256,
				s.want.Items, s.want.SHA256)
		}
	}
	if len(r.Items) > test.Len() {
		return refusef("%d records for %d items", len(r.Items), test.Len())
	}
	again, err := Certify(ctx, train, test, r.Parameters, workers, progress)
	if err != nil {
		return err
	}
	for i, claim := range r.Items {
		found := again.Items[i]
		same := claim.Class == found.Class && claim.Label == found.Label
		if !same || claim.Flips > found.Flips || claim.Changes > found.Changes {
			return refusef("item %d: it claims %+v, found is %+v", i, claim, found)
		}
	}
	return nil
}

// Summary returns how many items have their label, and their radii, of flips or of changes, in ascending order with −1 for the
// others.
func (r *Records) Summary(flips bool) (right int, radii []int) {
	for _, rec := range r.Items {
		radius := rec.Changes
		if flips {
			radius = rec.Flips
		}
		if rec.Class == rec.Label {
			right++
		} else {
			radius = -1
		}
		radii = append(radii, radius)
	}
	slices.Sort(radii)
	return right, radii
}

// Write writes the records as one JSON object, an item a line.
func (r *Records) Write(w io.Writer) error {
	head := *r
	head.Items = []Record{}
	text, err := json.MarshalIndent(head, "", " ")
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	buf.Write(bytes.TrimSuffix(text, []byte("]\n}")))
	for i, rec := range r.Items {
		line, err := json.Marshal(rec)
		if err != nil {
			return err
		}
		if i > 0 {
			buf.WriteByte(',')
		}
		buf.WriteByte('\n')
		buf.Write(line)
	}
	buf.WriteString("\n]\n}\n")
	_, err = w.Write(buf.Bytes())
	return err
}

// ReadRecords reads Records, as strictly as Read.
func ReadRecords(r io.Reader) (*Records, error) {
	out := &Records{}
	if err := readObject(r, out); err != nil {
		return nil, err
	}
	switch {
	case out.Format != RecordsFormat:
		return nil, fmt.Errorf("poison: the format is %q, not %q", out.Format, RecordsFormat)
	case len(out.Items) == 0:
		return nil, errors.New("poison: the file has no records")
	}
	return out, nil
}
