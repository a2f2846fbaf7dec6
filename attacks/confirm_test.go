package attacks

import (
	"context"
	"testing"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// line is y = x + shift on two outputs, the second always 7.
func line(t *testing.T, shift float64) *prog.Program {
	t.Helper()
	b := prog.NewBuilder(1)
	p, err := b.Program(b.Affine("y", 2, []float64{shift, 7}, 0, prog.Term{Src: 0, Map: prog.Dense(2, 1, []float64{1, 0})}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestConfirmOn: what is searched proposes and what is confirmed decides, and the witness is the latter's.
func TestConfirmOn(t *testing.T) {
	question := func(rhs float64) *spec.Problem {
		row := spec.Row{Y: []spec.Coef{{Index: 0, Value: 1}}, RHSLower: rhs, RHSUpper: rhs}
		box := spec.Box{Lower: []float64{-1}, Upper: []float64{1}, InLower: []float32{-1}, InUpper: []float32{1}}
		return &spec.Problem{NumInputs: 1, NumOutputs: 2, Boxes: []spec.Box{box}, Cases: []spec.Case{{Rows: []spec.Row{row}}}}
	}
	full := line(t, 0.5)
	search := func(p *prog.Program, pr, whole *spec.Problem) *spec.Witness {
		t.Helper()
		s, err := NewSearcher(p, pr)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.ConfirmOn(full, whole); err != nil {
			t.Fatal(err)
		}
		return s.Search(context.Background(), Options{Work: 1e6})
	}
	if w := search(line(t, -100), question(-0.75), question(-0.75)); w != nil {
		t.Errorf("witness %+v, though only the searched network has one", w)
	}
	if w := search(full, question(0.75), question(-0.75)); w != nil {
		t.Errorf("witness %+v, though only the searched question has one", w)
	}
	w := search(line(t, 0.5+0x1p-40), question(-0.25), question(-0.25))
	if w == nil {
		t.Fatal("no witness, though the networks differ by rounding")
	}
	if w.Y[0] != w.X[0]+0.5 || w.Y[1] != 7 {
		t.Errorf("the witness %+v has the output of the searched network", w)
	}
	s, err := NewSearcher(full, question(0))
	if err != nil {
		t.Fatal(err)
	}
	wrong := question(0)
	wrong.NumOutputs = 3
	if s.ConfirmOn(full, wrong) == nil {
		t.Error("a question about three outputs fits a network with two")
	}
}
