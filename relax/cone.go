package relax

import "github.com/spai-project/certify/nn/prog"

// Cone returns f on the part of the network that the given elements of affine node k depend on, which ends with k: inactive
// neurons, inputs and elements that do not matter are left out. Of a picture, neighbouring pixels see a small part. It returns f
// itself where such a part cannot be made: products, curves they depend on, magnitudes out of reach.
//
// Soundness: that of DropInactive; what is left out besides inactive neurons has no entry in any map that leads to the elements.
func (f *Frame) Cone(k int, elems []int32) *Frame {
	n := f.Net
	if f.reach < len(f.S) || n.P.Nodes[k].Kind != prog.Affine {
		return f
	}
	need := make([][]bool, k+1)
	mark := func(i int) []bool {
		if need[i] == nil {
			need[i] = make([]bool, n.P.Nodes[i].N)
		}
		return need[i]
	}
	mark(0)
	for _, j := range elems {
		mark(k)[j] = true
	}
	keep := make([][]int32, len(n.P.Nodes))
	for i := k; i >= 0; i-- {
		keep[i] = listed(need[i], n.P.Nodes[i].N)
		if need[i] == nil || i == 0 {
			continue
		}
		switch nd := &n.P.Nodes[i]; nd.Kind {
		case prog.Affine:
			for _, t := range nd.Terms {
				prog.MarkColumns(t.Map, keep[i], mark(t.Src))
			}
		case prog.Relu:
			src := mark(nd.Src)
			for j, m := range need[i] {
				if m && (f.B.U[nd.Src][j] > 0 || len(n.Acts[i]) > 0) { // σ(0) is not 0
					src[j] = true
				}
			}
		case prog.Sigmoid:
			src := mark(nd.Src)
			for j, m := range need[i] {
				src[j] = src[j] || m
			}
		default:
			return f
		}
	}
	for i := 1; i <= k; i++ { // activations work element by element, also those of activations
		switch nd := &n.P.Nodes[i]; nd.Kind {
		case prog.Affine:
		case prog.Product: // of nodes of which different elements may be kept
			return f
		default:
			keep[i] = keep[nd.Src]
		}
	}
	return f.part(keep, k)
}

// listed returns the marked indices, nil when all n are, one of them when none is: layers of no neurons are nobody's business.
func listed(mark []bool, n int) []int32 {
	var list []int32
	for j, m := range mark {
		if m {
			list = append(list, int32(j))
		}
	}
	switch len(list) {
	case n: // also 0 of 0
		return nil
	case 0:
		return []int32{0}
	}
	return list
}
