// Package robust says how robust a classifier is: at one input and one radius (Decide), on a data set and several radii
// (Evaluate), and up to which radius (Radius).
//
// An input is robust at radius ε when no valid input within ε of it makes another class score at least as much as its label: a
// tie counts as misclassified. Every answer has one of four verdicts. Holds was proved by package verify; Violated comes with an
// input that was replayed; Unknown and Timeout are neither, and are counted as neither: the share of inputs that hold is a lower
// bound on the robust accuracy, the share that no attack broke an upper one.
package robust

import (
	"errors"

	"github.com/spai-project/certify/verify"
)

// ErrInput is wrapped by errors about inputs, labels and options that do not fit the network.
var ErrInput = errors.New("robust: input")

// ErrUnattackable is wrapped by errors about a network that can neither be verified nor attacked with what there is.
var ErrUnattackable = errors.New("robust: no attack works on this network")

// A Verdict is one of verify's, spelled for questions about robustness: holds, violated, unknown and timed-out.
type Verdict verify.Verdict

// The verdicts.
const (
	Unknown  = Verdict(verify.Unknown)
	Holds    = Verdict(verify.Holds)
	Violated = Verdict(verify.Violated)
	Timeout  = Verdict(verify.Timeout)
)

var words = [...]string{"unknown", "holds", "violated", "timed-out"}

func (v Verdict) String() string { return words[v] }

// MarshalText implements encoding.TextMarshaler.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(words[v]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Verdict) UnmarshalText(b []byte) error {
	for k, w := range words {
		if w == string(b) {
			*v = Verdict(k)
			return nil
		}
	}
	return errors.New("robust: unknown verdict " + string(b))
}
