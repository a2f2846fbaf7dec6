package op

import (
	"math/rand/v2"
	"testing"
)

// TestExactOperators evaluates operators that are said to round nothing on binary32 numbers: binary32 must hold every result. It also
// finds names in the tables that no bounded operator has.
func TestExactOperators(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 32))
	seen := 0
	for name := range exact {
		s, ok := Lookup(name)
		if !ok || s.Lower == nil {
			t.Errorf("%s is no operator that is bounded", name)
			continue
		}
		for range 50 {
			ex := s.Example(r)
			for _, in := range ex.In {
				if in == nil || in.Type != Float32 {
					continue
				}
				for i := range in.Data {
					in.Data[i] = float64(float32(in.Data[i] + r.NormFloat64()*0.001))
				}
			}
			out, err := s.Eval(&ex.Node, ex.In)
			if err != nil {
				continue // a size that was changed
			}
			for _, o := range out {
				if o == nil || o.Type != Float32 {
					continue
				}
				for _, v := range o.Data {
					if seen++; float64(float32(v)) != v {
						t.Fatalf("%s computes %v from binary32 numbers", name, v)
					}
				}
			}
		}
	}
	for name := range sums {
		if s, ok := Lookup(name); !ok || s.Lower == nil || exact[name] {
			t.Errorf("%s is no operator that is bounded and rounds", name)
		}
	}
	if seen < 10000 {
		t.Errorf("%d results: too few to test much", seen)
	}
}

// TestUndeclared asks for the roundings of operators that have none.
func TestUndeclared(t *testing.T) {
	for _, s := range All() {
		_, err := s.Binary32(&Node{Type: s.Name}, nil)
		_, sum := sums[s.Name]
		if known := sum || exact[s.Name]; known != (err == nil) {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}
