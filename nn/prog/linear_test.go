package prog

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/internal/kernel"
	"pgregory.net/rapid"
)

// eachImpl runs f under every kernel implementation this machine has.
func eachImpl(t *testing.T, f func(t *testing.T)) {
	for _, name := range kernel.Implementations() {
		t.Run(name, func(t *testing.T) {
			defer kernel.Use(name)()
			f(t)
		})
	}
}

// noise returns n numbers with exact zeros and a wide range of magnitudes among them.
func noise(t *rapid.T, n int, label string) []float64 {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, label), 2))
	x := make([]float64, n)
	for i := range x {
		if r.IntN(6) > 0 {
			x[i] = r.NormFloat64() * math.Exp(3*r.NormFloat64())
		}
	}
	return x
}

type entry struct {
	i, j int
	v    float64
}

// apply computes dst += op(M)·x from the entries and compares got with it, within the a-priori error of any order.
func apply(t *rapid.T, what string, es []entry, abs, trans bool, before, x, got []float64, R, fan int) {
	want, mag := append([]float64(nil), before...), make([]float64, len(before))
	for i, v := range before {
		mag[i] = math.Abs(v)
	}
	for _, e := range es {
		o, in, v := e.i, e.j, e.v
		if trans {
			o, in = in, o
		}
		if abs {
			v = math.Abs(v)
		}
		for r := 0; r < R; r++ {
			want[o*R+r] += v * x[in*R+r]
			mag[o*R+r] += math.Abs(v * x[in*R+r])
		}
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= 2.02*float64(fan+2)*0x1p-53*mag[i]) {
			t.Fatalf("%s: element %d lane %d: %g, want %g", what, i/R, i%R, got[i], want[i])
		}
	}
}

// checkLinear compares every method of l with the matrix given by its definition.
func checkLinear(t *rapid.T, l Linear, es []entry, R int) {
	out, in := l.Dims()
	rowFan, colFan := make([]int, out), make([]int, in)
	want := map[[2]int]float64{}
	for _, e := range es {
		if e.v != 0 {
			want[[2]int{e.i, e.j}] = e.v
			rowFan[e.i]++
			colFan[e.j]++
		}
	}
	rf, cf := l.Fan()
	for _, n := range rowFan {
		if n > rf {
			t.Fatalf("row fan %d, said to be <= %d", n, rf)
		}
	}
	for _, n := range colFan {
		if n > cf {
			t.Fatalf("column fan %d, said to be <= %d", n, cf)
		}
	}
	last := 0
	l.Each(func(i, j int, v float64) {
		if i < last {
			t.Fatalf("Each: row %d after row %d", i, last)
		}
		last = i
		if v != want[[2]int{i, j}] {
			t.Fatalf("Each: entry %d,%d is %g, want %g", i, j, v, want[[2]int{i, j}])
		}
		delete(want, [2]int{i, j})
	})
	if len(want) > 0 {
		t.Fatalf("Each: missing entries %v", want)
	}
	x, y, d, e := noise(t, in*R, "x"), noise(t, out*R, "y"), noise(t, out*R, "d"), noise(t, in*R, "e")
	cp := func(v []float64) []float64 { return append([]float64(nil), v...) }
	g := cp(d)
	l.Forward(g, x, R)
	apply(t, "Forward", es, false, false, d, x, g, R, rf)
	g = cp(d)
	l.ForwardAbs(g, x, R)
	apply(t, "ForwardAbs", es, true, false, d, x, g, R, rf)
	g = cp(e)
	l.Backward(g, y, R)
	apply(t, "Backward", es, false, true, e, y, g, R, cf)
	if out == 0 {
		return
	}
	g = cp(e)
	i, r := rapid.IntRange(0, out-1).Draw(t, "row"), rapid.IntRange(0, R-1).Draw(t, "lane")
	unit := make([]float64, out*R)
	unit[i*R+r] = 1.5
	l.Row(g, R, r, i, 1.5)
	apply(t, "Row", es, false, true, e, unit, g, R, 1)
}

func lanes(t *rapid.T) int {
	return rapid.SampledFrom([]int{1, 1, 3, 8, 8, 16, 24, 40, 64}).Draw(t, "R")
}

func denseEntries(m, n int, w []float64) (es []entry) {
	for i := 0; i < m; i++ {
		for j := 0; j < n; j++ {
			es = append(es, entry{i, j, w[i*n+j]})
		}
	}
	return es
}

func transposeEntries(es []entry) []entry {
	out := make([]entry, len(es))
	for k, e := range es {
		out[k] = entry{e.j, e.i, e.v}
	}
	return out
}

func TestDense(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			m, n := rapid.IntRange(1, 30).Draw(t, "m"), rapid.IntRange(1, 30).Draw(t, "n")
			w := noise(t, m*n, "w")
			es := denseEntries(m, n, w)
			checkLinear(t, Dense(m, n, w), es, lanes(t))
			checkLinear(t, Transpose(Dense(m, n, w)), transposeEntries(es), lanes(t))
		})
	})
}

func BenchmarkDense(b *testing.B) {
	m, n := 256, 256
	w := make([]float64, m*n)
	for i := range w {
		w[i] = rand.NormFloat64()
	}
	d := Dense(m, n, w)
	for _, R := range []int{1, 8, 32} {
		x, y := make([]float64, n*R), make([]float64, m*R)
		benchLinear(b, fmt.Sprintf("R=%d", R), m*n, R, d, x, y)
	}
}

func benchLinear(b *testing.B, name string, nnz, R int, l Linear, x, y []float64) {
	for i := range x {
		x[i] = 1e-3 * rand.NormFloat64()
	}
	for op, f := range map[string]func(){
		"Forward":    func() { l.Forward(y, x, R) },
		"ForwardAbs": func() { l.ForwardAbs(y, x, R) },
		"Backward":   func() { l.Backward(x, y, R) },
	} {
		b.Run(name+"/"+op, func(b *testing.B) {
			clear(y)
			for i := range y {
				y[i] = 1
			}
			for b.Loop() {
				f()
			}
			b.ReportMetric(2*float64(nnz)*float64(R)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "gflops")
		})
	}
}
