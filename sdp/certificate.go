package sdp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/spai-project/certify/nn"
)

// Format names the certificate's format.
const Format = "certify.sdp2/1"

// A Certificate bounds by how much the differences of a network's scores can change within a ball in the norm L∞. It is a function of
// the network alone. It is safe for concurrent use once made.
type Certificate struct {
	Format  string `json:"format"`
	Network string `json:"network"` // nn.Graph.Hash
	Inputs  int    `json:"inputs"`
	Hidden  int    `json:"hidden"`
	Classes int    `json:"classes"`
	Pairs   []Pair `json:"pairs"` // every pair I > J once

	net *shallow
}

// A Pair says that |(f_I−f_J)(x') − (f_I−f_J)(x)| ≤ Bound·‖x'−x‖_∞ for all x and x'. That diag(C) − M is positive semidefinite is the
// proof; C has an entry for the constant, for each hidden unit, and for each input.
type Pair struct {
	I     int       `json:"i"`
	J     int       `json:"j"`
	C     []float64 `json:"c"`
	Bound float64   `json:"bound"`
}

// ErrCertificate is wrapped by errors about certificates that are not accepted.
var ErrCertificate = errors.New("sdp: certificate not accepted")

// Write writes the certificate as JSON. Numbers are written so that they are read back exactly.
func (c *Certificate) Write(w io.Writer) error { return json.NewEncoder(w).Encode(c) }

// maxNumber bounds the bytes that a number of a certificate takes in its file, with what is around it.
const maxNumber = 64

// errUnread is about certificates that neither TwoLayer nor Read made.
var errUnread = fmt.Errorf("%w: it has not been checked for a network", ErrCertificate)

// Read reads a certificate and accepts it for the network after CheckCertificate has; else the error wraps ErrCertificate, ErrShape
// or what r returned. It reads no more than a certificate of the network can be long.
func Read(r io.Reader, g *nn.Graph) (*Certificate, error) {
	s, err := readShallow(g)
	if err != nil {
		return nil, err
	}
	pairs := int64(s.k) * int64(s.k-1) / 2
	c := new(Certificate)
	d := json.NewDecoder(io.LimitReader(r, maxNumber*(16+pairs*int64(s.m+s.d+8))))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if err := CheckCertificate(c, g); err != nil {
		return nil, err
	}
	c.net = s
	return c, nil
}

// bound returns the proved bound of two classes.
func (c *Certificate) bound(i, j int) float64 {
	return c.Pairs[pairOf(i, j)].Bound
}

// Margins returns, for every other class, a lower bound on the label's lead over it in the ball of radius eps around x in the norm L∞,
// not clipped, in real arithmetic; +Inf for the label itself. A class with a positive entry cannot win. The error wraps ErrShape where
// x or label do not fit the network, ErrCertificate where c was made by neither TwoLayer nor Read.
func (c *Certificate) Margins(x []float64, label int, eps float64) ([]float64, error) {
	if c.net == nil {
		return nil, errUnread
	}
	if len(x) != c.Inputs || label < 0 || label >= c.Classes || !(eps >= 0) || math.IsInf(eps, 0) {
		return nil, fmt.Errorf("%w: %d inputs, label %d, radius %v", ErrShape, len(x), label, eps)
	}
	lo, hi := c.net.scores(x)
	out := make([]float64, c.Classes)
	for j := range out {
		if j == label {
			out[j] = math.Inf(1)
			continue
		}
		if out[j] = down(down(lo[label]-hi[j]) - shiftBound(eps, c.bound(label, j))); math.IsNaN(out[j]) {
			out[j] = math.Inf(-1)
		}
	}
	return out, nil
}

// MarginsBox is Margins for the box lo…hi around x, whose radius is the largest distance of an end from x.
func (c *Certificate) MarginsBox(x, lo, hi []float64, label int) ([]float64, error) {
	if len(lo) != len(x) || len(hi) != len(x) {
		return nil, fmt.Errorf("%w: %d inputs in a box of %d and %d", ErrShape, len(x), len(lo), len(hi))
	}
	eps := 0.0
	for i, v := range x {
		if lo[i] != v || hi[i] != v {
			eps = max(eps, up(hi[i]-v), up(v-lo[i])) // NaN stays
		}
	}
	return c.Margins(x, label, eps)
}
