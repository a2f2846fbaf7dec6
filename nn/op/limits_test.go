package op

import (
	"math"
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// TestMaxElements checks that results above the limit are refused before memory is taken.
func TestMaxElements(t *testing.T) {
	one := &Tensor{Type: Float32, Shape: []int{1, 1, 1, 1}, Data: []float64{1}}
	scalar := func(v float64) *Tensor { return &Tensor{Type: Float32, Shape: []int{}, Data: []float64{v}} }
	wide := &Tensor{Type: Float32, Shape: []int{1 << 15, 1}, Data: make([]float64, 1<<15)}
	const big = 1 << 27
	cases := []Example{
		example("Expand", 13, nil, one, intTensor(1<<20, 1<<20)),
		example("Expand", 13, nil, one, intTensor(1<<62, 1<<62, 4)),
		example("Tile", 13, nil, one, intTensor(1<<20, 1<<9, 1, 1)),
		example("ConstantOfShape", 13, nil, intTensor(1<<14, 1<<15)),
		example("ConstantOfShape", 13, nil, intTensor(0, 1<<28)),
		example("Range", 11, nil, scalar(0), scalar(1e300), scalar(1)),
		example("OneHot", 11, nil, wide, intTensor(1<<20), randTensor(rand.New(rand.NewPCG(1, 1)), 2)),
		example("Pad", 13, nil, one, intTensor(0, 0, big, big, 0, 0, 0, 0)),
		example("Resize", 13, map[string]Attr{"mode": {S: "nearest"}}, one, nil, nil, intTensor(1, 1, 1<<20, 1<<20)),
		example("Upsample", 9, nil, one, &Tensor{Type: Float32, Shape: []int{4}, Data: []float64{1, 1, 1e18, 1}}),
		example("MatMul", 13, nil, wide, &Tensor{Type: Float32, Shape: []int{1, 1 << 15}, Data: wide.Data}),
		example("Add", 13, nil, wide, &Tensor{Type: Float32, Shape: []int{1, 1 << 15}, Data: wide.Data}),
		example("Conv", 13, map[string]Attr{"pads": {Is: []int64{big, big, big, big}}}, one, one),
		example("ConvTranspose", 13, map[string]Attr{"output_padding": {Is: []int64{big, big}}}, one, one),
		example("MaxPool", 13, map[string]Attr{"kernel_shape": {Is: []int64{big, big}}, "pads": {Is: []int64{big, big, big, big}}}, one),
		example("Reshape", 13, nil, one, intTensor(1<<40, 1<<40, -1)),
	}
	for _, ex := range cases {
		s, ok := Lookup(ex.Node.Type)
		if !ok {
			t.Fatal(ex.Node.Type)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := s.Eval(&ex.Node, ex.In)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: not refused", ex.Node.Type)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
			t.Errorf("%s: allocated %d MB before refusing", ex.Node.Type, n>>20)
		}
	}
}

// relErr returns |stored − want| / |want| in units of 2⁻⁵³.
func relErr(stored float64, want *big.Float) float64 {
	d := new(big.Float).SetPrec(300).SetFloat64(stored)
	d.Sub(d, want)
	if d.Sign() == 0 {
		return 0
	}
	q, _ := d.Quo(d, want).Float64()
	return math.Abs(math.Ldexp(q, 53))
}

func bigf(v float64) *big.Float { return new(big.Float).SetPrec(300).SetFloat64(v) }

// TestRounding checks against 300-bit arithmetic that the error counted is an upper bound and that exactness is recognised.
func TestRounding(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var exact, inexact int
	check := func(name string, got float64, want *big.Float, e rounding) {
		t.Helper()
		d := relErr(got, want)
		if d > float64(e.rel) || e.bad {
			t.Fatalf("%s: error %g units, claimed %d (bad %v)", name, d, e.rel, e.bad)
		}
		if d == 0 {
			exact++
			if e.rel != 0 {
				t.Fatalf("%s: exact but claimed %d", name, e.rel)
			}
		} else {
			inexact++
		}
	}
	for range 2000 {
		a, b := r.NormFloat64(), r.NormFloat64()
		if r.IntN(2) == 0 {
			a, b = float64(float32(a)), float64(float32(b))
		}
		if r.IntN(4) == 0 {
			b = math.Ldexp(1, r.IntN(20)-10)
		}
		var e1, e2, e3 rounding
		check("mul", e1.mul(a, b), new(big.Float).SetPrec(300).Mul(bigf(a), bigf(b)), e1)
		check("div", e2.div(a, b), new(big.Float).SetPrec(300).Quo(bigf(a), bigf(b)), e2)
		s := math.Ldexp(a, -r.IntN(40))
		check("1-s", e3.oneMinus(s), new(big.Float).SetPrec(300).Sub(bigf(1), bigf(s)), e3)
	}
	if exact < 100 || inexact < 100 {
		t.Errorf("%d exact, %d inexact: the sample is one-sided", exact, inexact)
	}
	for _, v := range [][2]float64{{1e-200, 1e-200}, {1e300, 1e300}, {math.NaN(), 1}, {math.Inf(1), 1}} {
		var e rounding
		if e.mul(v[0], v[1]); !e.bad {
			t.Errorf("mul(%g, %g) claims a relative bound", v[0], v[1])
		}
	}
	var e rounding
	if e.div(1, 0); !e.bad {
		t.Error("div(1, 0) claims a relative bound")
	}
}

// lastAffine lowers ex and returns its last program node.
func lastAffine(t *testing.T, ex Example) *prog.Node {
	t.Helper()
	s, _ := Lookup(ex.Node.Type)
	out, err := s.Eval(&ex.Node, ex.In)
	if err != nil {
		t.Fatal(err)
	}
	l, err := lower(s, &ex, out)
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.b.Program(l.out[0].Node)
	if err != nil {
		t.Fatal(err)
	}
	return &p.Nodes[l.out[0].Node]
}

// TestRel checks the error that lowerings state for folded coefficients against 300-bit arithmetic.
func TestRel(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		gamma, beta, mean, variance := randTensor(r, 3), randTensor(r, 3), randTensor(r, 3), randTensor(r, 3)
		for i, v := range variance.Data {
			variance.Data[i] = math.Abs(v)
		}
		eps := float64(float32(1e-5))
		ex := example("BatchNormalization", 15, map[string]Attr{"epsilon": {F: eps}}, randTensor(r, 1, 3), gamma, beta, mean, variance)
		n := lastAffine(t, ex)
		if !slices.Equal(n.Bias, beta.Data) {
			t.Fatal("the bias is not the stored offset")
		}
		n.Terms[0].Map.Each(func(i, j int, v float64) {
			s := new(big.Float).SetPrec(300).Add(bigf(variance.Data[i]), bigf(eps))
			want := new(big.Float).SetPrec(300).Quo(bigf(gamma.Data[i]), s.Sqrt(s))
			if e := relErr(v, want); e > float64(n.Rel) || i != j {
				t.Fatalf("BatchNormalization: error %g units, claimed %d", e, n.Rel)
			}
		})
	}
	third := example("AveragePool", 11, map[string]Attr{"kernel_shape": {Is: []int64{3}}}, randTensor(r, 1, 1, 5))
	if n := lastAffine(t, third); n.Rel != 1 {
		t.Errorf("AveragePool by 3: rel %d, want 1", n.Rel)
	}
	quarter := example("AveragePool", 11, map[string]Attr{"kernel_shape": {Is: []int64{2, 2}}}, randTensor(r, 1, 1, 4, 4))
	if n := lastAffine(t, quarter); n.Rel != 0 {
		t.Errorf("AveragePool by 4: rel %d, want 0", n.Rel)
	}
	slope := example("LeakyRelu", 16, map[string]Attr{"alpha": {F: 0.1}}, randTensor(r, 3))
	if n := lastAffine(t, slope); n.Rel != 1 {
		t.Errorf("LeakyRelu with the double 0.1: rel %d, want 1", n.Rel)
	}
	slope.Node.Attrs["alpha"] = Attr{F: float64(float32(0.01))}
	if n := lastAffine(t, slope); n.Rel != 0 {
		t.Errorf("LeakyRelu with a float32 slope: rel %d, want 0", n.Rel)
	}
}

// TestMatmulMaps compares the ways in which a product becomes a linear map with the entries of the product.
func TestMatmulMaps(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	n := &Node{Name: "n", Type: "MatMul"}
	for _, c := range []struct {
		a, b []int
		left bool // the left factor is variable
		conv bool // a convolution is expected to be possible
	}{
		{[]int{1, 4}, []int{4, 3}, true, true}, {[]int{3, 4}, []int{4, 2}, true, true}, {[]int{3, 4}, []int{4, 2}, false, true},
		{[]int{2, 3, 4}, []int{4, 2}, true, true}, {[]int{2, 3, 4}, []int{2, 4, 2}, true, false},
		{[]int{3, 4}, []int{2, 4, 2}, false, false}, {[]int{3, 4}, []int{4, 1}, false, true},
	} {
		p, err := newMatmul(n, c.a, c.b)
		if err != nil {
			t.Fatal(err)
		}
		a, b := randTensor(r, c.a...), randTensor(r, c.b...)
		want := make([]float64, Size(p.shape))
		p.eval(want, a.Data, b.Data)
		x, s := a, side{w: b.Data, left: true, in: Size(c.a)}
		if !c.left {
			x, s = b, side{w: a.Data, in: Size(c.b)}
		}
		apply := func(name string, maps []prog.Linear) {
			t.Helper()
			v := x.Data
			for _, m := range maps {
				out, _ := m.Dims()
				dst := make([]float64, out)
				m.Forward(dst, v, 1)
				v = dst
			}
			for i := range want {
				if !near(v[i], want[i], math.Abs(want[i])) {
					t.Fatalf("%s of %v·%v: [%d] = %g, want %g", name, c.a, c.b, i, v[i], want[i])
				}
			}
		}
		apply("blocks", []prog.Linear{p.blocks(s)})
		chosen, err := p.maps(n, s)
		if err != nil {
			t.Fatal(err)
		}
		apply("chosen map", chosen)
		conv := p.conv(s)
		if (conv != nil) != c.conv {
			t.Fatalf("%v·%v: convolution %v, want %v", c.a, c.b, conv != nil, c.conv)
		}
		if conv != nil {
			apply("conv", conv)
		}
	}
}

// TestMatrixSparse checks that mostly-zero matrices become sparse, others dense, in both memory orders.
func TestMatrixSparse(t *testing.T) {
	for _, nonzeros := range []int{0, 3, 5, 20} {
		w := make([]float64, 20)
		for i := range nonzeros {
			w[(i*7)%20] = float64(i + 1)
		}
		for _, transposed := range []bool{false, true} {
			rs, cs := 5, 1
			if transposed {
				rs, cs = 1, 4
			}
			m := matrix(w, 4, 5, rs, cs)
			count := 0
			m.Each(func(i, j int, v float64) {
				count++
				if w[i*rs+j*cs] != v {
					t.Fatalf("entry (%d,%d) = %g, want %g", i, j, v, w[i*rs+j*cs])
				}
			})
			if count != nonzeros {
				t.Fatalf("%d entries, want %d", count, nonzeros)
			}
			row, _ := m.Fan()
			if dense := nonzeros >= 5; dense && row != 5 || !dense && row > nonzeros {
				t.Errorf("%d of 20 nonzero: row fan %d", nonzeros, row)
			}
		}
	}
}
