package prog

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// everyMap returns maps of every kind; "shared" has entries that share a place.
func everyMap(r *rand.Rand) map[string]Linear {
	vals := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = r.NormFloat64()
		}
		return v
	}
	g := ConvGeom{C: 2, H: 4, W: 5, M: 3, KH: 3, KW: 2, Group: 1, StrideH: 1, StrideW: 2, DilH: 1, DilW: 1, PadT: 1, PadB: 1}
	conv := Conv(g, vals(3*2*3*2))
	g.C, g.M, g.Group = 4, 4, 2
	sparse := Sparse(3, 4, []int32{0, 2, 2, 5}, []int32{0, 3, 0, 1, 2}, append(vals(4), 0))
	dense := vals(63)
	dense[5], dense[14], dense[62] = 0, 0, 0
	return map[string]Linear{
		"dense": Dense(7, 9, dense), "conv": conv, "groups": Conv(g, vals(4*2*3*2)), "identity": Identity(6), "diagonal": Diag(vals(5)),
		"sparse": sparse, "index": Index(6, []int32{5, 0, -1, 0, 2}), "empty": Index(3, []int32{-1, -1}),
		"shared":     Sparse(2, 3, []int32{0, 5, 9}, []int32{0, 1, 1, 2, 1, 0, 1, 2, 0}, vals(9)),
		"transposed": Transpose(conv), "dense, transposed": Transpose(Dense(4, 5, vals(20))), "sparse, transposed": Transpose(sparse),
	}
}

// part draws some of n indices, or nil for all.
func part(r *rand.Rand, n int) []int32 {
	if r.IntN(4) == 0 {
		return nil
	}
	list := []int32{}
	for i := range n {
		if r.IntN(2) == 0 {
			list = append(list, int32(i))
		}
	}
	return list
}

// TestSubmatrix compares the parts of maps of every kind with their entries, and asks for the cheaper form of each.
func TestSubmatrix(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 41))
	dense, sparse := 0, 0
	all := everyMap(r)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		out, in := m.Dims()
		full := make([]float64, out*in)
		m.Each(func(i, j int, v float64) { full[i*in+j] += v })
		for range 50 {
			rows, cols := part(r, out), part(r, in)
			s := Submatrix(m, rows, cols)
			if rows == nil && cols == nil {
				if s != m {
					t.Errorf("%s: the whole map was copied", name)
				}
				continue
			}
			if rows == nil {
				rows = upTo(out)
			}
			if cols == nil {
				cols = upTo(in)
			}
			so, si := s.Dims()
			if so != len(rows) || si != len(cols) {
				t.Fatalf("%s: %d×%d, want %d×%d", name, so, si, len(rows), len(cols))
			}
			got := make([]float64, so*si)
			s.Each(func(i, j int, v float64) { got[i*si+j] += v })
			for i, a := range rows {
				for j, b := range cols {
					if got[i*si+j] != full[int(a)*in+int(b)] {
						t.Fatalf("%s: entry %d, %d is %v, want %v", name, i, j, got[i*si+j], full[int(a)*in+int(b)])
					}
				}
			}
			if w := SubmatrixWork(m, so, si); w < 0 || so == out && si == in && w != Work(m) {
				t.Errorf("%s: work %d of the whole %d", name, w, Work(m))
			}
			stored, shared := partEntries(m, rows, cols)
			_, isDense := s.(*denseMap)
			want := sparsePrice*stored >= so*si && !shared
			if _, ok := m.(*denseMap); ok {
				want = true
			}
			if isDense != want {
				t.Errorf("%s: %d×%d with %d entries, some sharing a place: %v; stored densely: %v", name, so, si, stored, shared, isDense)
			}
			if isDense {
				dense++
			} else {
				sparse++
				if rest, _ := partEntries(s, upTo(so), upTo(si)); rest != stored {
					t.Errorf("%s: %d entries became %d", name, stored, rest)
				}
			}
		}
	}
	if dense < 100 || sparse < 100 {
		t.Errorf("%d parts are dense, %d sparse: the test has lost its grip", dense, sparse)
	}
}

// partEntries counts the stored entries of the given part of m and reports whether two share a place.
func partEntries(m Linear, rows, cols []int32) (n int, shared bool) {
	seen := map[[2]int]bool{}
	row := RowReader(m)
	for _, i := range rows {
		row(int(i), func(j int, _ float64) {
			if !slices.Contains(cols, int32(j)) {
				return
			}
			at := [2]int{int(i), j}
			shared = shared || seen[at]
			seen[at] = true
			n++
		})
	}
	return n, shared
}

// TestMarkColumns compares the marked columns with the entries, for maps of every kind; what is marked stays so.
func TestMarkColumns(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 41))
	marked, unmarked := 0, 0
	all := everyMap(r)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		out, in := m.Dims()
		for range 30 {
			rows := part(r, out)
			if rows == nil {
				rows = upTo(out)
			}
			got, want := make([]bool, in), make([]bool, in)
			if r.IntN(2) == 0 {
				j := r.IntN(in)
				got[j], want[j] = true, true
			}
			m.Each(func(i, j int, v float64) {
				want[j] = want[j] || v != 0 && slices.Contains(rows, int32(i))
			})
			if MarkColumns(m, rows, got); !slices.Equal(got, want) {
				t.Fatalf("%s, rows %v: %v, want %v", name, rows, got, want)
			}
			for _, v := range got {
				if v {
					marked++
				} else {
					unmarked++
				}
			}
		}
	}
	if marked < 100 || unmarked < 100 {
		t.Errorf("%d columns marked, %d not: the test has lost its grip", marked, unmarked)
	}
}
