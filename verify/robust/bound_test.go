package robust

import (
	"context"
	"errors"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/verify"
)

// TestEvaluateBound: every method certifies what the exact answer allows and nothing else, at all radii; on this network all of
// them are exact but for rounding.
func TestEvaluateBound(t *testing.T) {
	m, set := larger(t), points(25)
	eps := []float64{0.01, 0.05, 0.1, 0.15}
	for _, method := range BoundMethods() {
		if !slices.Contains(method.Norms, evasion.Linf) {
			continue
		}
		records, err := m.Evaluate(t.Context(), set, EvalOptions{Bound: method.Name, Eps: eps, Options: Options{Workers: 3}})
		if err != nil {
			t.Fatal(err)
		}
		held := 0
		for i, r := range records {
			for k := range r.Eps {
				a := &r.Eps[k]
				want := robustAt(set.Item(i), set.Labels[i], eps[k])
				switch {
				case a.Verdict == Holds && !want:
					t.Errorf("%s: item %d is certified at %v, and is not robust", method.Name, i, eps[k])
				case a.Verdict != Holds && want:
					t.Errorf("%s: item %d is not certified at %v: %+v", method.Name, i, eps[k], a)
				case a.Verdict == Holds && a.By != "bound "+method.Name:
					t.Errorf("%s: decided by %q", method.Name, a.By)
				case !r.Clean && a.Verdict != Violated:
					t.Errorf("%s: item %d is misclassified, and %v", method.Name, i, a.Verdict)
				case a.Verdict == Violated && (a.By != "input" || r.Clean):
					t.Errorf("%s: item %d is violated: %+v", method.Name, i, a)
				case !want && r.Clean && (a.Bound == nil || *a.Bound > 0 || a.Reason == ""):
					t.Errorf("%s: item %d is open without a bound or a reason: %+v", method.Name, i, a)
				}
				if want {
					held++
				}
			}
		}
		if held == 0 || held == len(records)*len(eps) {
			t.Errorf("%d answers hold: nothing was told apart", held)
		}
	}
}

// TestEvaluateBoundNorms: in L2 the radius of an item of larger is its lead over √2, in L1 its lead; a bound knows them as far as
// rounding lets it.
func TestEvaluateBoundNorms(t *testing.T) {
	m, set := larger(t), points(12)
	for norm, half := range map[evasion.Norm]float64{evasion.L2: math.Sqrt2, evasion.L1: 1} {
		for i := range set.Len() {
			x := set.Item(i)
			lead := x[set.Labels[i]] - x[1-set.Labels[i]]
			if lead <= 0.01 {
				continue
			}
			one := points(12)
			one.X, one.Labels, one.Names = one.X[2*i:2*i+2], one.Labels[i:i+1], one.Names[i:i+1]
			// ReLUs are on within the ball: there the bound is exact.
			radius := lead / half
			if radius > min(x[0], x[1]) {
				continue
			}
			records, err := m.Evaluate(t.Context(), one, EvalOptions{Bound: "wong-kolter", Eps: []float64{radius * (1 - 1e-9),
				radius * (1 + 1e-9)}, Options: Options{Norm: norm}})
			if err != nil {
				t.Fatal(err)
			}
			if e := records[0].Eps; e[0].Verdict != Holds || e[1].Verdict == Holds {
				t.Errorf("%v: item %d: %v below the radius, %v above", norm, i, e[0].Verdict, e[1].Verdict)
			}
		}
	}
}

// TestBoundClips: a tie at the edge of the ball is no certificate; where the valid range keeps it out, there is one.
func TestBoundClips(t *testing.T) {
	m, set := larger(t), points(1)
	set.X, set.Labels = []float64{0.125, 0.25}, []int{1}
	for _, method := range BoundMethods() {
		if !slices.Contains(method.Norms, evasion.Linf) || method.Name == "sdp" { // which takes the ball whole
			continue
		}
		for want, lower := range map[Verdict][]float64{Unknown: {0, 0}, Holds: {0, 0.25}} {
			o := EvalOptions{Bound: method.Name, Eps: []float64{0.0625}, Options: Options{Domain: Domain{Lower: lower}}}
			records, err := m.Evaluate(t.Context(), set, o)
			if err != nil {
				t.Fatal(err)
			}
			if v := records[0].Eps[0].Verdict; v != want {
				t.Errorf("%s: from %v on: %v, want %v", method.Name, lower, v, want)
			}
		}
	}
}

// TestBoundRejects: what a method does not know is said before anything is asked.
func TestBoundRejects(t *testing.T) {
	m, set := larger(t), points(2)
	for what, o := range map[string]EvalOptions{"name": {Bound: "magic"},
		"norm": {Bound: "ibp", Options: Options{Norm: evasion.L2}}} {
		o.Eps = []float64{0.1}
		if _, err := m.Evaluate(t.Context(), set, o); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := m.NewHeader(set, &o); !errors.Is(err, ErrInput) {
			t.Errorf("%s: header: %v", what, err)
		}
	}
	smooth := model(t, chain(t, layer("MatMul", nil, "w"), layer("Sigmoid", nil), layer("MatMul", nil, "w")), verify.Real)
	o := EvalOptions{Bound: "wong-kolter", Eps: []float64{0.1}}
	if _, err := smooth.Evaluate(t.Context(), set, o); !errors.Is(err, ErrUnbounded) || !strings.Contains(err.Error(), "Sigmoid") {
		t.Errorf("sigmoid: %v", err)
	}
	for _, name := range []string{"sdp", "sdp-deep"} {
		both := model(t, larger(t).Graph, verify.Both)
		if _, err := both.Evaluate(t.Context(), set, EvalOptions{Bound: name, Eps: []float64{0.1}}); !errors.Is(err, ErrUnbounded) {
			t.Errorf("%s with float32: %v", name, err)
		}
	}
	o.Bound = "crown"
	if _, err := smooth.Evaluate(t.Context(), set, o); err != nil {
		t.Errorf("sigmoid with crown: %v", err)
	}
}

// TestBoundHeader: a results file says which bound was asked.
func TestBoundHeader(t *testing.T) {
	m, set := larger(t), points(2)
	h := header(t, m, set, &EvalOptions{Bound: "ibp", Eps: []float64{0.1}})
	if h.Options.Bound != "ibp" || !h.Proves() || len(h.Options.Attacks) != 0 {
		t.Errorf("%+v", h.Options)
	}
}

// liar is a method with a margin of 0, of NaN, or one that waits.
type liar struct {
	margin float64
	wait   bool
}

func (l liar) Margins(ctx context.Context, _ *Neighbourhood, _ int, lower []float64) error {
	if l.wait {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	for t := range lower {
		lower[t] = l.margin
	}
	return nil
}

// TestBoundVerdict: no margin but a positive one certifies, and an interrupted method says nothing.
func TestBoundVerdict(t *testing.T) {
	m, set := larger(t), points(1)
	s, err := m.checkBound(set, &EvalOptions{Bound: "ibp", Eps: []float64{0.1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []float64{0, math.NaN(), math.Inf(-1), -1, math.Copysign(0, -1)} {
		s.bounder = liar{margin: v}
		if b, err := s.decide(t.Context(), set.Item(0), set.Labels[0], 0, 0); err != nil || b.Verdict != Unknown {
			t.Errorf("margin %v: %+v, %v", v, b, err)
		}
	}
	s.bounder = liar{margin: math.SmallestNonzeroFloat64}
	if b, err := s.decide(t.Context(), set.Item(0), set.Labels[0], 0, 0); err != nil || b.Verdict != Holds {
		t.Errorf("a positive margin: %+v, %v", b, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.bounder = liar{wait: true}
	cancel()
	if b, err := s.decide(ctx, set.Item(0), set.Labels[0], 0, 0); err == nil {
		t.Errorf("interrupted: %+v", b)
	}
}

// TestNeighbourhood: the radius of other norms is in the network's units and rounded up, and the box holds the ball.
func TestNeighbourhood(t *testing.T) {
	m, set := larger(t), points(1)
	opt := &EvalOptions{Bound: "wong-kolter", Eps: []float64{0.1},
		Options: Options{Norm: evasion.L2, Domain: Domain{Unit: []float64{3}}}}
	s, err := m.checkBound(set, opt)
	if err != nil {
		t.Fatal(err)
	}
	x := set.Item(0)
	n := s.neighbourhood(x, set.Labels[0], 0.1)
	want := new(big.Rat).Mul(rat(0.1), rat(3))
	if rat(n.Radius).Cmp(want) < 0 || n.Radius > 0.3+1e-12 || n.Norm != evasion.L2 {
		t.Errorf("radius %v", n.Radius)
	}
	for i, v := range x {
		if new(big.Rat).Sub(rat(v), want).Cmp(rat(n.Lower[i])) < 0 || new(big.Rat).Add(rat(v), want).Cmp(rat(n.Upper[i])) > 0 {
			t.Errorf("input %d: [%v, %v] around %v", i, n.Lower[i], n.Upper[i], v)
		}
	}
}

func TestRegisterBound(t *testing.T) {
	names := []string{}
	for _, m := range BoundMethods() {
		names = append(names, m.Name)
		if m.Doc == "" || m.Source == "" || len(m.Norms) == 0 || m.New == nil {
			t.Errorf("%s is incomplete", m.Name)
		}
		if got, ok := LookupBound(m.Name); !ok || got.Name != m.Name {
			t.Errorf("%s is not found", m.Name)
		}
	}
	if s := strings.Join(names, " "); !strings.Contains(s, "crown ibp") || !strings.Contains(s, "wong-kolter") {
		t.Errorf("methods %s", s)
	}
	defer func() {
		if recover() == nil {
			t.Error("a name was taken twice")
		}
	}()
	keep := boundMethods
	defer func() { boundMethods = keep }()
	RegisterBound(BoundMethod{Name: "ibp", New: func(context.Context, *prog.Program) (Bounder, error) { return nil, nil }})
}
