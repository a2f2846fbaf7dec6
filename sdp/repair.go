package sdp

import "errors"

// errRepair says that no shift made a matrix semidefinite: its entries are not finite or too large.
var errRepair = errors.New("sdp: no dual solution could be proved")

// repair returns a small δ for which prove(δ) is true: from start it grows fourfold until it is, and is then narrowed in steps. The
// proof is prove's; repair only chooses what to ask.
func repair(start float64, steps int, prove func(delta float64) bool) (float64, error) {
	lo, hi := 0.0, start
	for i := 0; !prove(hi); i++ {
		if i == 100 {
			return 0, errRepair
		}
		lo, hi = hi, hi*4
	}
	for range steps {
		mid := (lo + hi) / 2
		if prove(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi, nil
}
