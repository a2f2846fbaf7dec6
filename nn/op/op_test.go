package op

import (
	"errors"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// lowered is an application turned into a program: x holds the variable inputs one after the other.
type lowered struct {
	x   []float64
	out []Value
	b   *prog.Builder
}

// lower lowers an example whose outputs are known; each variable input is a range of the program's input.
func lower(s *Spec, ex *Example, want []*Tensor) (*lowered, error) {
	l := &lowered{}
	for i, t := range ex.In {
		if t != nil && !ex.Const[i] {
			l.x = append(l.x, t.Data...)
		}
	}
	l.b = prog.NewBuilder(len(l.x))
	in := make([]Value, len(ex.In))
	at := 0
	for i, t := range ex.In {
		switch {
		case t == nil:
			in[i] = Value{Node: -1}
		case ex.Const[i]:
			in[i] = Value{Const: t, Shape: t.Shape}
		default:
			idx := iota32(len(t.Data))
			for j := range idx {
				idx[j] += int32(at)
			}
			at += len(t.Data)
			in[i] = Value{Node: l.b.Affine("in", len(idx), nil, 0, prog.Term{Src: 0, Map: prog.Index(len(l.x), idx)}), Shape: t.Shape}
		}
	}
	shapes := make([][]int, len(want))
	for i, t := range want {
		shapes[i] = t.Shape
	}
	out, err := s.Lower(&ex.Node, l.b, in, shapes)
	l.out = out
	return l, err
}

// values evaluates output i of the program at x.
func (l *lowered) values(t *testing.T, i int) []float64 {
	t.Helper()
	if c := l.out[i].Const; c != nil {
		return c.Data
	}
	p, err := l.b.Program(l.out[i].Node)
	if err != nil {
		t.Fatal(err)
	}
	return p.Eval(l.x, 1, nil)[l.out[i].Node]
}

// near reports whether a and b agree to 1e-9 of the scale.
func near(a, b, scale float64) bool { return a == b || math.Abs(a-b) <= 1e-9*max(1, scale) }

// compareLowered checks that the program computes what evaluation does.
func compareLowered(t *testing.T, s *Spec, ex *Example, want []*Tensor) {
	t.Helper()
	l, err := lower(s, ex, want)
	if err != nil {
		t.Fatalf("%+v: %v", ex.Node, err)
	}
	if len(l.out) != len(want) {
		t.Fatalf("%d outputs lowered, %d evaluated", len(l.out), len(want))
	}
	for i, w := range want {
		got := l.values(t, i)
		if len(got) != len(w.Data) || Size(l.out[i].Shape) != len(got) {
			t.Fatalf("%+v: output %d has %d elements, shape %v, want %v", ex.Node, i, len(got), l.out[i].Shape, w.Shape)
		}
		for k := range got {
			if !near(got[k], w.Data[k], math.Abs(w.Data[k])) {
				t.Fatalf("%+v: output %d[%d] = %g, want %g", ex.Node, i, k, got[k], w.Data[k])
			}
		}
	}
}

func TestConformance(t *testing.T) {
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			h := fnv.New64()
			h.Write([]byte(s.Name))
			r := rand.New(rand.NewPCG(h.Sum64(), 1))
			if s.Doc == "" {
				t.Error("no documentation")
			}
			for range 60 {
				ex := s.Example(r)
				out, err := s.Eval(&ex.Node, ex.In)
				if err != nil {
					t.Fatalf("%+v: %v", ex.Node, err)
				}
				for i, o := range out {
					if Size(o.Shape) != len(o.Data) || !finite(o.Data) {
						t.Fatalf("%+v: output %d of shape %v is inconsistent: %v", ex.Node, i, o.Shape, o.Data)
					}
				}
				if s.Lower != nil {
					compareLowered(t, s, &ex, out)
				}
			}
		})
	}
}

// TestLowerRefuses checks that uses without exact reduction are refused and not approximated.
func TestLowerRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	inf := &Tensor{Type: Float32, Shape: []int{3}, Data: []float64{1, math.Inf(1), 0}}
	two := &Tensor{Type: Float32, Shape: []int{}, Data: []float64{2}}
	ints := intTensor(1, 2, 3)
	x := randTensor(r, 2, 3)
	both := func(ex Example) Example {
		for i := range ex.Const {
			ex.Const[i] = false
		}
		return ex
	}
	for _, ex := range []Example{
		both(example("Clip", 13, nil, x, two, two)),
		both(example("PRelu", 13, nil, x, x)),
		both(example("Conv", 13, nil, randTensor(r, 1, 1, 3, 3), randTensor(r, 1, 1, 2, 2))),
		example("Pow", 13, nil, x, &Tensor{Type: Float32, Shape: []int{}, Data: []float64{0.5}}),
		example("Pow", 13, nil, x, &Tensor{Type: Float32, Shape: []int{3}, Data: []float64{1, 2, 3}}),
		example("Add", 13, nil, x, inf),
		example("Add", 13, nil, x, ints),
		example("Div", 13, nil, x, ints),
		example("Div", 13, nil, x, &Tensor{Type: Float32, Shape: []int{1}, Data: []float64{0}}),
		example("Cast", 13, map[string]Attr{"to": {I: int64(Int64)}}, x),
	} {
		s, _ := Lookup(ex.Node.Type)
		out, err := s.Eval(&ex.Node, ex.In)
		if err != nil {
			t.Errorf("%s: %v", ex.Node.Type, err)
			continue
		}
		_, err = lower(s, &ex, out)
		var u *UnsupportedError
		if !errors.As(err, &u) || u.Why == "" || u.Op != ex.Node.Type {
			t.Errorf("%s: got %v, want an UnsupportedError", ex.Node.Type, err)
		}
	}
}
