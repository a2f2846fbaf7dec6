package main

import (
	"encoding/gob"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/spai-project/certify/nn/data"
)

// TestCheckpointHostile reads states of other sizes than they say: none is taken, and what they ask for is not allocated.
func TestCheckpointHostile(t *testing.T) {
	k := &checkpoint{path: filepath.Join(t.TempDir(), "state"), recipe: []byte("r"), epochs: 1, data: &data.Set{}}
	const size = 1 << 26 // a hole
	for _, h := range []header{
		{Magic: checkpointMagic, Sum: k.id(), Weights: size, Optimiser: size},
		{Magic: checkpointMagic, Sum: k.id(), Weights: -1, Optimiser: size / 4},
		{Magic: checkpointMagic, Sum: k.id(), Weights: 1 << 62, Optimiser: 1 << 62},
		{Magic: checkpointMagic, Sum: k.id(), Weights: 1<<63 - 1, Optimiser: 1},
	} {
		f, err := os.Create(k.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := gob.NewEncoder(f).Encode(h); err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		f.Close()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := k.read()
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%+v: a state of %d weights", h, len(s.Weights))
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%+v: %d bytes were allocated", h, n)
		}
	}
}
