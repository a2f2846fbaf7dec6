package op

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/spai-project/certify/nn/prog"
)

// A reduction folds groups of elements into one; since is the opset from which its axes are an input.
type reduction struct {
	doc   string
	since int
	empty bool // defined for an empty group
	f     func(x []float64, idx []int32, div int) float64
	build func(g *groups, n *Node, b *prog.Builder, v Value, shape []int) ([]Value, error) // nil: not bounded
}

var reductions = map[string]*reduction{
	"ReduceSum": {"sum over axes", 13, true, groupSum,
		func(g *groups, n *Node, b *prog.Builder, v Value, shape []int) ([]Value, error) {
			return g.lowerMean(n, b, v, shape, false)
		}},
	"ReduceMean": {"mean over axes", 18, false, groupMean,
		func(g *groups, n *Node, b *prog.Builder, v Value, shape []int) ([]Value, error) {
			return g.lowerMean(n, b, v, shape, true)
		}},
	"ReduceMax": {"maximum over axes", 18, false, groupMax,
		func(g *groups, n *Node, b *prog.Builder, v Value, shape []int) ([]Value, error) {
			return g.lowerExtremum(n, b, v, shape, 1)
		}},
	"ReduceMin": {"minimum over axes", 18, false, groupMin,
		func(g *groups, n *Node, b *prog.Builder, v Value, shape []int) ([]Value, error) {
			return g.lowerExtremum(n, b, v, shape, -1)
		}},
	"ReduceProd": {"product over axes (not bounded)", 18, true, func(x []float64, idx []int32, _ int) float64 {
		p := 1.0
		for _, i := range idx {
			p *= x[i]
		}
		return p
	}, nil},
	"ReduceL2": {"Euclidean norm over axes (not bounded)", 18, true, func(x []float64, idx []int32, _ int) float64 {
		s := 0.0
		for _, i := range idx {
			s += x[i] * x[i]
		}
		return math.Sqrt(s)
	}, nil},
	"ReduceSumSquare": {"sum of squares over axes (not bounded)", 18, true, func(x []float64, idx []int32, _ int) float64 {
		s := 0.0
		for _, i := range idx {
			s += x[i] * x[i]
		}
		return s
	}, nil},
}

var _ = registerReductions()

func registerReductions() bool {
	for name, r := range reductions {
		s := &Spec{
			Name: name,
			Doc:  r.doc,
			Eval: arity(1, 2, func(n *Node, in []*Tensor) ([]*Tensor, error) {
				axes, keep, err := r.axes(n, in[0].Shape, in[1])
				if err != nil {
					return nil, err
				}
				return one(r.eval(n, in[0], axes, keep))
			}),
			Example: func(rnd *rand.Rand) Example {
				if rnd.IntN(2) == 0 {
					return example(name, 11, map[string]Attr{"axes": {Is: []int64{-1, 0}}, "keepdims": {I: int64(rnd.IntN(2))}}, randTensor(rnd, 2, 3, 4))
				}
				return example(name, 18, nil, randTensor(rnd, 2, 3, 3), intTensor(1))
			},
		}
		if r.build != nil {
			s.Lower = pad(2, func(n *Node, b *prog.Builder, in []Value, _ [][]int) ([]Value, error) {
				if !in[0].variable() || in[1].variable() {
					return nil, unsupported(n, "the axes depend on the input")
				}
				axes, keep, err := r.axes(n, in[0].Shape, in[1].Const)
				if err != nil {
					return nil, err
				}
				return r.lower(n, b, in[0], axes, keep)
			})
		}
		register(s)
	}
	return true
}

// axes returns the axes to reduce, in ascending order, and whether they are kept with size 1.
func (r *reduction) axes(n *Node, shape []int, param *Tensor) (axes []int, keep bool, err error) {
	var list []int64
	if n.Opset < r.since {
		list, _ = n.ints("axes")
	} else {
		list = listParam(n, "axes", param)
	}
	keep = n.int("keepdims", 1) != 0
	if axes, err = axesOf(n, list, len(shape)); err != nil {
		return nil, false, err
	}
	if len(axes) == 0 && n.int("noop_with_empty_axes", 0) == 0 {
		for i := range shape {
			axes = append(axes, i)
		}
	}
	slices.Sort(axes)
	return axes, keep, nil
}

// groups returns the elements that each output element folds, and the output's shape.
func (r *reduction) groups(n *Node, shape, axes []int, keep bool) (*groups, []int, error) {
	src := strides(shape)
	out := []int{}
	var kept, keptStride, red, redStride []int
	for i, d := range shape {
		if slices.Contains(axes, i) {
			red, redStride = append(red, d), append(redStride, src[i])
			if keep {
				out = append(out, 1)
			}
			continue
		}
		kept, keptStride, out = append(kept, d), append(keptStride, src[i]), append(out, d)
	}
	if _, err := sizeOf(n, out); err != nil {
		return nil, nil, err
	}
	base, inner := strided(kept, keptStride, 0), strided(red, redStride, 0)
	if len(inner) == 0 && len(base) > 0 && !r.empty {
		return nil, nil, errorf(n, "shape %v has nothing to reduce", shape)
	}
	g := &groups{ptr: make([]int32, 1, len(base)+1), idx: make([]int32, 0, len(base)*len(inner)), div: make([]int, len(base))}
	for o, b := range base {
		for _, i := range inner {
			g.idx = append(g.idx, b+i)
		}
		g.ptr = append(g.ptr, int32(len(g.idx)))
		g.div[o] = len(inner)
	}
	return g, out, nil
}

func (r *reduction) eval(n *Node, t *Tensor, axes []int, keep bool) (*Tensor, error) {
	g, shape, err := r.groups(n, t.Shape, axes, keep)
	if err != nil {
		return nil, err
	}
	out := &Tensor{Type: t.Type, Shape: shape, Data: make([]float64, len(g.div))}
	for o := range out.Data {
		out.Data[o] = r.f(t.Data, g.idx[g.ptr[o]:g.ptr[o+1]], g.div[o])
	}
	if t.Type.integer() {
		for i, v := range out.Data {
			out.Data[i] = math.Trunc(v)
		}
	}
	return out, nil
}

func (r *reduction) lower(n *Node, b *prog.Builder, v Value, axes []int, keep bool) ([]Value, error) {
	g, shape, err := r.groups(n, v.Shape, axes, keep)
	if err != nil {
		return nil, err
	}
	return r.build(g, n, b, v, shape)
}
