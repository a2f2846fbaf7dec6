package spec

import (
	"math"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// softmaxOf appends the Softmax of the n elements of node z.
func softmaxOf(b *prog.Builder, z, n int) int {
	ptr, idx, val := []int32{0}, []int32(nil), []float64(nil)
	sums, all, ones := []int32{0}, []int32(nil), []float64(nil)
	for e := range n {
		for k := range n {
			if k != e {
				idx, val = append(idx, int32(k), int32(e)), append(val, 1, -1)
			}
			ptr = append(ptr, int32(len(idx)))
			all, ones = append(all, int32(e*n+k)), append(ones, 1)
		}
		sums = append(sums, int32(len(all)))
	}
	d := b.Affine("", n*n, nil, 0, prog.Term{Src: z, Map: prog.Sparse(n*n, n, ptr, idx, val)})
	s := b.Affine("", n, nil, 0, prog.Term{Src: b.Curve("", prog.Exp, d), Map: prog.Sparse(n, n*n, sums, all, ones)})
	return b.Curve("", prog.Reciprocal, s)
}

// TestConfirmSoftmaxOfSoftmax: the scores below a Softmax may be those of another one that is saturated.
func TestConfirmSoftmaxOfSoftmax(t *testing.T) {
	b := prog.NewBuilder(2)
	p, err := b.Program(softmaxOf(b, softmaxOf(b, 0, 2), 2))
	if err != nil {
		t.Fatal(err)
	}
	pr := &Problem{NumInputs: 2, NumOutputs: 2, Boxes: []Box{unitBox([]float32{-1000, -1000}, []float32{1000, 1000})},
		Cases: []Case{{Rows: []Row{yRow(0, Coef{Index: 1, Value: 1}, Coef{Index: 0, Value: -1})}}}}
	for _, c := range []struct {
		x        []float64
		ok, any_ bool
	}{{[]float64{1000, -1000}, true, false}, {[]float64{30, 0}, true, true}, {[]float64{-1000, 1000}, false, false}} {
		w, ok := pr.Confirm(p, c.x)
		if ok != c.ok || ok && w.AnyOrder != c.any_ {
			t.Errorf("%v: %+v, %v", c.x, w, ok)
		}
	}
}

// TestSoftmaxOrder compares the elements of a Softmax that is said to keep their order with an execution that flushes subnormal
// numbers to zero, among so many others that a small exponential is divided by thousands.
func TestSoftmaxOrder(t *testing.T) {
	const n = 4000
	b := prog.NewBuilder(n)
	p, err := b.Program(0)
	if err != nil {
		t.Fatal(err)
	}
	flushed := func(v float64) float32 {
		if math.Abs(v) < 0x1p-126 {
			return 0
		}
		return float32(v)
	}
	kept := 0
	for _, low := range []float64{-90, -80, -75, -63, -50, -8} {
		x, group := make([]float64, n), make([]int, n)
		x[1], x[0] = low, low-0.5
		sum := 0.0
		for _, v := range x {
			sum += float64(flushed(math.Exp(v)))
		}
		small := flushed(float64(flushed(math.Exp(x[0]))) / sum)
		large := flushed(float64(flushed(math.Exp(x[1]))) / sum)
		c := &confirmer{logits: &confirmer{float32: p.NewPoint(x, prog.Unit32)}, group: group}
		if c.ordered(&Case{Rows: []Row{{Y: []Coef{{Index: 0, Value: 1}, {Index: 1, Value: -1}}, Strict: true}}}) {
			if kept++; !(small < large) {
				t.Errorf("scores %v and %v below the largest: %v and %v are said to be ordered", -x[0], -x[1], small, large)
			}
		}
	}
	if kept != 3 {
		t.Errorf("%d orders are kept, want 3", kept)
	}
}
