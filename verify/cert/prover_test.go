package cert

import (
	"math"
	"math/rand/v2"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/verify/kernel"
)

// A prover is a naive search for plans: interval bounds, computed multipliers, splits of the widest element or input.
type prover struct {
	b     *Builder
	in    *instance
	rng   *rand.Rand
	nodes int
	deep  int
	modes [3]int // leaves by the way their multipliers are given
	betas int
	most  int  // nodes before it gives up
	input bool // split inputs only, with lemmas at every node
	trees bool // lemmas are proved by trees of their own, and lean on rows
}

// plan returns a plan that refutes case c, nil when it gives up.
func (v *prover) plan(bounds *kernel.Bounds, c, depth int) *Plan {
	if v.nodes++; v.nodes > v.most || depth > v.deep {
		return nil
	}
	bounds, err := bounds.Fresh()
	if err != nil {
		panic(err)
	}
	out := &Plan{Relu: -1}
	if depth%2 == 0 || v.input {
		out.Lemmas = v.lemmas(bounds, c, depth)
		_, narrowed, err := v.b.lemmas(bounds, c, out.Lemmas)
		if err != nil {
			panic(err)
		}
		bounds = narrowed
	}
	if bounds.IsEmpty() {
		return out
	}
	t := kernel.Target{Case: c, Relu: -1}
	for try := range 12 {
		out.Lambda = nil
		for i := range v.b.rows[c] {
			l := v.rng.Float64()
			if try < v.b.rows[c] {
				l = 0
				if try == i {
					l = 1
				}
			}
			out.Lambda = append(out.Lambda, l)
		}
		if _, _, err := v.b.leaf(bounds, t, out, 0); err == nil {
			v.multipliers(bounds, c, out)
			return out
		}
	}
	out.Lambda = nil
	widest := 0.0
	for r, n := range v.b.sizes {
		for j := range n {
			if lo, hi := bounds.Interval(r, j); min(hi, -lo) > widest {
				widest, out.Relu, out.Elem = min(hi, -lo), r, j
			}
		}
	}
	if widest == 0 || v.input || v.rng.IntN(4) == 0 {
		out.Relu, widest = -1, 0
		for j := range v.in.problem.NumInputs {
			if lo, hi := bounds.Interval(-1, j); hi-lo > widest {
				widest, out.Elem, out.At = hi-lo, j, (lo+hi)/2
			}
		}
		if widest == 0 {
			return nil
		}
	}
	for i := range out.Child {
		half := bounds
		if out.Relu >= 0 {
			half = bounds.SplitRelu(out.Relu, out.Elem, i == 1)
		} else {
			num, exp := dyadic(out.At)
			var err error
			if half, err = bounds.SplitInput(out.Elem, num, int(exp), i == 1); err != nil {
				panic(err)
			}
		}
		if out.Child[i] = v.plan(half, c, depth+1); out.Child[i] == nil {
			return nil
		}
	}
	return out
}

// lemmas plans bounds of every layer, some by trees that split an element of the layer before and add a row.
func (v *prover) lemmas(bounds *kernel.Bounds, c, depth int) []LemmaPlan {
	var out []LemmaPlan
	for r, n := range v.b.sizes {
		if !v.trees || depth > 0 {
			out = append(out, LemmaPlan{Relu: r, Rest: true})
			continue
		}
		for j := range n {
			tree := &Plan{}
			if v.b.rows[c] > 0 && v.rng.IntN(2) == 0 {
				tree.Lambda = make([]float64, v.b.rows[c])
				tree.Lambda[0] = v.rng.Float64()
			}
			if r > 0 {
				leaf := *tree
				tree = &Plan{Relu: v.rng.IntN(r), Child: [2]*Plan{&leaf, &leaf}}
				tree.Elem = v.rng.IntN(v.b.sizes[tree.Relu])
			}
			out = append(out, LemmaPlan{Relu: r, Elem: j, Tree: tree, Want: math.Inf(1)}, LemmaPlan{Relu: r, Elem: j, Upper: true, Tree: tree, Want: math.Inf(-1)})
		}
	}
	return out
}

// multipliers gives a leaf's plan explicit multipliers or slopes, as a search would, when those prove it.
func (v *prover) multipliers(bounds *kernel.Bounds, c int, leaf *Plan) {
	defer func() {
		n, _, err := v.b.leaf(bounds, kernel.Target{Case: c, Relu: -1}, leaf, 0)
		if err != nil {
			leaf.Nu, leaf.Alpha, leaf.Beta = nil, nil, nil
			return
		}
		v.modes[n.Nu.Mode]++
		if v.rng.IntN(4) == 0 && leaf.Alpha != nil && len(v.b.sizes) > 0 {
			leaf.Beta = []Correction{{Value: 1e-4}}
			if _, _, err := v.b.leaf(bounds, kernel.Target{Case: c, Relu: -1}, leaf, 0); err != nil {
				leaf.Beta = nil
			} else {
				v.betas++
			}
		}
	}()
	switch v.rng.IntN(3) {
	case 0:
		leaf.Nu = crown(v.in, bounds, c, leaf.Lambda)
	case 1:
		for r, n := range v.b.sizes {
			leaf.Alpha = append(leaf.Alpha, nil)
			for j := range n {
				lo, hi := bounds.Interval(r, j)
				a := 0.0
				if hi > -lo {
					a = 1
				}
				leaf.Alpha[r] = append(leaf.Alpha[r], a)
			}
		}
	}
}

// crown computes multipliers in float64 on the oracle's program, whose Relus are those of the file in the same order.
func crown(in *instance, bounds *kernel.Bounds, c int, lambda []float64) [][]float64 {
	p := in.prog
	a := make([][]float64, len(p.Nodes))
	index := make([]int, len(p.Nodes))
	relus := 0
	for k := range p.Nodes {
		a[k] = make([]float64, p.Nodes[k].N)
		if p.Nodes[k].Kind == prog.Relu {
			index[k] = relus
			relus++
		}
	}
	at := 0
	boxes, _ := in.p.Cases()
	for _, box := range boxes[:c] {
		if box >= 0 {
			at++
		}
	}
	for i, row := range in.problem.Cases[at].Rows {
		for _, y := range row.Y {
			a[p.Output][y.Index] += lambda[i] * y.Value
		}
	}
	nu := make([][]float64, relus)
	for k := len(p.Nodes) - 1; k > 0; k-- {
		nd := &p.Nodes[k]
		if nd.Kind == prog.Relu {
			nu[index[k]] = make([]float64, nd.N)
			for j, c := range a[k] {
				lo, hi := bounds.Interval(index[k], j)
				s := 1.0
				switch {
				case lo >= 0:
				case hi <= 0:
					s = 0
				case c < 0:
					s = hi / (hi - lo)
				case hi <= -lo:
					s = 0
				}
				nu[index[k]][j] = s * c
				a[nd.Src][j] += s * c
			}
			continue
		}
		for _, t := range nd.Terms {
			t.Map.Each(func(i, j int, w float64) { a[t.Src][j] += w * a[k][i] })
		}
	}
	return nu
}

// prove returns a proof of an instance, or nil when the naive search gives up.
func prove(in *instance, seed uint64, deep int) *Proof {
	proof, _ := proveModes(in, seed, deep)
	return proof
}

func proveModes(in *instance, seed uint64, deep int) (*Proof, *prover) {
	v := &prover{rng: rand.New(rand.NewPCG(seed, 1)), deep: deep, trees: seed%2 == 0, most: 300}
	return search(in, v), v
}

func search(in *instance, v *prover) *Proof {
	b, err := NewBuilder(in.p)
	if err != nil {
		panic(err)
	}
	v.b, v.in = b, in
	b.keep = true
	for box := range b.bounds {
		plans := []LemmaPlan{}
		for r := range b.sizes {
			plans = append(plans, LemmaPlan{Relu: r, Rest: true})
		}
		if err := b.Box(box, plans); err != nil {
			panic(err)
		}
	}
	for c, box := range b.boxes {
		if box < 0 {
			continue
		}
		plan := v.plan(b.bounds[box], c, 0)
		if plan == nil {
			return nil
		}
		if err := b.Case(c, plan); err != nil {
			panic(err)
		}
	}
	p, err := b.Proof()
	if err != nil {
		panic(err)
	}
	return p
}
