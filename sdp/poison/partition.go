package poison

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"github.com/spai-project/certify/nn/data"
)

// partition puts every item of a set into a bucket by a hash of the item alone, so that adding or removing one leaves the others
// where they are, and brings every bucket into an order that is a function of its items: by hash, then by label. With labels, an
// item is its values and its label; without, a label that flips stays in its bucket (SS-DPA).
func partition(s *data.Set, buckets int, labels bool) [][]int {
	hashes := make([][sha256.Size]byte, s.Len())
	out := make([][]int, buckets)
	buf := make([]byte, 0, 8*(s.Dim()+1))
	for i := range s.Len() {
		buf = buf[:0]
		for _, v := range s.Item(i) {
			buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v))
		}
		if labels {
			buf = binary.LittleEndian.AppendUint64(buf, uint64(s.Labels[i]))
		}
		hashes[i] = sha256.Sum256(buf)
		b := binary.LittleEndian.Uint64(hashes[i][:8]) % uint64(buckets)
		out[b] = append(out[b], i)
	}
	for _, b := range out {
		slices.SortFunc(b, func(i, j int) int {
			if c := bytes.Compare(hashes[i][:], hashes[j][:]); c != 0 {
				return c
			}
			return s.Labels[i] - s.Labels[j]
		})
	}
	return out
}
