package op

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/spai-project/certify/nn/prog"
)

// groups assigns to each output element the input elements it is computed from: element o reads idx[ptr[o]:ptr[o+1]].
// div, if set, is what a mean over the group divides by.
type groups struct {
	ptr, idx []int32
	div      []int
}

// poolGroups returns the windows of one channel of a pooling node, and the output's shape.
func poolGroups(n *Node, shape []int) (*groups, []int, error) {
	win, err := windows(n, shape, nil, n.int("ceil_mode", 0) != 0)
	if err != nil {
		return nil, nil, err
	}
	out := []int{shape[0], shape[1]}
	for _, a := range win {
		out = append(out, a.out)
	}
	if _, err := sizeOf(n, out); err != nil {
		return nil, nil, err
	}
	if Size(out[2:]) > MaxElements/16 {
		return nil, nil, errorf(n, "output of shape %v", out)
	}
	include := n.int("count_include_pad", 0) != 0
	g := &groups{ptr: []int32{0}}
	taps := make([][][]int, len(win))
	for d := range win {
		taps[d] = make([][]int, win[d].out)
		total := 0
		for o := range taps[d] {
			taps[d][o] = win[d].taps(o)
			if total += len(taps[d][o]); total > MaxElements/8 {
				return nil, nil, errorf(n, "windows of more than %d elements", MaxElements/8)
			}
		}
	}
	coord := make([]int, len(win))
	for range Size(out[2:]) {
		if err := g.addWindow(n, win, taps, coord, include); err != nil {
			return nil, nil, err
		}
		for d := len(win) - 1; d >= 0; d-- {
			if coord[d]++; coord[d] < win[d].out {
				break
			}
			coord[d] = 0
		}
	}
	return g, out, nil
}

// addWindow appends the window at the output coordinates coord.
func (g *groups) addWindow(n *Node, win []axisWindow, taps [][][]int, coord []int, include bool) error {
	base := []int32{0}
	div := 1
	for d := range win {
		t := taps[d][coord[d]]
		if len(t) > 0 && len(base) > MaxElements/8/len(t) {
			return errorf(n, "windows of more than %d elements", MaxElements/8)
		}
		next := make([]int32, 0, len(base)*len(t))
		for _, b := range base {
			for _, c := range t {
				next = append(next, b*int32(win[d].in)+int32(c))
			}
		}
		base = next
		if include {
			div *= win[d].padded(coord[d])
		} else {
			div *= len(t)
		}
	}
	if len(base) == 0 {
		return errorf(n, "a window lies in the padding")
	}
	if g.idx = append(g.idx, base...); len(g.idx) > MaxElements {
		return errorf(n, "windows of more than %d elements", MaxElements)
	}
	g.ptr = append(g.ptr, int32(len(g.idx)))
	g.div = append(g.div, div)
	return nil
}

// repeat returns the groups of count channels of area elements each, one after the other.
func (g *groups) repeat(n *Node, count, area int) (*groups, error) {
	if len(g.idx) > 0 && count > MaxElements/len(g.idx) {
		return nil, unsupported(n, "windows of more than %d elements", MaxElements)
	}
	all := &groups{ptr: []int32{0}}
	for c := range count {
		for o := range len(g.ptr) - 1 {
			for _, i := range g.idx[g.ptr[o]:g.ptr[o+1]] {
				all.idx = append(all.idx, i+int32(c*area))
			}
			all.ptr = append(all.ptr, int32(len(all.idx)))
		}
		all.div = append(all.div, g.div...)
	}
	return all, nil
}

// eval computes f of every group over each of the channels of x, dst having one run of outputs per channel.
func (g *groups) eval(dst, x []float64, area int, f func(x []float64, idx []int32, div int) float64) {
	outs := len(g.ptr) - 1
	if outs == 0 {
		return
	}
	for c := range len(dst) / outs {
		for o := range outs {
			dst[c*outs+o] = f(x[c*area:], g.idx[g.ptr[o]:g.ptr[o+1]], g.div[o])
		}
	}
}

func groupMax(x []float64, idx []int32, _ int) float64 {
	m := math.Inf(-1)
	for _, i := range idx {
		m = max(m, x[i])
	}
	return m
}

func groupMin(x []float64, idx []int32, _ int) float64 {
	m := math.Inf(1)
	for _, i := range idx {
		m = min(m, x[i])
	}
	return m
}

func groupMean(x []float64, idx []int32, div int) float64 {
	return groupSum(x, idx, div) / float64(div)
}

func groupSum(x []float64, idx []int32, _ int) float64 {
	s := 0.0
	for _, i := range idx {
		s += x[i]
	}
	return s
}

// lowerMean appends the mean (or, with mean false, the sum) of every group. Sound: the only rounding is that of 1/div.
func (g *groups) lowerMean(n *Node, b *prog.Builder, v Value, shape []int, mean bool) ([]Value, error) {
	var e rounding
	m := csr{ptr: g.ptr, idx: g.idx, val: make([]float64, len(g.idx))}
	for o := range len(g.ptr) - 1 {
		c := 1.0
		if mean {
			c = e.div(1, float64(g.div[o]))
		}
		for i := g.ptr[o]; i < g.ptr[o+1]; i++ {
			m.val[i] = c
		}
	}
	if e.bad {
		return nil, unsupported(n, "mean over an empty group")
	}
	k := b.Affine(n.Name, len(g.ptr)-1, nil, e.rel, prog.Term{Src: v.Node, Map: m.linear(Size(v.Shape))})
	return node(k, shape), nil
}

// lowerExtremum appends the maximum (sign 1) or minimum (sign −1) of every group as a balanced tree of
// max(x,y) = y + relu(x−y), all groups in step. Exact: every coefficient is ±1; padding is no operand at all.
func (g *groups) lowerExtremum(n *Node, b *prog.Builder, v Value, shape []int, sign float64) ([]Value, error) {
	cur, width := v.Node, Size(v.Shape)
	ptr, idx := g.ptr, g.idx
	for o := range len(ptr) - 1 {
		if ptr[o] == ptr[o+1] {
			return nil, unsupported(n, "extremum of an empty group")
		}
	}
	for {
		var diff csr           // one row per pair: sign·(x−y)
		var keep, pair []int32 // per element of the next level: the operand that stays, and its pair or −1
		next, pairs := []int32{0}, 0
		for o := range len(ptr) - 1 {
			w := idx[ptr[o]:ptr[o+1]]
			for ; len(w) >= 2; w = w[2:] {
				keep, pair = append(keep, w[1]), append(pair, int32(pairs))
				diff.add(w[0], sign)
				diff.add(w[1], -sign)
				diff.endRow()
				pairs++
			}
			if len(w) == 1 {
				keep, pair = append(keep, w[0]), append(pair, -1)
			}
			next = append(next, int32(len(keep)))
		}
		if pairs == 0 {
			k := cur
			if !identity(keep, width) {
				k = b.Affine(n.Name, len(keep), nil, 0, prog.Term{Src: cur, Map: prog.Index(width, keep)})
			}
			return node(k, shape), nil
		}
		r := b.Relu(n.Name, b.Affine(n.Name, pairs, nil, 0, prog.Term{Src: cur, Map: diff.linear(width)}))
		var s []float64
		if sign < 0 {
			s = constant(-1, len(pair))
		}
		cur = b.Affine(n.Name, len(keep), nil, 0,
			prog.Term{Src: cur, Map: prog.Index(width, keep)}, prog.Term{Src: r, Map: selection(pairs, pair, s)})
		width, ptr, idx = len(keep), next, iota32(len(keep))
	}
}

var _ = registerPool("MaxPool", "maximum over sliding windows of any rank, with ceil_mode and dilations",
	groupMax, func(g *groups, n *Node, b *prog.Builder, v Value, shape []int) ([]Value, error) {
		return g.lowerExtremum(n, b, v, shape, 1)
	})

var _ = registerPool("AveragePool", "mean over sliding windows of any rank, with ceil_mode and count_include_pad",
	groupMean, func(g *groups, n *Node, b *prog.Builder, v Value, shape []int) ([]Value, error) {
		return g.lowerMean(n, b, v, shape, true)
	})

func registerPool(name, doc string, f func(x []float64, idx []int32, div int) float64,
	lower func(g *groups, n *Node, b *prog.Builder, v Value, shape []int) ([]Value, error)) *Spec {
	return register(&Spec{
		Name: name,
		Doc:  doc,
		Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
			g, shape, err := poolGroups(n, in[0].Shape)
			if err != nil {
				return nil, err
			}
			out, err := newTensor(n, in[0].Type, shape)
			if err != nil {
				return nil, err
			}
			g.eval(out.Data, in[0].Data, Size(in[0].Shape[2:]), f)
			return []*Tensor{out}, nil
		}),
		Lower: func(n *Node, b *prog.Builder, in []Value, _ [][]int) ([]Value, error) {
			g, shape, err := poolGroups(n, in[0].Shape)
			if err != nil {
				return nil, err
			}
			if g, err = g.repeat(n, shape[0]*shape[1], Size(in[0].Shape[2:])); err != nil {
				return nil, err
			}
			return lower(g, n, b, in[0], shape)
		},
		Example: func(r *rand.Rand) Example {
			attrs := map[string]Attr{
				"kernel_shape":      {Is: []int64{2 + int64(r.IntN(2)), 3}},
				"strides":           {Is: []int64{1 + int64(r.IntN(3)), 2}},
				"pads":              {Is: []int64{int64(r.IntN(2)), 1, 1, int64(r.IntN(2))}},
				"ceil_mode":         {I: int64(r.IntN(2))},
				"count_include_pad": {I: int64(r.IntN(2))},
			}
			return example(name, 12, attrs, randTensor(r, 1+r.IntN(2), 2, 5, 6))
		},
	})
}

var _ = registerGlobalPool("GlobalAveragePool", "mean over all spatial positions", "ReduceMean")
var _ = registerGlobalPool("GlobalMaxPool", "maximum over all spatial positions", "ReduceMax")

// registerGlobalPool registers pooling over the whole image as a reduction of the spatial axes that keeps them.
func registerGlobalPool(name, doc, reduction string) *Spec {
	r := reductions[reduction]
	axes := func(n *Node, shape []int) ([]int, error) {
		if len(shape) < 3 {
			return nil, errorf(n, "input of shape %v has no spatial axes", shape)
		}
		var a []int
		for i := 2; i < len(shape); i++ {
			a = append(a, i)
		}
		return slices.Clip(a), nil
	}
	return register(&Spec{
		Name: name,
		Doc:  doc,
		Eval: arity(1, 1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
			a, err := axes(n, in[0].Shape)
			if err != nil {
				return nil, err
			}
			return one(r.eval(n, in[0], a, true))
		}),
		Lower: func(n *Node, b *prog.Builder, in []Value, _ [][]int) ([]Value, error) {
			a, err := axes(n, in[0].Shape)
			if err != nil {
				return nil, err
			}
			return r.lower(n, b, in[0], a, true)
		},
		Example: func(r *rand.Rand) Example { return example(name, 12, nil, randTensor(r, 2, 2, 3, 2)) },
	})
}
