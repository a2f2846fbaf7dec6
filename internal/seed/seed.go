// Package seed derives independent reproducible random streams from one root seed.
//
// A run has one root; every consumer names its stream by a path ("attack", "pgd", "restart", "7"). Adding a consumer, or
// drawing more numbers in one place, therefore never shifts what another place draws, and the result does not depend on
// the number of workers as long as no worker's number is part of a path.
package seed

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// Stream returns the random stream of a root and a path: equal arguments give equal streams, different ones give streams
// that are independent for every practical purpose (ChaCha8 keyed by SHA-256). The path is hashed with the lengths of
// its parts, so ("ab","c") and ("a","bc") differ. The stream is not safe for concurrent use.
func Stream(root uint64, path ...string) *rand.Rand {
	return rand.New(rand.NewChaCha8(key(root, path)))
}

// Derive returns the root of a sub-tree of streams: what a component passes on when it hands out a plain number.
func Derive(root uint64, path ...string) uint64 {
	k := key(root, path)
	return binary.LittleEndian.Uint64(k[:8])
}

func key(root uint64, path []string) [32]byte {
	var n [8]byte
	h := sha256.New()
	binary.LittleEndian.PutUint64(n[:], root)
	h.Write(n[:])
	for _, p := range path {
		binary.LittleEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return [32]byte(h.Sum(nil))
}
