package poison

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// Format is the first field of a certificate file.
const Format = "certify.poison/1"

// MaxBytes bounds a certificate file: more is refused unread.
const MaxBytes = 64 << 20

// A Vector is written in JSON as the base64 of its float64 bits, little-endian.
type Vector []float64

// MarshalJSON implements json.Marshaler.
func (v Vector) MarshalJSON() ([]byte, error) {
	buf := make([]byte, 0, 8*len(v))
	for _, x := range v {
		buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(x))
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(buf))
}

// UnmarshalJSON implements json.Unmarshaler. Every value must be finite.
func (v *Vector) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	buf, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return err
	}
	if len(buf)%8 != 0 {
		return fmt.Errorf("an array of %d bytes is not made of 8-byte numbers", len(buf))
	}
	out := make(Vector, len(buf)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(buf[8*i:]))
		if out[i]-out[i] != 0 {
			return fmt.Errorf("element %d is %v", i, out[i])
		}
	}
	*v = out
	return nil
}

// A Certificate says that the training of a linear classifier withstands poison; Assumptions says in what sense.
type Certificate struct {
	Format      string      `json:"format"`
	Data        DataRecord  `json:"data"`
	Filter      FilterForm  `json:"defence"`
	Epsilon     float64     `json:"epsilon"`
	NormSquared float64     `json:"norm_squared"`
	Bound       float64     `json:"bound"` // claimed: U(θ) is at most this
	Theta       Vector      `json:"theta"` // w, then b
	Multipliers [2]PairForm `json:"multipliers"`
	// Attack is what the search's attack reached; it is a report, and Check does not vouch for it.
	Attack *AttackRecord `json:"attack,omitempty"`
}

// A DataRecord names the clean training data.
type DataRecord struct {
	Spec    string `json:"spec"`
	Classes [2]int `json:"classes"` // that became −1 and +1
	Items   int    `json:"items"`
	Dim     int    `json:"dim"`
	SHA256  string `json:"sha256"` // Binary.Hash
}

// A FilterForm is a Filter as it is written: what is absent is null.
type FilterForm struct {
	Moving        bool        `json:"moving,omitempty"`
	SpherePercent float64     `json:"sphere_percent,omitempty"`
	SlabPercent   float64     `json:"slab_percent,omitempty"`
	Low           *float64    `json:"low,omitempty"`
	High          *float64    `json:"high,omitempty"`
	Centroid      [2]Vector   `json:"centroids"`
	Radius        *[2]float64 `json:"radii,omitempty"`
	Width         *[2]float64 `json:"widths,omitempty"`
}

// A PairForm is a pair of Multipliers as it is written.
type PairForm struct {
	Slab   float64 `json:"slab"`
	Sphere float64 `json:"sphere"`
}

// An AttackRecord is what an attack reached.
type AttackRecord struct {
	Iterates []int   `json:"iterates"` // of the search, whose worst items were added
	Copies   []int   `json:"copies"`
	Seed     uint64  `json:"seed"`
	Total    float64 `json:"total"` // (clean + poisoned loss)/n after retraining
	Clean    float64 `json:"clean"`
	Gap      float64 `json:"gap"` // bound − total
}

// Assumptions are what the statement about a filter rests on, in sentences for its readers.
func (f *Filter) Assumptions() []string {
	centroids := "the defence knows the centroids and radii of the clean data (oracle), and the attacker cannot move them"
	if f.Moving {
		centroids = "the defence knows the radii of the clean data (oracle); its centroids are those of clean and poisoned data " +
			"that it leaves: it removes items, and takes centroids again, until all poisoned items that are left pass; an item that it " +
			"removes moves no centroid"
	}
	return []string{
		"the bound is on the mean hinge loss on the clean training data; it says nothing about test data by itself",
		"the classifier minimises the mean hinge loss on what the defence leaves, under the stated bound on ‖(w, b)‖",
		centroids,
		"the attacker adds items, at most ε times the clean ones, and changes none; training keeps every clean item",
	}
}

// Assumptions are those of the certificate's defence.
func (c *Certificate) Assumptions() []string { return (&Filter{Moving: c.Filter.Moving}).Assumptions() }

// room is the relative margin that a claim leaves for the rounding of Check.
const room = 1e-9

// Certificate returns what a search found as a certificate. attack may be nil.
func (s *Search) Certificate(spec string, classes [2]int, b *Binary, f *Filter, o Options, attack *Attack) (*Certificate, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if s.Iterations == 0 || math.IsInf(s.Bound, 0) {
		return nil, errors.New("poison: the search was stopped before its first bound")
	}
	c := &Certificate{
		Format: Format, Epsilon: o.Epsilon, NormSquared: o.NormSquared, Theta: s.Theta,
		Data:   DataRecord{spec, classes, b.Len(), b.D, b.Hash()},
		Filter: f.form(),
	}
	for k, m := range s.Multipliers {
		c.Multipliers[k] = PairForm(m)
	}
	if n := sumSquaresUp(c.Theta); !(n <= c.NormSquared) {
		return nil, fmt.Errorf("poison: ‖θ‖² may be %v, above %v", n, c.NormSquared)
	}
	// The search adds in float32; what is claimed is what the checker will find, and a little.
	if c.Bound, err = c.evaluate(b, f); err != nil {
		return nil, err
	}
	c.Bound *= 1 + room
	if attack != nil {
		c.Attack = &AttackRecord{Iterates: attack.Iterates, Copies: attack.Copies, Seed: o.Seed, Total: attack.Total,
			Clean: attack.Clean, Gap: c.Bound - attack.Total}
	}
	return c, nil
}

// form writes a filter.
func (f *Filter) form() FilterForm {
	out := FilterForm{Moving: f.Moving, SpherePercent: f.SpherePercent, SlabPercent: f.SlabPercent,
		Centroid: [2]Vector{f.Centroid[0], f.Centroid[1]}}
	if !math.IsInf(f.Low, 0) {
		out.Low = &f.Low
	}
	if !math.IsInf(f.High, 0) {
		out.High = &f.High
	}
	if f.SpherePercent > 0 {
		out.Radius = &f.Radius
	}
	if f.SlabPercent > 0 {
		out.Width = &f.Width
	}
	return out
}

// filter reads a filter.
func (f *FilterForm) filter() (*Filter, error) {
	inf := math.Inf(1)
	out := &Filter{Moving: f.Moving, SpherePercent: f.SpherePercent, SlabPercent: f.SlabPercent, Low: -inf, High: inf,
		Centroid: [2][]float64{f.Centroid[0], f.Centroid[1]}, Radius: [2]float64{inf, inf}, Width: [2]float64{inf, inf}}
	if f.Low != nil {
		out.Low = *f.Low
	}
	if f.High != nil {
		out.High = *f.High
	}
	if (f.Radius != nil) != (f.SpherePercent > 0) || (f.Width != nil) != (f.SlabPercent > 0) {
		return nil, errors.New("poison: radii and percentiles of the defence do not go together")
	}
	if f.Radius != nil {
		out.Radius = *f.Radius
	}
	if f.Width != nil {
		out.Width = *f.Width
	}
	return out, out.valid()
}

// Write writes a certificate as one JSON object.
func (c *Certificate) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(c)
}

// Read reads a certificate. Files over MaxBytes, with unknown fields, with anything behind the object or with numbers that are
// not finite are errors. What it allocates is a small multiple of the file.
func Read(r io.Reader) (*Certificate, error) {
	c := &Certificate{}
	if err := readObject(r, c); err != nil {
		return nil, err
	}
	if c.Format != Format {
		return nil, fmt.Errorf("poison: the format is %q, not %q", c.Format, Format)
	}
	return c, nil
}

// readObject reads a file that is one JSON object with known fields.
func readObject(r io.Reader, object any) error {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return fmt.Errorf("poison: %w", err)
	}
	if len(text) > MaxBytes {
		return fmt.Errorf("poison: the certificate is larger than %d bytes", MaxBytes)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(object); err != nil {
		return fmt.Errorf("poison: the certificate is malformed: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("poison: the certificate is malformed: something follows its end")
	}
	return nil
}
