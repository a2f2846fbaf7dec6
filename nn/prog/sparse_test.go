package prog

import (
	"testing"

	"pgregory.net/rapid"
)

// drawSparse returns a sparse map with its entries; shapes with at most one entry per row are frequent.
func drawSparse(t *rapid.T) (Linear, []entry) {
	m, n := rapid.IntRange(1, 20).Draw(t, "m"), rapid.IntRange(1, 20).Draw(t, "n")
	ptr, idx := make([]int32, m+1), []int32(nil)
	var es []entry
	kind := rapid.IntRange(0, 2).Draw(t, "kind")
	val := noise(t, m*n, "val")
	start := rapid.IntRange(0, n-1).Draw(t, "start")
	for i := 0; i < m; i++ {
		for j := 0; j < n; j++ {
			v := val[i*n+j]
			switch kind {
			case 0:
				if rapid.IntRange(0, 3).Draw(t, "there") > 0 {
					continue
				}
			case 1: // runs of equal values
				if v = 1; j != i+start && j != i-3 || len(idx) > int(ptr[i]) {
					continue
				}
				if i < 3 {
					v = -2
				}
			case 2: // at most one per row
				if j != (7*i+start)%n || i%5 == 4 {
					continue
				}
			}
			es, idx = append(es, entry{i, j, v}), append(idx, int32(j))
		}
		ptr[i+1] = int32(len(idx))
	}
	vals := make([]float64, len(es))
	for k, e := range es {
		vals[k] = e.v
	}
	return Sparse(m, n, ptr, idx, vals), es
}

func TestSparse(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			l, es := drawSparse(t)
			checkLinear(t, l, es, lanes(t))
			checkLinear(t, Transpose(l), transposeEntries(es), lanes(t))
			if Transpose(Transpose(l)) != l {
				t.Fatal("double transpose is not the original")
			}
		})
	})
}

func TestIndexDiagIdentity(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			n := rapid.IntRange(1, 30).Draw(t, "n")
			idx := make([]int32, rapid.IntRange(1, 30).Draw(t, "m"))
			var es []entry
			for i := range idx {
				if idx[i] = int32(rapid.IntRange(-1, n-1).Draw(t, "idx")); idx[i] >= 0 {
					es = append(es, entry{i, int(idx[i]), 1})
				}
			}
			checkLinear(t, Index(n, idx), es, lanes(t))
			s := noise(t, n, "s")
			es = es[:0]
			ones := []entry(nil)
			for i, v := range s {
				es, ones = append(es, entry{i, i, v}), append(ones, entry{i, i, 1})
			}
			checkLinear(t, Diag(s), es, lanes(t))
			checkLinear(t, Identity(n), ones, lanes(t))
		})
	})
}

func TestDiagWindows(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			in := func(what string) int { return rapid.IntRange(1, 5).Draw(t, what) }
			image := Window{C: in("C"), H: in("H"), W: in("W")}
			image.Y1, image.X1 = image.H, image.W
			n := image.C * image.H * image.W
			l, v := Identity(n), make([]float64, n)
			for i := range v {
				v[i] = 1
			}
			if rapid.Bool().Draw(t, "scaled") {
				v = noise(t, n, "v")
				l = Diag(v)
			}
			var es []entry
			for i := range n {
				es = append(es, entry{i, i, v[i]})
			}
			checkWindowed(t, l.(Windowed), es, image, image, lanes(t))
		})
	})
}
