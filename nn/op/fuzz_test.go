package op

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// hostile draws a number that an attribute or integer tensor of a malformed file may hold. Numbers are small or enormous:
// in between they would ask for as much memory as is allowed.
func hostile(r *rand.Rand) int64 {
	if r.IntN(6) > 0 {
		return int64(r.IntN(6)) - 1
	}
	return []int64{math.MaxInt64, math.MinInt64, 1 << 31, -1 << 31, 1 << 40, -7, 1 << 62, math.MinInt64 + 1}[r.IntN(8)]
}

var fuzzAttrs = []string{"axis", "axes", "pads", "strides", "dilations", "kernel_shape", "group", "output_padding", "output_shape",
	"auto_pad", "ceil_mode", "count_include_pad", "perm", "starts", "ends", "split", "num_outputs", "keepdims", "noop_with_empty_axes",
	"allowzero", "to", "transA", "transB", "alpha", "beta", "min", "max", "mode", "coordinate_transformation_mode", "nearest_mode",
	"scales", "blocksize", "value", "value_ints", "value_float", "shape", "start", "end", "reduction", "epsilon", "training_mode",
	"select_last_index", "spatial", "keep_aspect_ratio_policy"}

var fuzzStrings = []string{"", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "reflect", "edge", "wrap", "constant", "nearest", "linear",
	"asymmetric", "align_corners", "half_pixel_symmetric", "pytorch_half_pixel", "ceil", "floor", "add", "max", "CRD", "nonsense"}

func hostileAttr(r *rand.Rand) Attr {
	a := Attr{I: hostile(r), F: float64(float32(4*r.Float64() - 1)), S: fuzzStrings[r.IntN(len(fuzzStrings))]}
	switch r.IntN(20) {
	case 0:
		a.F = math.Inf(1)
	case 1:
		a.F = math.NaN()
	}
	for range r.IntN(6) {
		a.Is = append(a.Is, hostile(r))
		a.Fs = append(a.Fs, 4*r.Float64()-1)
	}
	if r.IntN(2) == 0 {
		a.T = hostileTensor(r)
	}
	return a
}

func hostileTensor(r *rand.Rand) *Tensor {
	t := &Tensor{Type: []DType{Float32, Float32, Int64, Bool, Float64, 0, 200}[r.IntN(7)], Shape: []int{}}
	for range r.IntN(6) {
		d := 1 + r.IntN(3)
		if r.IntN(12) == 0 {
			d = 0
		}
		t.Shape = append(t.Shape, d)
	}
	if r.IntN(3) == 0 {
		t.Shape = []int{r.IntN(5)}
	}
	t.Data = make([]float64, Size(t.Shape))
	for i := range t.Data {
		if t.Type == Int64 || r.IntN(3) == 0 {
			t.Data[i] = float64(hostile(r))
		} else {
			t.Data[i] = 4*r.Float64() - 2
		}
	}
	switch r.IntN(40) {
	case 0:
		t.Shape = append(t.Shape, 1<<40)
	case 1:
		t.Shape = append(t.Shape, -1)
	case 2:
		t.Data = append(t.Data, math.NaN())
	}
	return t
}

// mutate turns an example into something a malformed file could contain.
func mutate(r *rand.Rand, ex *Example) {
	attrs := map[string]Attr{}
	for k, v := range ex.Node.Attrs {
		if r.IntN(4) > 0 {
			attrs[k] = v
		}
	}
	var names []string
	for _, k := range fuzzAttrs {
		if _, ok := ex.Node.Attrs[k]; ok {
			names = append(names, k)
		}
	}
	names = append(names, fuzzAttrs[r.IntN(len(fuzzAttrs))])
	for range r.IntN(3) {
		attrs[names[r.IntN(len(names))]] = hostileAttr(r)
	}
	ex.Node.Attrs = attrs
	ex.Node.Outputs = r.IntN(4)
	if r.IntN(2) == 0 {
		ex.Node.Opset = 1 + r.IntN(22)
	}
	for i := range ex.In {
		switch r.IntN(8) {
		case 0:
			ex.In[i] = hostileTensor(r)
		case 1:
			if t := ex.In[i]; t != nil && len(t.Data) > 0 {
				c := *t
				c.Data = append([]float64{}, t.Data...)
				c.Data[r.IntN(len(c.Data))] = float64(hostile(r))
				ex.In[i] = &c
			}
		case 2:
			if r.IntN(4) == 0 {
				ex.In[i] = nil
			}
		}
	}
	for r.IntN(8) == 0 {
		ex.In, ex.Const = append(ex.In, hostileTensor(r)), append(ex.Const, r.IntN(2) == 0)
	}
	if n := len(ex.In); n > 0 && r.IntN(8) == 0 {
		ex.In, ex.Const = ex.In[:n-1], ex.Const[:n-1]
	}
}

// evalMutant evaluates a mutated example and, where that succeeds, compares its lowering. It reports what happened.
func evalMutant(t *testing.T, s *Spec, r *rand.Rand) (evaluated, bounded bool) {
	ex := s.Example(r)
	mutate(r, &ex)
	out, err := s.Eval(&ex.Node, ex.In)
	if err != nil {
		return false, false
	}
	for i, o := range out {
		if o != nil && Size(o.Shape) != len(o.Data) {
			t.Fatalf("%+v: output %d has shape %v and %d elements", ex.Node, i, o.Shape, len(o.Data))
		}
	}
	if s.Lower == nil || !lowerable(&ex) {
		return true, false
	}
	l, err := lower(s, &ex, out)
	if err != nil {
		if !errors.As(err, new(*UnsupportedError)) {
			t.Fatalf("%+v: evaluated, but not lowered: %v", ex.Node, err)
		}
		return true, false
	}
	for i := range l.out {
		got := l.values(t, i)
		if len(got) != len(out[i].Data) {
			t.Fatalf("%+v: output %d has %d elements, want %d", ex.Node, i, len(got), len(out[i].Data))
		}
		for k, v := range out[i].Data {
			if !near(got[k], v, magnitude(&ex)) {
				t.Fatalf("%+v %v: output %d[%d] = %g, want %g", ex.Node, ex.Const, i, k, got[k], v)
			}
		}
	}
	return true, true
}

// lowerable reports whether the variable inputs are finite floating-point tensors and there is one.
func lowerable(ex *Example) bool {
	some := false
	for i, t := range ex.In {
		if t == nil {
			continue
		}
		if !ex.Const[i] {
			some = true
			if t.Type.integer() || !finite(t.Data) {
				return false
			}
		}
	}
	return some
}

// magnitude bounds the numbers that cancel in a lowered sum, for the comparison in float64.
func magnitude(ex *Example) float64 {
	m := 1.0
	for _, t := range ex.In {
		if t == nil {
			continue
		}
		for _, v := range t.Data {
			if finite([]float64{v}) {
				m = max(m, math.Abs(v))
			}
		}
	}
	for _, a := range ex.Node.Attrs {
		if finite([]float64{a.F}) {
			m = max(m, math.Abs(a.F))
		}
	}
	return 1e3 * m * m
}

func FuzzEval(f *testing.F) {
	all := All()
	for i := range all {
		f.Add(uint8(i), uint64(i))
	}
	f.Fuzz(func(t *testing.T, op uint8, seed uint64) {
		s := all[int(op)%len(all)]
		for k := range uint64(4) {
			evalMutant(t, s, rand.New(rand.NewPCG(seed, k)))
		}
	})
}

// TestMutants runs the fuzz target's body on a fixed sample and checks that the sample is not trivial.
func TestMutants(t *testing.T) {
	tried, evaluated, bounded := 0, 0, 0
	for _, s := range All() {
		for seed := range uint64(200) {
			e, b := evalMutant(t, s, rand.New(rand.NewPCG(seed, 77)))
			tried++
			if e {
				evaluated++
			}
			if b {
				bounded++
			}
		}
	}
	t.Logf("%d mutants, %d evaluated, %d lowered", tried, evaluated, bounded)
	if evaluated < tried/5 || bounded < tried/20 {
		t.Error("the mutations leave too little to test")
	}
}
