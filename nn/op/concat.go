package op

import (
	"math/rand/v2"
	"slices"

	"github.com/spai-project/certify/nn/prog"
)

var _ = register(&Spec{
	Name: "Concat",
	Doc:  "tensors joined along an axis",
	Eval: arity(1, -1, func(n *Node, in []*Tensor) ([]*Tensor, error) {
		shapes := make([][]int, len(in))
		for i, t := range in {
			if t == nil {
				return nil, errorf(n, "input %d is missing", i)
			}
			shapes[i] = t.Shape
		}
		c, err := newConcat(n, shapes)
		if err != nil {
			return nil, err
		}
		out, err := newTensor(n, in[0].Type, c.shape)
		if err != nil {
			return nil, err
		}
		for i, t := range in {
			c.scatter(i, out.Data, t.Data)
		}
		return []*Tensor{out}, nil
	}),
	Lower: func(n *Node, b *prog.Builder, in []Value, out [][]int) ([]Value, error) {
		shapes := make([][]int, len(in))
		for i, v := range in {
			shapes[i] = v.Shape
		}
		c, err := newConcat(n, shapes)
		if err != nil {
			return nil, err
		}
		return c.lower(n, b, in)
	},
	Example: func(r *rand.Rand) Example {
		ex := example("Concat", 13, map[string]Attr{"axis": {I: -2}}, randTensor(r, 2, 3, 2), randTensor(r, 2, 1, 2), randTensor(r, 2, 2, 2))
		ex.Const[2] = false
		return ex
	},
})

// concat is the geometry of a concatenation: part i holds, in each of outer blocks of total elements, len[i] elements
// from offset at[i].
type concat struct {
	shape        []int
	outer, total int
	at, len      []int
}

func newConcat(n *Node, shapes [][]int) (*concat, error) {
	axis, err := axisOf(n, n.int("axis", 1), len(shapes[0]))
	if err != nil {
		return nil, err
	}
	c := &concat{shape: slices.Clone(shapes[0]), outer: Size(shapes[0][:axis])}
	c.shape[axis] = 0
	inner := Size(shapes[0][axis+1:])
	for i, s := range shapes {
		if len(s) != len(c.shape) || !slices.Equal(s[:axis], c.shape[:axis]) || !slices.Equal(s[axis+1:], c.shape[axis+1:]) {
			return nil, errorf(n, "input %d has shape %v, the first %v", i, s, shapes[0])
		}
		c.at = append(c.at, c.total)
		c.len = append(c.len, s[axis]*inner)
		c.total += s[axis] * inner
		c.shape[axis] += s[axis]
		if c.shape[axis] > MaxElements || c.total > MaxElements {
			return nil, errorf(n, "more than %d elements", MaxElements)
		}
	}
	return c, nil
}

func (c *concat) scatter(part int, dst, src []float64) {
	for o := range c.outer {
		copy(dst[o*c.total+c.at[part]:], src[o*c.len[part]:(o+1)*c.len[part]])
	}
}

// lower places each variable part by an index map and the constant parts in the bias. Exact.
func (c *concat) lower(n *Node, b *prog.Builder, in []Value) ([]Value, error) {
	size := c.outer * c.total
	var bias []float64
	var terms []prog.Term
	for i, v := range in {
		if !v.variable() {
			if v.Const == nil || !finite(v.Const.Data) {
				return nil, unsupported(n, "a constant part is missing, NaN or infinite")
			}
			if bias == nil {
				bias = make([]float64, size)
			}
			c.scatter(i, bias, v.Const.Data)
			continue
		}
		idx := make([]int32, size)
		for k := range idx {
			idx[k] = -1
		}
		for o := range c.outer {
			for k := range c.len[i] {
				idx[o*c.total+c.at[i]+k] = int32(o*c.len[i] + k)
			}
		}
		terms = append(terms, prog.Term{Src: v.Node, Map: prog.Index(Size(v.Shape), idx)})
	}
	return node(b.Affine(n.Name, size, bias, 0, terms...), c.shape), nil
}
