package robust

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/train"
	"github.com/spai-project/certify/verify"
)

// TestUnbeaten pushes every certificate without search as far as it goes, on random networks and points, and attacks at that radius with
// everything: no attack may win. At a larger radius they must, often enough, or the test could not fail.
func TestUnbeaten(t *testing.T) {
	nets := 60
	if testing.Short() {
		nets = 6
	}
	attacks := map[evasion.Norm][]string{evasion.Linf: {"pgd:steps=20", "apgd-t", "fab", "deepfool"}, evasion.L2: {"pgd:steps=20", "apgd-t", "ddn", "deepfool"},
		evasion.L1: {"pgd:steps=20", "apgd-t", "fab"}}
	cases, certified, broken := 0, 0, 0
	for n := range nets {
		r := rand.New(rand.NewPCG(uint64(n), 5))
		m := drawNet(t, r, uint64(n))
		for range 4 {
			x := make([]float64, m.Inputs())
			for i := range x {
				x[i] = float64(float32(2*r.Float64() - 1))
			}
			y, err := m.Graph.EvalFlat(x)
			if err != nil {
				t.Fatal(err)
			}
			label := 0
			for k, v := range y {
				if v > y[label] {
					label = k
				}
			}
			set := &data.Set{X: x, Shape: []int{len(x)}, Labels: []int{label}, Names: []string{"x"}}
			for _, method := range BoundMethods() {
				for _, norm := range method.Norms {
					cases++
					eps := farthest(t, m, set, method, norm)
					if eps == 0 {
						continue
					}
					certified++
					name := fmt.Sprintf("net %d, %s, %v", n, method.Name, norm)
					if o := assault(t, m, set, norm, eps, attacks[norm]); o != nil {
						t.Errorf("%s: certified up to %v, and %s wins there", name, eps, o.Attack)
					}
					if assault(t, m, set, norm, 3*eps, attacks[norm]) != nil {
						broken++
					}
				}
			}
		}
	}
	t.Logf("%d cases, %d certified at some radius, %d of these broken at three times that", cases, certified, broken)
	if certified < 3*cases/4 || broken < certified/2 || !testing.Short() && certified < 1000 {
		t.Errorf("%d cases, %d certified, %d broken at a larger radius: too few", cases, certified, broken)
	}
}

// drawNet draws a network with one or two layers of ReLUs.
func drawNet(t *testing.T, r *rand.Rand, root uint64) *Model {
	t.Helper()
	layers := []train.Layer{train.Dense{Out: 3 + r.IntN(6)}, train.ReLU{}}
	if r.IntN(2) == 0 {
		layers = append(layers, train.Dense{Out: 3 + r.IntN(5)}, train.ReLU{})
	}
	net, err := train.New[float32](root, []int{2 + r.IntN(3)}, append(layers, train.Dense{Out: 2 + r.IntN(3)})...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range net.Weights {
		net.Weights[i] += float32(0.2 * r.NormFloat64())
	}
	g, err := net.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return model(t, g, verify.Real)
}

// farthest returns the largest radius, within a part in 2²⁰, at which a method certifies an item; 0 if there is none.
func farthest(t *testing.T, m *Model, set *data.Set, method BoundMethod, norm evasion.Norm) float64 {
	t.Helper()
	b, err := method.New(t.Context(), m.proof)
	if err != nil {
		return 0 // not every method knows every network
	}
	s, err := m.checkBound(set, &EvalOptions{Bound: method.Name, Options: Options{Norm: norm}})
	if err != nil {
		t.Fatal(err)
	}
	s.bounder = b
	holds := func(eps float64) bool {
		a, err := s.decide(t.Context(), set.Item(0), set.Labels[0], eps, 0)
		if err != nil {
			t.Fatal(err)
		}
		return a.Verdict == Holds
	}
	lo, hi := 0.0, 4.0
	for range 26 {
		if mid := (lo + hi) / 2; holds(mid) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// assault returns an attack that breaks the item within eps, nil if none does.
func assault(t *testing.T, m *Model, set *data.Set, norm evasion.Norm, eps float64, attacks []string) *Assault {
	t.Helper()
	all, err := m.Campaign(context.Background(), set, CampaignOptions{Norm: norm, Eps: []float64{eps}, Attacks: attacks, Access: access.NeedGradients, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if o := &all[i].Items[0]; o.Broken() && o.Witness.Distance <= eps && !math.IsNaN(o.Witness.Distance) {
			return &all[i]
		}
	}
	return nil
}
