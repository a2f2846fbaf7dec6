package relax

import "github.com/spai-project/certify/nn/prog"

// DropInactive returns a frame equal to f on a network without the neurons that f shows to be inactive (their output is 0 on all of
// f's set, so nothing reads them), except those with a split, whose multipliers need them. It returns f itself when less than an
// eighth of the work would go. Nodes keep their indices, elements are renumbered: splits are given in the numbers of the original
// network (Local, Original).
//
// Soundness: at every point of the set the kept elements have the same values in both networks, so a bound on the one is a bound
// on the other; the scale of a kept element was computed with more summands, hence is no smaller.
func (f *Frame) DropInactive(splits []Split) *Frame {
	n := f.Net
	if f.reach < len(f.S) {
		return f
	}
	keep := f.kept(splits)
	before, after := 0, 0
	for k := range n.P.Nodes {
		for _, t := range n.P.Nodes[k].Terms {
			before += prog.Work(t.Map)
			after += prog.SubmatrixWork(t.Map, countKept(keep[k], n.P.Nodes[k].N), countKept(keep[t.Src], n.P.Nodes[t.Src].N))
		}
	}
	if 8*(before-after) <= before {
		return f
	}
	return f.part(keep, n.P.Output)
}

// part returns f on the network of the elements listed per node (nil: all of it), cut off after node out.
func (f *Frame) part(keep [][]int32, out int) *Frame {
	n := f.Net
	p := &prog.Program{Nodes: append([]prog.Node(nil), n.P.Nodes[:out+1]...), Output: out, Binary32: n.P.Binary32}
	for k := range p.Nodes {
		nd := &p.Nodes[k]
		nd.N = countKept(keep[k], nd.N)
		if nd.Bias != nil {
			nd.Bias = pick(nd.Bias, keep[k])
		}
		if nd.Rounding.BiasMag != nil {
			nd.Rounding.BiasMag = pick(nd.Rounding.BiasMag, keep[k])
		}
		nd.Terms = append([]prog.Term(nil), nd.Terms...)
		for i, t := range nd.Terms {
			nd.Terms[i].Map = prog.Submatrix(t.Map, keep[k], keep[t.Src])
		}
	}
	m := newNet(p)
	m.inherit(n)
	m.orig, m.local = composeIndex(n, keep[:out+1])
	b, s := &Bounds{make([][]float64, len(p.Nodes)), make([][]float64, len(p.Nodes))}, make(Scale, len(p.Nodes))
	for k := range p.Nodes {
		b.L[k], b.U[k], s[k] = pick(f.B.L[k], keep[k]), pick(f.B.U[k], keep[k]), pick(f.S[k], keep[k])
	}
	box := f.Box
	if keep[0] != nil {
		box = Box{pick(box.Lo, keep[0]), pick(box.Hi, keep[0])}
	}
	return m.NewFrame(box, b, s)
}

// kept lists, per node, the elements that stay (nil: all).
func (f *Frame) kept(splits []Split) [][]int32 {
	n := f.Net
	keep := make([][]int32, len(n.P.Nodes))
	need := make([]map[int32]bool, len(n.P.Nodes))
	for _, s := range splits {
		s = n.Local(s)
		if need[s.Act] == nil {
			need[s.Act] = map[int32]bool{}
		}
		need[s.Act][s.Elem] = true
	}
	for k := range n.P.Nodes {
		if n.P.Nodes[k].Kind != prog.Relu || !n.reducible(k) {
			continue
		}
		src := n.P.Nodes[k].Src
		list := make([]int32, 0, n.P.Nodes[k].N)
		for j, u := range f.B.U[src] {
			if u > 0 || need[k][int32(j)] {
				list = append(list, int32(j))
			}
		}
		if len(list) == 0 {
			list = append(list, 0) // layers of no neurons are nobody's business
		}
		if len(list) < n.P.Nodes[k].N {
			keep[k], keep[src] = list, list
		}
	}
	return keep
}

// reducible reports whether elements of Relu node k can be left out: it is the only reader of an affine node.
func (n *Net) reducible(k int) bool {
	src := n.P.Nodes[k].Src
	if n.P.Nodes[src].Kind != prog.Affine || src == n.P.Output || k == n.P.Output {
		return false
	}
	for i := range n.P.Nodes {
		nd := &n.P.Nodes[i]
		if nd.Kind != prog.Affine {
			if i > 0 && i != k && (nd.Src == src || nd.Src == k || nd.Kind == prog.Product && (nd.Src2 == src || nd.Src2 == k)) {
				return false
			}
			continue
		}
		for _, t := range nd.Terms {
			if t.Src == src {
				return false
			}
		}
	}
	return true
}

func countKept(keep []int32, n int) int {
	if keep == nil {
		return n
	}
	return len(keep)
}

func pick(x []float64, keep []int32) []float64 {
	if keep == nil {
		return append([]float64(nil), x...)
	}
	y := make([]float64, len(keep))
	for i, j := range keep {
		y[i] = x[j]
	}
	return y
}

// composeIndex returns the numbering of n's elements listed in keep in the original network, and its inverse (−1: left out).
func composeIndex(n *Net, keep [][]int32) (orig, local [][]int32) {
	orig, local = make([][]int32, len(keep)), make([][]int32, len(keep))
	for k, list := range keep {
		o := n.original(k)
		if list == nil {
			orig[k], local[k] = o, n.localOf(k)
			continue
		}
		total := n.P.Nodes[k].N
		if l := n.localOf(k); l != nil {
			total = len(l)
		}
		orig[k], local[k] = make([]int32, len(list)), make([]int32, total)
		for j := range local[k] {
			local[k][j] = -1
		}
		for i, j := range list {
			if o != nil {
				j = o[j]
			}
			orig[k][i], local[k][j] = j, int32(i)
		}
	}
	return orig, local
}

func (n *Net) original(k int) []int32 {
	if n.orig == nil {
		return nil
	}
	return n.orig[k]
}

func (n *Net) localOf(k int) []int32 {
	if n.local == nil {
		return nil
	}
	return n.local[k]
}

// Local translates a split from the numbers of the original network. Its element must not have been left out.
func (n *Net) Local(s Split) Split {
	if l := n.localOf(int(s.Act)); l != nil {
		s.Elem = l[s.Elem]
	}
	return s
}

// Original translates a split to the numbers of the original network.
func (n *Net) Original(s Split) Split {
	if o := n.original(int(s.Act)); o != nil {
		s.Elem = o[s.Elem]
	}
	return s
}

// ToLocal renumbers elements of node k from the original network's numbers, in place; they must be among the kept ones.
func (n *Net) ToLocal(k int, elems []int32) {
	if l := n.localOf(k); l != nil {
		for i, j := range elems {
			elems[i] = l[j]
		}
	}
}
