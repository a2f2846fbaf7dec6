package robust

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/verify"
)

var unitBox = Domain{Lower: []float64{0}, Upper: []float64{1}}

// TestDecide compares with exact answers.
func TestDecide(t *testing.T) {
	m := larger(t)
	for _, c := range []struct {
		x    []float64
		eps  float64
		d    Domain
		want Verdict
	}{
		{[]float64{0.75, 0.25}, 0.25 - 0x1p-20, unitBox, Holds},
		{[]float64{0.75, 0.25}, 0.26, unitBox, Violated},
		{[]float64{0.5, 0.25}, 0, unitBox, Holds},
		{[]float64{0.25, 0.5}, 0.1, unitBox, Violated},
		// clipping keeps the second input low
		{[]float64{0.75, 0.25}, 0.3, Domain{Lower: []float64{0, 0}, Upper: []float64{1, 0.25}}, Holds},
		// one unit of the radius is two of the input
		{[]float64{0.75, 0.25}, 0.124, Domain{Lower: []float64{0}, Upper: []float64{1}, Unit: []float64{2}}, Holds},
		{[]float64{0.75, 0.25}, 0.126, Domain{Lower: []float64{0}, Upper: []float64{1}, Unit: []float64{2}}, Violated},
		// the first input moves three times as fast as the second
		{[]float64{0.75, 0.25}, 0.1249, Domain{Unit: []float64{3, 1}}, Holds},
		{[]float64{0.75, 0.25}, 0.1251, Domain{Unit: []float64{3, 1}}, Violated},
	} {
		for _, attack := range []bool{true, false} {
			b, err := m.Decide(t.Context(), c.x, 0, c.eps, Options{Domain: c.d, NoAttack: !attack, Timeout: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if b.Verdict != c.want {
				t.Errorf("%v at %v in %v: %v (%s), want %v", c.x, c.eps, c.d, b.Verdict, b.Reason, c.want)
			}
			if c.want == Violated {
				checkWitness(t, m, b.Witness, c.x, 0, c.eps, c.d)
			} else if b.Witness != nil {
				t.Errorf("%v: a witness without a violation", c.x)
			}
		}
	}
}

// TestTie: at the radius itself the only counterexample is a tie, which no proof may overlook. Rounding may keep it from being
// shown, too, even where the input is the tie.
func TestTie(t *testing.T) {
	m := larger(t)
	for _, attack := range []bool{true, false} {
		for _, x := range [][]float64{{0.75, 0.25}, {0.5, 0.5}} {
			b, err := m.Decide(t.Context(), x, 0, (x[0]-x[1])/2, Options{Domain: unitBox, NoAttack: !attack, Timeout: 2 * time.Second})
			if err != nil || b.Verdict == Holds {
				t.Errorf("%v: %+v, %v", x, b, err)
			}
		}
	}
	set := points(1)
	set.X[0] = set.X[1]
	records, err := m.Evaluate(t.Context(), set, options(1))
	if err != nil || records[0].Clean || records[0].Eps[0].Verdict == Holds {
		t.Errorf("a tie is evaluated to %+v, %v", records, err)
	}
}

// checkWitness replays a witness and measures it anew.
func checkWitness(t *testing.T, m *Model, w *Witness, x []float64, label int, eps float64, d Domain) {
	t.Helper()
	if w == nil {
		t.Fatal("violated without a witness")
	}
	if y := w.X; !(y[1-label] >= y[label]) || !w.Rigorous || w.Class != 1-label {
		t.Errorf("the witness %v is no counterexample, %+v", y, w)
	}
	far := 0.0
	for i, v := range w.X {
		far = max(far, math.Abs(v-x[i])/at(d.Unit, i, 1))
		if float64(float32(v)) != v || v < at(d.Lower, i, math.Inf(-1)) || v > at(d.Upper, i, math.Inf(1)) {
			t.Errorf("the witness %v is not valid", w.X)
		}
	}
	if !(w.Distance >= far && w.Distance <= far*(1+1e-15)) || far > eps*(1+1e-15) {
		t.Errorf("the witness lies at %v, it says %v; the radius is %v", far, w.Distance, eps)
	}
}

// TestNorms attacks in other norms, where nothing is ever proved.
func TestNorms(t *testing.T) {
	m := larger(t)
	x := []float64{0.75, 0.25}
	for _, c := range []struct {
		norm   evasion.Norm
		radius float64 // from which a counterexample exists
	}{{evasion.L2, 0.5 / math.Sqrt2}, {evasion.L1, 0.5}} {
		b, err := m.Decide(t.Context(), x, 0, c.radius*1.1, Options{Norm: c.norm, Domain: unitBox})
		if err != nil {
			t.Fatal(err)
		}
		if b.Verdict != Violated || b.Witness.Distance > c.radius*1.1 || c.norm.Distance(b.Witness.X, x) > b.Witness.Distance {
			t.Errorf("%v: %v, %+v", c.norm, b.Verdict, b.Witness)
		}
		b, err = m.Decide(t.Context(), x, 0, c.radius*0.99, Options{Norm: c.norm, Domain: unitBox})
		if err != nil {
			t.Fatal(err)
		}
		if b.Verdict != Unknown || !strings.Contains(b.Reason, "not attempted in the norm "+c.norm.String()) {
			t.Errorf("%v: %v, %q below the radius", c.norm, b.Verdict, b.Reason)
		}
	}
	if _, err := m.Decide(t.Context(), x, 0, 1, Options{Norm: evasion.L2, Domain: Domain{Unit: []float64{1, 2}}}); !errors.Is(err,
		ErrInput) {
		t.Errorf("two units in the norm l2: %v", err)
	}
}

// TestSemantics: the same questions for every binary32 execution.
func TestSemantics(t *testing.T) {
	for _, s := range []verify.Semantics{verify.Float32, verify.Both} {
		m := model(t, chain(t, layer("MatMul", nil, "w"), layer("Relu", nil), layer("MatMul", nil, "w")), s)
		for eps, want := range map[float64]Verdict{0.24: Holds, 0.26: Violated} {
			b, err := m.Decide(t.Context(), []float64{0.75, 0.25}, 0, eps, Options{Domain: unitBox, Timeout: 10 * time.Second})
			if err != nil || b.Verdict != want || want == Violated && !b.Witness.AnyOrder {
				t.Errorf("%v at %v: %+v, %v", s, eps, b, err)
			}
		}
	}
}

// TestRefused: what does not fit is an error that says so, never a verdict.
func TestRefused(t *testing.T) {
	m := larger(t)
	x := []float64{0.75, 0.25}
	for _, c := range []struct {
		x     []float64
		label int
		eps   float64
		opt   Options
		want  string
	}{
		{[]float64{1}, 0, 0.1, Options{}, "it has 1 values, the network 2 inputs"},
		{x, 2, 0.1, Options{}, "the label is 2"},
		{x, -1, 0.1, Options{}, "the label is -1"},
		{[]float64{math.NaN(), 0}, 0, 0.1, Options{}, "element 0 is NaN"},
		{[]float64{0.1, 0}, 0, 0.1, Options{}, "no float32 number"},
		{[]float64{1.5, 0}, 0, 0.1, Options{Domain: unitBox}, "outside the valid range [0, 1]"},
		{x, 0, -1, Options{}, "the radius -1"},
		{x, 0, math.NaN(), Options{}, "the radius NaN"},
		{x, 0, math.Inf(1), Options{}, "the radius +Inf"},
		{x, 0, 0.1, Options{Domain: Domain{Lower: []float64{1}, Upper: []float64{0}}}, "the valid range of input 0"},
		{x, 0, 0.1, Options{Domain: Domain{Unit: []float64{0}}}, "the unit of input 0"},
		{x, 0, 0.1, Options{Domain: Domain{Lower: []float64{0, 0, 0}}}, "3 lower bounds for 2 inputs"},
		{x, 0, 0.1, Options{Attacks: []string{"nonsense"}}, "nonsense"},
	} {
		b, err := m.Decide(t.Context(), c.x, c.label, c.eps, c.opt)
		if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, label %d, ε %v: %v, %v; want %q", c.x, c.label, c.eps, b, err, c.want)
		}
	}
}

// TestInterrupted: a cancelled question is unknown, and not broken or proved.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b, err := larger(t).Decide(ctx, []float64{0.75, 0.25}, 0, 0.26, Options{Domain: unitBox})
	if err != nil || b.Verdict == Holds || b.Witness != nil {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestSoftmax: the scores below a final Softmax decide, and the cut is known.
func TestSoftmax(t *testing.T) {
	m := model(t, chain(t, layer("MatMul", nil, "w"), layer("Relu", nil), layer("Softmax", nil)), verify.Real)
	if !m.Cut {
		t.Fatal("the Softmax was not cut off")
	}
	for eps, want := range map[float64]Verdict{0.24: Holds, 0.26: Violated} {
		if b, err := m.Decide(t.Context(), []float64{0.75, 0.25}, 0, eps, Options{Domain: unitBox}); err != nil || b.Verdict != want {
			t.Errorf("at %v: %+v, %v", eps, b, err)
		}
	}
	// Scores a millionth apart have the same probability in binary32, or one that is off by an ulp: no claim about every execution.
	for eps, want := range map[float64]bool{0.2500005: false, 0.3: true} {
		b, err := m.Decide(t.Context(), []float64{0.75, 0.25}, 0, eps, Options{Domain: unitBox})
		if err != nil || b.Verdict != Violated || b.Witness.AnyOrder != want {
			t.Errorf("at %v: %+v, %+v, %v", eps, b, b.Witness, err)
		}
	}
	if m := model(t, chain(t, layer("MatMul", nil, "w"), layer("Softmax", nil)), verify.Float32); m.Cut {
		t.Error("the Softmax was cut off where the question is about binary32 executions")
	}
}

// TestUnbounded: a network that cannot be bounded is attacked if some attack works without gradients, and refused with the reason
// if none does.
func TestUnbounded(t *testing.T) {
	m := model(t, chain(t, layer("MatMul", nil, "w"), layer("Cos", nil)), verify.Real)
	if m.Unverifiable == nil || !strings.Contains(m.Unverifiable.Error(), "Cos") {
		t.Fatalf("unverifiable: %v", m.Unverifiable)
	}
	b, err := m.Decide(t.Context(), []float64{0.25, 0.75}, 0, 0.5, Options{Domain: unitBox})
	if gradientFree(evasion.Linf) == nil {
		if !errors.Is(err, ErrUnattackable) || !strings.Contains(err.Error(), "Cos") {
			t.Errorf("%+v, %v", b, err)
		}
		return
	}
	if err != nil || b.Verdict == Holds || b.Verdict == Violated && (b.Witness.Rigorous ||
		math.Cos(b.Witness.X[1]) < math.Cos(b.Witness.X[0])) {
		t.Errorf("%+v, %v", b, err)
	}
	// An input that is misclassified as it is needs no attack to be found out.
	if w := (&attacker{m: m}).replayed([]float64{0.75, 0.25}, []float64{0.75, 0.25}, 0); w == nil || w.Rigorous {
		t.Errorf("a plain replay gives %+v", w)
	}
}

// TestJudge: what an attack offers is a witness only where it is one under the semantics.
func TestJudge(t *testing.T) {
	relu := chain(t, layer("MatMul", nil, "w"), layer("Relu", nil), layer("MatMul", nil, "w"))
	for _, s := range []verify.Semantics{verify.Real, verify.Float32} {
		m := model(t, relu, s)
		x, a := []float64{0.75, 0.25}, &attacker{m: m, d: unitBox}
		p := a.d.Problem(x, 0.5, 0, 2)
		if w := a.judge(p, x, []float64{0.5, 0.625}, 0); w == nil || !w.AnyOrder || w.Distance != 0.375 {
			t.Errorf("%v: a clear counterexample gives %+v", s, w)
		}
		if w := a.judge(p, x, []float64{0.5, 0.375}, 0); w != nil {
			t.Errorf("%v: no counterexample gives %+v", s, w)
		}
		if w := a.judge(p, x, []float64{0.125, 0.625}, 0); w != nil {
			t.Errorf("%v: a point outside the ball gives %+v", s, w)
		}
		if w := a.judge(p, x, []float64{0.5, 0.5}, 0); w != nil && s == verify.Float32 && !w.AnyOrder {
			t.Errorf("%v: a thin counterexample gives %+v", s, w)
		}
	}
	cos := &attacker{m: model(t, chain(t, layer("MatMul", nil, "w"), layer("Cos", nil)), verify.Real)}
	if w := cos.replayed([]float64{0.25, 0.75}, []float64{0.25, 0.75}, 0); w != nil {
		t.Errorf("a replay of what is right gives %+v", w)
	}
}
