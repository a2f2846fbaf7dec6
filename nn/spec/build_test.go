package spec

import (
	"math"
	"math/big"
	"testing"
)

func TestLinfBall(t *testing.T) {
	p := LinfBall([]float64{0.1, 0.95, 0, -3}, 0.1, 0, 1, 1, 3)
	if len(p.Vacuous) != 1 || len(p.Cases) != 0 {
		t.Errorf("an input outside the clipping range: %v, %v", p.Vacuous, p.Cases)
	}
	p = LinfBall([]float64{0.1, 0.95, 0, 0.7}, 0.1, 0, 1, 1, 3)
	if len(p.Boxes) != 1 || len(p.Vacuous) != 0 {
		t.Fatalf("%v", p)
	}
	b := p.Boxes[0]
	if got, want := dump(&Problem{Boxes: []Box{{}}, Cases: p.Cases}), " | -1y0 +1y1 ≤0\n | +1y1 -1y2 ≤0\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if b.Lower[0] != 0 || b.Upper[1] != 1 || b.Lower[2] != 0 {
		t.Errorf("clipping: %v", b)
	}
	for i, x := range []float64{0.1, 0.95, 0, 0.7} {
		up := new(big.Rat).Add(rat(x), rat(0.1))
		if i != 1 && (rat(b.Upper[i]).Cmp(up) < 0 || rat(float64(b.InUpper[i])).Cmp(up) > 0) {
			t.Errorf("upper end %d: %v, %v", i, b.Upper[i], b.InUpper[i])
		}
	}
	if p = LinfBall([]float64{5}, 0, math.Inf(-1), math.Inf(1), 0, 2); p.Boxes[0].Lower[0] != 5 || p.Boxes[0].Upper[0] != 5 {
		t.Errorf("no clipping: %v", p.Boxes)
	}
}

func TestFromBox(t *testing.T) {
	rows := [][]Row{{{Y: []Coef{{Index: 0, Value: 1}}}}, {}}
	p := FromBox([]float64{-1, 0.1}, []float64{1, 0.1}, rows, 1)
	if got, want := dump(p), "[-1,1][0.1,0.10000000149011612] | +1y0 ≤0\n[-1,1][0.1,0.10000000149011612]\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if b := p.Boxes[0]; !b.Inexact || b.InLower[1] != 0.1 || b.InUpper[1] != 0.1 {
		t.Errorf("%v", b)
	}
	if p = FromBox([]float64{1}, []float64{0}, rows, 1); len(p.Cases) != 0 || len(p.Vacuous) != 1 {
		t.Errorf("empty box: %v", p)
	}
}

func TestBuildPanics(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, f := range map[string]func(){
		"no inputs":  func() { LinfBall(nil, 1, 0, 1, 0, 2) },
		"NaN":        func() { LinfBall([]float64{nan}, 1, 0, 1, 0, 2) },
		"NaN clip":   func() { LinfBall([]float64{0}, 1, nan, 1, 0, 2) },
		"negative":   func() { LinfBall([]float64{0}, -1, 0, 1, 0, 2) },
		"infinite":   func() { LinfBall([]float64{0}, inf, 0, 1, 0, 2) },
		"overflow":   func() { LinfBall([]float64{1e308}, 1e308, -inf, inf, 0, 2) },
		"label":      func() { LinfBall([]float64{0}, 1, 0, 1, 2, 2) },
		"one class":  func() { LinfBall([]float64{0}, 1, 0, 1, 0, 1) },
		"lengths":    func() { FromBox([]float64{0}, nil, nil, 1) },
		"infinities": func() { FromBox([]float64{-inf}, []float64{0}, nil, 1) },
		"index":      func() { FromBox([]float64{0}, []float64{0}, [][]Row{{{Y: []Coef{{Index: 1}}}}}, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}
