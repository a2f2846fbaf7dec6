package evasion

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
)

// TestAutoStages: every stage of the ensemble exists, with the parameters it is given.
func TestAutoStages(t *testing.T) {
	for level, list := range autoStages {
		for _, s := range list {
			m, ok := Lookup(s.name)
			if !ok || m.Needs > level {
				t.Errorf("%v: stage %s is missing or needs more", level, s.name)
				continue
			}
			for key := range s.params {
				if !slices.ContainsFunc(m.Params, func(p Param) bool { return p.Name == key }) {
					t.Errorf("%s has no parameter %q", s.name, key)
				}
			}
		}
	}
}

// TestAutoLevels: the ensemble works with whatever the model shows, and finds what one of its members finds.
func TestAutoLevels(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for k := range 5 {
		b := newBinary(t, rng, 12)
		for _, model := range []any{b.model, access.OnlyScores(b.model), access.OnlyLabels(b.model)} {
			for _, n := range []Norm{Linf, L2} {
				d := b.distance(n)
				if r := attack(t, "auto", model, b.task(), Options{Norm: n, Eps: 1.3 * d, Seed: uint64(k)}); r.Status != Found {
					t.Errorf("%T %v: %v at 1.3 distances", model, n, r.Status)
				}
				if r := attack(t, "auto", model, b.task(), Options{Norm: n, Eps: 0.999 * d, Seed: uint64(k), Queries: 500}); r.Status != Failed {
					t.Errorf("%T %v: %v below the distance", model, n, r.Status)
				}
			}
		}
	}
	if _, err := mustMethod("auto").engine(nil, Options{Eps: math.Inf(1)}); err == nil {
		t.Error("a model without access is taken")
	}
}

func mustMethod(name string) *Method {
	m, ok := Lookup(name)
	if !ok {
		panic(name)
	}
	return m
}
