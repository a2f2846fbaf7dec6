package spec

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// linearProgram is y = W x + b.
func linearProgram(t *testing.T, m, n int, w, bias []float64) *prog.Program {
	t.Helper()
	b := prog.NewBuilder(n)
	p, err := b.Program(b.Affine("y", m, bias, 0, prog.Term{Src: 0, Map: prog.Dense(m, n, w)}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func unitBox(lo, hi []float32) Box {
	b := Box{InLower: lo, InUpper: hi}
	for i := range lo {
		b.Lower = append(b.Lower, float64(lo[i]))
		b.Upper = append(b.Upper, float64(hi[i]))
	}
	return b
}

func yRow(rhs float64, c ...Coef) Row { return Row{Y: c, RHSLower: rhs, RHSUpper: rhs} }

// TestConfirmRounded: what no exact sum shows, a margin below the rounding of float64 does not either.
func TestConfirmRounded(t *testing.T) {
	p := linearProgram(t, 1, 2, []float64{0.1, -1}, []float64{0.25})
	for rhs, want := range map[float64]bool{-0.75 + 0x1p-53: false, -0.75 + 0x1p-40: true} {
		pr := &Problem{NumInputs: 2, NumOutputs: 1, Boxes: []Box{unitBox([]float32{0, 0}, []float32{1, 1})},
			Cases: []Case{{Rows: []Row{yRow(rhs, Coef{Index: 0, Value: 1})}}}}
		if w, ok := pr.Confirm(p, []float64{0, 1}); ok != want {
			t.Errorf("right-hand side %v: %+v, %v", rhs, w, ok)
		}
	}
}

func TestConfirm(t *testing.T) {
	p := linearProgram(t, 1, 2, []float64{1, -1}, []float64{0.25}) // y = x0 − x1 + 0.25
	box := unitBox([]float32{0, 0}, []float32{1, 1})
	eps := 1e-9
	cases := []struct {
		name     string
		row      Row
		x        []float64
		ok, any_ bool
	}{
		{"inside", yRow(0, Coef{Index: 0, Value: 1}), []float64{0, 1}, true, true},
		{"outside the set", yRow(0, Coef{Index: 0, Value: 1}), []float64{1, 0}, false, false},
		{"outside the box", yRow(0, Coef{Index: 0, Value: 1}), []float64{0, 2}, false, false},
		{"not float32", yRow(0, Coef{Index: 0, Value: 1}), []float64{0.1, 1}, false, false},
		{"NaN", yRow(0, Coef{Index: 0, Value: 1}), []float64{math.NaN(), 1}, false, false},
		{"short", yRow(0, Coef{Index: 0, Value: 1}), []float64{0}, false, false},
		{"thin margin: real only", yRow(-0.75+eps, Coef{Index: 0, Value: 1}), []float64{0, 1}, true, false},
		{"margin below the rounding of float64, exact sums", yRow(-0.75+0x1p-53, Coef{Index: 0, Value: 1}), []float64{0, 1}, true, false},
		{"decimal right-hand side taken adversely", Row{Y: []Coef{{Index: 0, Value: 1}}, RHSLower: -0.76, RHSUpper: 0}, []float64{0, 1}, false, false},
		{"coefficient error taken adversely", yRow(-0.7, Coef{Index: 0, Value: 1, Err: 0.1}), []float64{0, 1}, false, false},
		{"coefficient error small enough", yRow(-0.7, Coef{Index: 0, Value: 1, Err: 0.01}), []float64{0, 1}, true, true},
		{"mixed row", Row{X: []Coef{{Index: 1, Value: 2}}, Y: []Coef{{Index: 0, Value: 1}}, RHSLower: 1.5, RHSUpper: 1.5}, []float64{0, 1}, true, true},
		{"mixed row fails", Row{X: []Coef{{Index: 1, Value: 2}}, Y: []Coef{{Index: 0, Value: 1}}, RHSLower: 1.2, RHSUpper: 1.5}, []float64{0, 1}, false, false},
		{"inputs only, tie", Row{X: []Coef{{Index: 0, Value: 1}, {Index: 1, Value: 1}}, RHSLower: 1, RHSUpper: 1}, []float64{0.5, 0.5}, true, true},
		{"inputs only, strict tie", Row{X: []Coef{{Index: 0, Value: 1}, {Index: 1, Value: 1}}, RHSLower: 1, RHSUpper: 1, Strict: true}, []float64{0.5, 0.5}, false, false},
		{"inputs only, strict", Row{X: []Coef{{Index: 0, Value: 1}, {Index: 1, Value: -1}}, Strict: true}, []float64{0x1p-149, 0x1p-148}, true, true},
		{"inputs only, coefficient error", Row{X: []Coef{{Index: 0, Value: 1, Err: 0x1p-40}}, RHSLower: 0.5, RHSUpper: 0.5}, []float64{0.5, 0}, false, false},
		{"repeated index", yRow(-1.5, Coef{Index: 0, Value: 1}, Coef{Index: 0, Value: 1}), []float64{0, 1}, false, false},
		{"not a number", yRow(math.NaN(), Coef{Index: 0, Value: 1}), []float64{0, 1}, false, false},
		{"infinite input row", Row{X: []Coef{{Index: 0, Value: math.Inf(-1)}}}, []float64{0.5, 1}, false, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			pr := &Problem{NumInputs: 2, NumOutputs: 1, Boxes: []Box{box}, Cases: []Case{{Rows: []Row{c.row}}}}
			w, ok := pr.Confirm(p, c.x)
			if ok != c.ok || ok && w.AnyOrder != c.any_ {
				t.Fatalf("Confirm = %+v, %v; want %v, any order %v", w, ok, c.ok, c.any_)
			}
			if ok && (w.Margin < 0 || w.X[0] != c.x[0] || &w.X[0] == &c.x[0]) {
				t.Errorf("witness %+v", w)
			}
		})
	}
}

func TestConfirmStrictOutputTie(t *testing.T) {
	// The output is a bare relu of nothing: exactly 0 under the enclosure, so ties are decided, not lost.
	b := prog.NewBuilder(1)
	z := b.Affine("z", 1, []float64{-1}, 0)
	p, err := b.Program(b.Relu("y", z))
	if err != nil {
		t.Fatal(err)
	}
	for _, strict := range []bool{false, true} {
		r := yRow(0, Coef{Index: 0, Value: 1})
		r.Strict = strict
		pr := &Problem{NumInputs: 1, NumOutputs: 1, Boxes: []Box{unitBox([]float32{0}, []float32{1})}, Cases: []Case{{Rows: []Row{r}}}}
		if w, ok := pr.Confirm(p, []float64{0.5}); ok == strict {
			t.Errorf("strict %v: %+v, %v", strict, w, ok)
		}
	}
}

func TestConfirmChoosesCase(t *testing.T) {
	p := linearProgram(t, 1, 1, []float64{1}, nil)
	far := unitBox([]float32{5}, []float32{6})
	box := unitBox([]float32{0}, []float32{1})
	pr := &Problem{NumInputs: 1, NumOutputs: 1, Boxes: []Box{far, box}, Cases: []Case{
		{Box: 0, Rows: []Row{yRow(10, Coef{Index: 0, Value: 1})}},       // holds, but x is not in its box
		{Box: 1, Rows: []Row{yRow(0.5+1e-9, Coef{Index: 0, Value: 1})}}, // holds in real arithmetic only
		{Box: 1, Rows: []Row{yRow(2, Coef{Index: 0, Value: 1}), yRow(1, Coef{Index: 0, Value: 1})}},
	}}
	w, ok := pr.Confirm(p, []float64{0.5})
	if !ok || w.Case != 2 || !w.AnyOrder || math.Abs(w.Margin-0.5) > 1e-12 || w.Margin > 0.5 {
		t.Fatalf("%+v, %v", w, ok)
	}
	if w, ok = pr.ConfirmCase(p, 1, []float64{0.5}); !ok || w.AnyOrder || w.Case != 1 {
		t.Errorf("case 1: %+v, %v", w, ok)
	}
	if _, ok = pr.ConfirmCase(p, 0, []float64{0.5}); ok {
		t.Error("case 0 confirmed outside its box")
	}
}

// TestConfirmAgainstRationals: right-hand sides within a few ulps of the exact value; Confirm must never accept a row that is
// false, and must accept once the margin exceeds the rounding of float64 by far.
func TestConfirmAgainstRationals(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var accepted int
	for range 3000 {
		w := []float64{float64(float32(r.NormFloat64())), float64(float32(r.NormFloat64())), float64(float32(r.NormFloat64()))}
		p := linearProgram(t, 1, 3, w, []float64{0.5})
		x := []float64{float64(r.Float32()), float64(r.Float32()), float64(r.Float32())}
		cx, cy := r.NormFloat64(), r.NormFloat64()
		exact := big.NewRat(1, 2)
		for i := range w {
			exact.Add(exact, new(big.Rat).Mul(rat(w[i]), rat(x[i])))
		}
		exact.Mul(exact, rat(cy))
		exact.Add(exact, new(big.Rat).Mul(rat(cx), rat(x[1])))
		v, _ := exact.Float64()
		ulps := float64(r.IntN(60) - 20)
		rhs := v + ulps*0x1p-53
		pr := &Problem{NumInputs: 3, NumOutputs: 1, Boxes: []Box{unitBox(make([]float32, 3), []float32{1, 1, 1})},
			Cases: []Case{{Rows: []Row{{X: []Coef{{Index: 1, Value: cx}}, Y: []Coef{{Index: 0, Value: cy}}, RHSLower: rhs, RHSUpper: rhs}}}}}
		_, ok := pr.Confirm(p, x)
		if ok && exact.Cmp(rat(rhs)) > 0 {
			t.Fatalf("accepted a false row: left side %v, right %v", v, rhs)
		}
		if ok {
			accepted++
		}
	}
	if accepted < 100 {
		t.Errorf("only %d near ties accepted", accepted)
	}
}

func TestBoxContains(t *testing.T) {
	b := unitBox([]float32{0, -1}, []float32{1, 1})
	for _, c := range []struct {
		x    []float64
		want bool
	}{
		{[]float64{0, 1}, true}, {[]float64{0.1, 0}, false}, {[]float64{-0x1p-149, 0}, false},
		{[]float64{1, math.NaN()}, false}, {[]float64{1}, false}, {[]float64{1, -1}, true},
	} {
		if b.Contains(c.x) != c.want {
			t.Errorf("Contains(%v) = %v", c.x, !c.want)
		}
	}
}

// TestExcessAdverse: right-hand side and coefficients are taken at their worst end.
func TestExcessAdverse(t *testing.T) {
	p := linearProgram(t, 1, 1, []float64{1}, nil)
	pr := &Problem{NumInputs: 1, NumOutputs: 1, Boxes: []Box{unitBox([]float32{0}, []float32{1})}}
	c := newConfirmer(pr, p, []float64{0.5})
	pt := p.NewPoint(c.x, prog.UnitReal)
	for name, r := range map[string]Row{
		"right-hand side":    {Y: []Coef{{Value: 1}}, RHSLower: 0.25, RHSUpper: 0.75},
		"output coefficient": {Y: []Coef{{Value: 1, Err: 0.5}}, RHSLower: 0.5, RHSUpper: 0.5},
		"input coefficient":  {X: []Coef{{Value: 1, Err: 0.5}}, Y: []Coef{{Value: 1}}, RHSLower: 1, RHSUpper: 1},
		"inputs only":        {X: []Coef{{Value: 1, Err: 0.5}}, RHSLower: 0.5, RHSUpper: 0.75},
	} {
		if e := c.excess(&r, pt, prog.UnitReal); !(e >= 0.25 && e < 0.25+1e-9) {
			t.Errorf("%s: excess %v, want 0.25", name, e)
		}
	}
}
