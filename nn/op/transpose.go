package op

import "math/rand/v2"

var _ = registerMove("Transpose", "axes permuted by perm (reversed by default)", 1, 1,
	func(n *Node, in []*Tensor) ([]move, error) {
		rank := len(in[0].Shape)
		perm, ok := n.ints("perm")
		if !ok {
			for i := rank - 1; i >= 0; i-- {
				perm = append(perm, int64(i))
			}
		}
		axes, err := axesOf(n, perm, rank)
		if err != nil {
			return nil, err
		}
		if len(axes) != rank {
			return nil, errorf(n, "perm has %d entries for rank %d", len(axes), rank)
		}
		return []move{permute(in[0].Shape, axes)}, nil
	}, func(r *rand.Rand) Example {
		return example("Transpose", 13, map[string]Attr{"perm": {Is: []int64{2, 0, 1}}}, randTensor(r, 2, 3, 4))
	})

// permute moves axis axes[i] of a tensor of the given shape to position i.
func permute(shape, axes []int) move {
	src := strides(shape)
	out, stride := make([]int, len(axes)), make([]int, len(axes))
	for i, a := range axes {
		out[i], stride[i] = shape[a], src[a]
	}
	return move{shape: out, idx: strided(out, stride, 0)}
}

var _ = registerMove("DepthToSpace", "blocks of channels become spatial blocks; modes DCR and CRD", 1, 1,
	func(n *Node, in []*Tensor) ([]move, error) {
		s, b, err := blockShape(n, in[0].Shape)
		if err != nil {
			return nil, err
		}
		if s[1]%(b*b) != 0 {
			return nil, errorf(n, "%d channels are not a multiple of %d", s[1], b*b)
		}
		c := s[1] / (b * b)
		m := permute([]int{s[0], b, b, c, s[2], s[3]}, []int{0, 3, 4, 1, 5, 2})
		if n.str("mode", "DCR") == "CRD" {
			m = permute([]int{s[0], c, b, b, s[2], s[3]}, []int{0, 1, 4, 2, 5, 3})
		}
		m.shape = []int{s[0], c, s[2] * b, s[3] * b}
		return []move{m}, nil
	}, func(r *rand.Rand) Example {
		mode := []string{"DCR", "CRD"}[r.IntN(2)]
		return example("DepthToSpace", 13, map[string]Attr{"blocksize": {I: 2}, "mode": {S: mode}}, randTensor(r, 1, 8, 2, 3))
	})

var _ = registerMove("SpaceToDepth", "spatial blocks become channels", 1, 1,
	func(n *Node, in []*Tensor) ([]move, error) {
		s, b, err := blockShape(n, in[0].Shape)
		if err != nil {
			return nil, err
		}
		if s[2]%b != 0 || s[3]%b != 0 {
			return nil, errorf(n, "%v is not a multiple of the block size %d", s, b)
		}
		m := permute([]int{s[0], s[1], s[2] / b, b, s[3] / b, b}, []int{0, 3, 5, 1, 2, 4})
		m.shape = []int{s[0], s[1] * b * b, s[2] / b, s[3] / b}
		return []move{m}, nil
	}, func(r *rand.Rand) Example {
		return example("SpaceToDepth", 13, map[string]Attr{"blocksize": {I: 2}}, randTensor(r, 1, 2, 4, 6))
	})

func blockShape(n *Node, shape []int) (s []int, block int, err error) {
	b := n.int("blocksize", 0)
	if len(shape) != 4 || b < 1 || b > 1<<14 {
		return nil, 0, errorf(n, "shape %v with block size %d", shape, b)
	}
	return shape, int(b), nil
}
