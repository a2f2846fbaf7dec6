package relax

import "github.com/spai-project/certify/nn/prog"

// A Special is a network reduced to what varies over one box: inputs that are fixed there, and everything computed from them
// alone, have become constants, and a product with such a constant is affine (partial evaluation). Queries that ask about
// thousands of rows of a table fix nearly all inputs in each.
//
// The constants that did not fit into exact coefficients are further inputs, after the free ones, each confined to the thin
// interval that encloses its value.
type Special struct {
	Net  *Net
	Box  Box
	Free []int // the inputs of the original network that the first len(Free) inputs stand for
}

// specialEntries bounds the entries that the maps of a reduced network may have: convolutions are written out row by row.
const specialEntries = 1 << 22

// Specialize reduces n over a box, given interval bounds b on it (IBP's, or tighter). It reports false when less than half of
// the inputs are fixed, none varies, or the reduced maps would be too large to be written out; and where binary32 roundings are
// declared, because a row's error comes from all its summands, and these become constants.
//
// Soundness: at every point of the box, the values of the original network's elements solve the reduced program for some
// values of the added inputs in their intervals: an element that depends on fixed inputs alone is inside its bounds in b, a
// stably inactive ReLU is 0, a product with 0 is 0, and a row's constant part is enclosed with outward rounding.
func (n *Net) Specialize(box Box, b *Bounds) (*Special, bool) {
	s := &specializer{n: n, b: b, fixed: make([][]bool, len(n.P.Nodes)), at: make([]int, len(n.P.Nodes)), idx: make([][]int32, len(n.P.Nodes))}
	sp := &Special{}
	s.fixed[0] = make([]bool, len(box.Lo))
	s.idx[0] = make([]int32, len(box.Lo))
	for i, lo := range box.Lo {
		s.idx[0][i] = -1
		if !box.Varies(i) {
			s.fixed[0][i] = true
			continue
		}
		s.idx[0][i] = int32(len(sp.Free))
		sp.Free = append(sp.Free, i)
		s.lo, s.hi = append(s.lo, lo), append(s.hi, box.Hi[i])
	}
	if len(sp.Free) == 0 || 2*len(sp.Free) > len(box.Lo) || n.rows != nil {
		return nil, false
	}
	work := 0
	for k := 1; k < len(n.P.Nodes); k++ {
		s.fix(k)
		s.number(k)
		if work += n.rowFan[k] * len(s.rows(k)); work > specialEntries {
			return nil, false
		}
	}
	p := s.build(len(sp.Free))
	if p == nil {
		return nil, false
	}
	sp.Net = NewNet(prog.Simplify(p, nil))
	sp.Box = Box{s.lo, s.hi}
	return sp, true
}

// specializer is the state of one Specialize. An element of a node is fixed when it is constant for its readers; idx numbers
// the elements that the reduced node has, −1 for the others. Dead ReLUs are both: present, and 0 for their readers.
type specializer struct {
	n      *Net
	b      *Bounds
	fixed  [][]bool
	idx    [][]int32
	at     []int // reduced node
	nodes  []prog.Node
	lo, hi []float64 // the reduced box
	sc     ibpScratch
}

// zero reports whether an element is exactly 0.
func (s *specializer) zero(k, j int) bool { return s.b.L[k][j] == 0 && s.b.U[k][j] == 0 }

// fix finds the fixed elements of node k.
func (s *specializer) fix(k int) {
	nd := &s.n.P.Nodes[k]
	f := make([]bool, nd.N)
	s.fixed[k] = f
	switch nd.Kind {
	case prog.Affine:
		s.sc.zs = zeroed(s.sc.zs, nd.N)
		free := s.sc.zs
		for _, t := range nd.Terms {
			s.sc.m = zeroed(s.sc.m, s.n.P.Nodes[t.Src].N)
			varies := false
			for j, fx := range s.fixed[t.Src] {
				if !fx {
					s.sc.m[j], varies = 1, true
				}
			}
			if varies {
				t.Map.ForwardAbs(free, s.sc.m, 1)
			}
		}
		for j, v := range free {
			f[j] = v == 0
		}
	case prog.Product:
		for j := range f {
			f[j] = s.fixed[nd.Src][j] && s.fixed[nd.Src2][j] || s.zero(nd.Src, j) || s.zero(nd.Src2, j)
		}
	default:
		for j := range f {
			f[j] = s.fixed[nd.Src][j] || nd.Kind == prog.Relu && s.b.U[nd.Src][j] <= 0
		}
	}
}

// number gives the elements that the reduced node has their places.
func (s *specializer) number(k int) {
	nd := &s.n.P.Nodes[k]
	if nd.Kind != prog.Affine && nd.Kind != prog.Product {
		s.idx[k] = s.idx[nd.Src]
		return
	}
	s.idx[k] = make([]int32, nd.N)
	c := int32(0)
	for j, fx := range s.fixed[k] {
		s.idx[k][j] = -1
		if !fx {
			s.idx[k][j] = c
			c++
		}
	}
}

// rows lists the elements of node k that the reduced node has.
func (s *specializer) rows(k int) []int {
	var r []int
	for j, i := range s.idx[k] {
		if i >= 0 {
			r = append(r, j)
		}
	}
	return r
}

// constant appends an input for a value in [lo, hi] and returns its place.
func (s *specializer) constant(lo, hi float64) int32 {
	s.lo, s.hi = append(s.lo, lo), append(s.hi, hi)
	return int32(len(s.lo) - 1)
}
