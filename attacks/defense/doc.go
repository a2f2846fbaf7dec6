// Package defense holds defences of the literature as models to be attacked, the recipes that train robust networks, and what
// tells a robust model from one whose gradients are merely hidden.
//
// Most of the defences here are known to be broken: they make the search for a perturbation harder, not the perturbation rarer
// (Athalye, Carlini and Wagner, "Obfuscated gradients give a false sense of security: circumventing defenses to adversarial
// examples", 2018). They are targets on which an attack shows that it sees through rounding (access.BPDA), randomness
// (access.EOT) and saturation (losses other than cross-entropy). Every transform's Pull is its true derivative, so an attack that
// does not care is fooled as it would be elsewhere.
//
// Pictures have shape [C H W] and values in [0, 1].
package defense

import (
	"fmt"
	"math/rand/v2"
)

// size returns the number of values of a picture, or an error.
func size(what string, shape []int) (int, error) {
	if len(shape) != 3 || min(shape[0], shape[1], shape[2]) < 1 {
		return 0, fmt.Errorf("defense: %s: an input of shape %v, want a picture [channels height width]", what, shape)
	}
	return shape[0] * shape[1] * shape[2], nil
}

// random returns the stream of a draw.
func random(draw uint64) *rand.Rand { return rand.New(rand.NewPCG(draw, 0x6465666e)) }
