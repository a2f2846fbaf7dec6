package kernel

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// The peer of the benchmarks, if the build tag gives one: C[m×n] += A[m×k]·B, row-major, count times in a row.
var (
	peerName string
	peer64   func(count int, transB bool, m, n, k int, a, b, c []float64)
	peer32   func(count int, transB bool, m, n, k int, a, b, c []float32)
)

func peer[T Float]() func(count int, transB bool, m, n, k int, a, b, c []T) {
	var f any = peer64
	if pick[T]()&1 == 1 {
		f = peer32
	}
	return f.(func(count int, transB bool, m, n, k int, a, b, c []T))
}

// A contender does the same work as the others of its race, count times.
type contender struct {
	name string
	run  func(count int)
}

// race runs the contenders in turn, a fraction of a millisecond each, and returns the median time of one piece of work for
// each: what disturbs the machine then disturbs all alike.
func race(b *testing.B, work float64, list []contender) map[string]float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	times := make([][]float64, len(list))
	counts := make([]int, len(list))
	for i, c := range list {
		c.run(1)
		start := now()
		c.run(1)
		counts[i] = max(1, int(300e-6/(now()-start).Seconds()))
	}
	for b.Loop() {
		for i, c := range list {
			start := now()
			c.run(counts[i])
			times[i] = append(times[i], float64((now()-start).Nanoseconds())/float64(counts[i]))
		}
	}
	b.ReportMetric(0, "ns/op")
	rate := map[string]float64{}
	for i, c := range list {
		slices.Sort(times[i])
		rate[c.name] = work / times[i][len(times[i])/2]
		b.ReportMetric(rate[c.name], c.name+"-GF/s")
	}
	return rate
}

func normal[T Float](n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(rand.NormFloat64())
	}
	return x
}

// under runs f count times under the named implementation.
func under(name string, f func()) func(int) {
	return func(count int) {
		defer Use(name)()
		for range count {
			f()
		}
	}
}

// Shapes are lanes × rows of the weight matrix × depth.
var shapes = [][3]int{{8, 50, 50}, {64, 50, 50}, {64, 5, 50}, {32, 256, 256}, {16, 200, 200}, {64, 256, 784}, {8, 16, 144}, {512, 512, 512}}

// BenchmarkPacked measures products with a weight matrix packed once, as bounding uses it. The peer gets the same operands
// in the faster of two layouts; it has no interface for an operand packed beforehand, so it packs in every call.
func BenchmarkPacked(b *testing.B) {
	for _, s := range shapes {
		name := fmt.Sprintf("%dx%dx%d", s[0], s[1], s[2])
		b.Run("float32/"+name, func(b *testing.B) { benchPacked[float32](b, s[0], s[1], s[2]) })
		b.Run("float64/"+name, func(b *testing.B) { benchPacked[float64](b, s[0], s[1], s[2]) })
	}
}

func benchPacked[T Float](b *testing.B, R, m, k int) {
	w, x, y := normal[T](m*k), normal[T](k*R), make([]T, m*R)
	p := Pack(m, k, w, k, 1)
	var list []contender
	for _, name := range Implementations()[1:] {
		list = append(list, contender{name, under(name, func() { p.Mul(y, R, x, R) })})
	}
	raceWithPeer(b, list, R, m, k, w, x, y)
}

func raceWithPeer[T Float](b *testing.B, list []contender, R, m, k int, w, x, y []T) {
	if peerName != "" {
		f := peer[T]()
		list = append(list, contender{"lanes-inner", func(n int) { f(n, false, m, R, k, w, x, y) }},
			contender{"lanes-outer", func(n int) { f(n, true, R, m, k, x, w, y) }})
	}
	rate := race(b, 2*float64(R)*float64(m)*float64(k), list)
	if r, ok := rate["avx512"]; ok {
		b.ReportMetric(rate["avx2"]/r, "avx2/avx512")
	}
	if peerName != "" {
		b.ReportMetric(rate[Active()]/max(rate["lanes-inner"], rate["lanes-outer"]), "ratio")
	}
}

// BenchmarkGemm measures products of matrices used once, everything packed in the call, as the peer does.
func BenchmarkGemm(b *testing.B) {
	for _, n := range []int{32, 128, 512} {
		b.Run(fmt.Sprintf("float32/%d", n), func(b *testing.B) { benchGemm[float32](b, n) })
		b.Run(fmt.Sprintf("float64/%d", n), func(b *testing.B) { benchGemm[float64](b, n) })
	}
}

func benchGemm[T Float](b *testing.B, n int) {
	w, x, y := normal[T](n*n), normal[T](n*n), make([]T, n*n)
	var list []contender
	for _, name := range Implementations()[1:] {
		var g Multiplier[T]
		list = append(list, contender{name, under(name, func() {
			g.Mul(n, n, n, 1, Matrix[T]{w, n, false}, Matrix[T]{x, n, false}, Matrix[T]{y, n, false})
		})})
	}
	raceWithPeer(b, list, n, n, n, w, x, y)
}

// BenchmarkRows measures the passes over a layer's neurons against one call per neuron.
func BenchmarkRows(b *testing.B) {
	for _, R := range []int{8, 64} {
		b.Run(fmt.Sprintf("float32/R=%d", R), func(b *testing.B) { benchRows[float32](b, R) })
		b.Run(fmt.Sprintf("float64/R=%d", R), func(b *testing.B) { benchRows[float64](b, R) })
	}
}

func benchRows[T Float](b *testing.B, R int) {
	const n = 128
	idx := make([]int32, n)
	for i := range idx {
		idx[i] = int32(2 * i)
	}
	nu, a, d := make([]T, 2*n*R), normal[T](2*n*R), make([]T, R)
	s, t, slope := normal[T](n), normal[T](n), normal[T](n*R)
	step := AdamStep[T]{0.9, 0.99, 1e-3, 1, 1e-8}
	al, m, v := make([]T, n*R), make([]T, n*R), make([]T, n*R)
	var list []contender
	for _, name := range Implementations() {
		list = append(list,
			contender{"layer-" + name, under(name, func() { RelaxLanesRows(nu, d, a, nil, slope, idx, R, s, t) })},
			contender{"neuron-" + name, under(name, func() {
				for i := range idx {
					RelaxLanesRows(nu, d, a, nil, slope[i*R:i*R+R], idx[i:i+1], R, s[i:i+1], t[i:i+1])
				}
			})},
			contender{"adam-" + name, under(name, func() { AdamRows(al, m, v, slope, a, idx, R, step) })})
	}
	race(b, 6*n*float64(R), list)
}

// BenchmarkDispatch measures what a call costs beside its work: an Axpy of eight numbers against a list of them in one call.
func BenchmarkDispatch(b *testing.B) {
	b.Run("float32", benchDispatch[float32])
	b.Run("float64", benchDispatch[float64])
}

func benchDispatch[T Float](b *testing.B) {
	const n = 100
	x, y, idx := make([]T, 8*n), make([]T, 8*n), make([]int32, n)
	for i := range idx {
		idx[i] = int32(i)
	}
	rate := race(b, n, []contender{
		{"calls", under(Active(), func() {
			for i := 0; i < 8*n; i += 8 {
				Axpy(y[i:i+8], x[i:i+8], 1)
			}
		})},
		{"list", under(Active(), func() { AddRows(y, x, idx, 8) })},
	})
	b.ReportMetric(1/rate["calls"], "ns/call")
	b.ReportMetric(1/rate["list"], "ns/row")
}
