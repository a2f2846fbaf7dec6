package spec

import (
	"slices"

	"github.com/spai-project/certify/nn/prog"
)

// softmaxGroups recognises a program that ends in y_e = 1/Σ_k e^(z_k − z_e), the sum over the group of e and the term of e itself being
// 1, as Softmax is lowered. It returns the node z and for every element the number of its group; nil when the program ends otherwise.
//
// Sound because it reads the coefficients: every sum has coefficients 1 and no constant, every exponent is z_k − z_e or nothing, and
// the elements of one sum are the same set for every element of the group.
func softmaxGroups(p *prog.Program) (src int, group []int) {
	is := func(k int, kind prog.Kind, fn prog.Fn) bool {
		return p.Nodes[k].Kind == kind && p.Nodes[k].Fn == fn
	}
	plain := func(k int) (*prog.Node, bool) {
		n := &p.Nodes[k]
		return n, n.Kind == prog.Affine && n.Bias == nil && n.Rel == 0 && len(n.Terms) == 1
	}
	if !is(p.Output, prog.Curve, prog.Reciprocal) {
		return 0, nil
	}
	sum, ok := plain(p.Nodes[p.Output].Src)
	if !ok || !is(sum.Terms[0].Src, prog.Curve, prog.Exp) {
		return 0, nil
	}
	diff, ok := plain(p.Nodes[sum.Terms[0].Src].Src)
	if !ok || p.Nodes[diff.Terms[0].Src].N != sum.N {
		return 0, nil
	}
	plus, minus := make([]int, diff.N), make([]int, diff.N) // z_plus − z_minus, −1: absent
	for i := range plus {
		plus[i], minus[i] = -1, -1
	}
	fits := true
	diff.Terms[0].Map.Each(func(i, j int, v float64) {
		switch {
		case v == 0:
		case v == 1 && plus[i] < 0:
			plus[i] = j
		case v == -1 && minus[i] < 0:
			minus[i] = j
		default:
			fits = false
		}
	})
	members := make([][]int, sum.N)
	sum.Terms[0].Map.Each(func(e, i int, v float64) {
		switch {
		case v == 0:
		case v != 1:
			fits = false
		case plus[i] < 0 && minus[i] < 0:
			members[e] = append(members[e], e)
		case plus[i] >= 0 && minus[i] == e:
			members[e] = append(members[e], plus[i])
		default:
			fits = false
		}
	})
	if !fits {
		return 0, nil
	}
	group = make([]int, sum.N)
	for e, m := range members {
		slices.Sort(m)
		if len(slices.Compact(slices.Clone(m))) != len(m) || !slices.Contains(m, e) || !slices.Equal(m, members[m[0]]) {
			return 0, nil
		}
		group[e] = m[0]
	}
	return diff.Terms[0].Src, group
}

// peelSoftmax restates c·y_a − c·y_b ≤ 0 within a group as the same row about z; others it refuses.
func peelSoftmax(r *Row, group []int) (options [][]Row, ok bool) {
	if len(r.X) > 0 || len(r.Y) != 2 || r.RHSLower != 0 || r.RHSUpper != 0 {
		return nil, false
	}
	a, b := r.Y[0], r.Y[1]
	if a.Err != 0 || b.Err != 0 || a.Value == 0 || a.Value != -b.Value || a.Index == b.Index || group[a.Index] != group[b.Index] {
		return nil, false
	}
	return [][]Row{{*r}}, true
}
