package poison

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/spai-project/certify/nn/data"
)

// blobs draws a set of normal clouds inside [0, 1] in d dimensions, one per class, whose classes take turns.
func blobs(root uint64, n, d, classes int, spread float64) *data.Set {
	r := rand.New(rand.NewPCG(root, 1))
	centre := rand.New(rand.NewPCG(99, uint64(d)))
	var centres [][]float64
	for range classes {
		c := make([]float64, d)
		for k := range c {
			c[k] = 0.3 + 0.4*centre.Float64()
		}
		centres = append(centres, c)
	}
	s := &data.Set{Shape: []int{d}}
	for i := range n {
		for _, c := range centres[i%classes] {
			s.X = append(s.X, float64(float32(min(max(c+spread*r.NormFloat64(), 0), 1))))
		}
		s.Labels = append(s.Labels, i%classes)
		s.Names = append(s.Names, strconv.Itoa(i))
	}
	return s
}

// bars draws pictures of 8×8 of a bright column in noise; its place is the class.
func bars(root uint64, n, classes int) *data.Set {
	r := rand.New(rand.NewPCG(root, 2))
	s := &data.Set{Shape: []int{1, 8, 8}}
	for i := range n {
		for k := range 64 {
			v := 0.3 * r.Float64()
			if k%8 == i%classes+1 {
				v = 0.4 + 0.6*r.Float64()
			}
			s.X = append(s.X, float64(float32(v)))
		}
		s.Labels = append(s.Labels, i%classes)
		s.Names = append(s.Names, strconv.Itoa(i))
	}
	return s
}

// mnist reads a part of MNIST, or skips the test when CERTIFY_BENCH names no folder that has it, or with -short. Of the classes, if any are
// named, the items are kept, and they are numbered in that order.
func mnist(t *testing.T, part string, classes ...int) *data.Set {
	t.Helper()
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" || testing.Short() {
		t.Skip("CERTIFY_BENCH is not set, or -short")
	}
	set, err := data.Open("mnist:"+part, data.Options{MNIST: filepath.Join(root, "mnist")})
	if err != nil {
		t.Fatal(err)
	}
	if len(classes) == 0 {
		return set
	}
	var keep []int
	for i, y := range set.Labels {
		for _, c := range classes {
			if y == c {
				keep = append(keep, i)
			}
		}
	}
	set = set.Select(keep)
	for i, y := range set.Labels {
		for k, c := range classes {
			if y == c {
				set.Labels[i] = k
				break
			}
		}
	}
	return set
}

// envInt returns a number from the environment, for runs at full size.
func envInt(name string, otherwise int) int {
	if v, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return v
	}
	return otherwise
}

// correlation is Pearson's.
func correlation(x, y []float64) float64 {
	var mx, my, xx, yy, xy float64
	for i := range x {
		mx, my = mx+x[i]/float64(len(x)), my+y[i]/float64(len(x))
	}
	for i := range x {
		a, b := x[i]-mx, y[i]-my
		xx, yy, xy = xx+a*a, yy+b*b, xy+a*b
	}
	return xy / math.Sqrt(xx*yy)
}
