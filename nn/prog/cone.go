package prog

// restrict keeps only the rows that the needed output elements depend on, at every affine node of which less than a
// quarter is needed; where more is needed, everything below counts as needed. Rows that are not needed become empty, so
// that vectors keep their lengths.
func (s *simplifier) restrict(keep []bool) {
	need := make([]coneSet, len(s.nodes))
	need[s.out] = coneSet{some: keep}
	for k := len(s.nodes) - 1; k > 0; k-- {
		n := &s.nodes[k]
		switch {
		case need[k].none():
		case n.Kind == Curve && n.Fn == Reciprocal: // an emptied row would be a division by zero
			need[n.Src].add(coneSet{all: true})
		case n.Kind != Affine:
			n.sources(func(src *int) { need[*src].add(need[k]) })
		case !s.restrictNode(n, need[k], need):
			for _, t := range n.Terms {
				need[t.Src].add(coneSet{all: true})
			}
		}
	}
}

// A coneSet is a set of elements of one node; the zero value is empty.
type coneSet struct {
	all  bool
	some []bool
}

func (c *coneSet) none() bool { return !c.all && c.some == nil }

func (c *coneSet) add(d coneSet) {
	switch {
	case c.all || d.none():
	case d.all:
		*c = coneSet{all: true}
	case c.some == nil:
		c.some = append([]bool(nil), d.some...)
	default:
		for i, v := range d.some {
			c.some[i] = c.some[i] || v
		}
	}
}

// coneWork bounds the number of entries that a restricted map may have.
const coneWork = 1 << 22

// restrictNode empties the rows of n outside the set and adds the columns of the others to the needs of its sources. It
// reports false, changing nothing, when that does not pay.
func (s *simplifier) restrictNode(n *Node, set coneSet, need []coneSet) bool {
	if set.all {
		return false
	}
	var rows []int
	for i, v := range set.some {
		if v {
			rows = append(rows, i)
		}
	}
	if 4*len(rows) > n.N {
		return false
	}
	for _, t := range n.Terms {
		if _, ok := t.Map.(adjoint); !ok {
			return false
		}
		if fan, _ := t.Map.Fan(); fan*len(rows) > coneWork {
			return false
		}
	}
	for k := range n.Terms {
		t := &n.Terms[k]
		cols := make([]bool, s.nodes[t.Src].N)
		t.Map = onlyRows(t.Map.(adjoint), rows, cols)
		need[t.Src].add(coneSet{some: cols})
	}
	if n.Bias != nil {
		bias := make([]float64, n.N)
		for _, i := range rows {
			bias[i] = n.Bias[i]
		}
		n.Bias = bias
	}
	if mag := n.Rounding.BiasMag; mag != nil {
		n.Rounding.BiasMag = make([]float64, n.N)
		for _, i := range rows {
			n.Rounding.BiasMag[i] = mag[i]
		}
	}
	return true
}

// onlyRows returns the map with all rows but the given ones (increasing) empty, and marks the columns they use.
func onlyRows(m adjoint, rows []int, cols []bool) Linear {
	out, in := m.Dims()
	b := newCSRBuilder(out, 0)
	for _, i := range rows {
		for len(b.ptr) <= i {
			b.endRow()
		}
		m.row(i, func(j int, v float64) {
			if v != 0 {
				b.add(int32(j), v)
				cols[j] = true
			}
		})
	}
	for len(b.ptr) <= out {
		b.endRow()
	}
	return b.build(in)
}
