package train

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// TestParams wants names, shapes and data that are views of Weights in order.
func TestParams(t *testing.T) {
	net, err := New[float64](1, []int{2, 6, 6}, Conv2D{Out: 3, Kernel: 4, Stride: 2, Pad: 1}, ReLU{}, Dense{5})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var all []float64
	for _, p := range net.Params() {
		got = append(got, fmt.Sprint(p.Name, p.Shape))
		all = append(all, p.Data...)
		p.Data[0] = 42
	}
	want := []string{"conv1.weight[3 2 4 4]", "conv1.bias[3]", "dense3.weight[27 5]", "dense3.bias[5]"}
	if !slices.Equal(got, want) || len(all) != len(net.Weights) {
		t.Errorf("%v with %d numbers of %d, want %v", got, len(all), len(net.Weights), want)
	}
	if net.Weights[0] != 42 || net.Weights[96] != 42 || net.Weights[99] != 42 || net.Weights[99+135] != 42 {
		t.Error("the data are not parts of Weights")
	}
	if net.Inputs() != 72 || net.Classes() != 5 || !slices.Equal(net.InputShape(), []int{2, 6, 6}) {
		t.Errorf("%d inputs %v, %d classes", net.Inputs(), net.InputShape(), net.Classes())
	}
	c := net.Clone()
	c.Params()[0].Data[0] = 7
	if c.Weights[0] != 7 || net.Weights[0] != 42 {
		t.Error("a clone shares its parameters")
	}
}

// TestInitialise checks the variance of He et al. and that the draws depend on seed and name alone.
func TestInitialise(t *testing.T) {
	net, err := New[float64](9, []int{4, 30, 30}, Conv2D{Out: 200, Kernel: 5, Stride: 5}, ReLU{}, Dense{20})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range net.Params() {
		sum, want := 0.0, map[string]float64{"conv1.weight": 2.0 / 100, "dense3.weight": 2.0 / 7200}[p.Name]
		for _, v := range p.Data {
			sum += v * v
		}
		// The relative standard deviation of the mean of n squares is √(2/n): four of them.
		n := float64(len(p.Data))
		if got := sum / n; math.Abs(got-want) > 4*math.Sqrt(2/n)*want {
			t.Errorf("%s has variance %v, want %v", p.Name, got, want)
		}
	}
	if w := mustNew[float64](t, 9, []int{3}, Dense{3}, Dense{3}).Weights; slices.Equal(w[:9], w[12:21]) {
		t.Error("two layers have the same weights")
	}
	same, _ := New[float64](9, []int{4, 30, 30}, Conv2D{Out: 200, Kernel: 5, Stride: 5}, ReLU{}, Dense{21})
	other, _ := New[float64](10, []int{4, 30, 30}, Conv2D{Out: 200, Kernel: 5, Stride: 5}, ReLU{}, Dense{20})
	first := func(n *Net[float64]) []float64 { return n.Params()[0].Data }
	if !slices.Equal(first(net), first(same)) || slices.Equal(first(net), first(other)) {
		t.Error("the first layer must depend on the seed and not on the last layer")
	}
}

func TestNewRefuses(t *testing.T) {
	type layers = []Layer
	huge := 1 << 40
	for _, c := range []struct {
		name   string
		input  []int
		layers layers
	}{
		{"no layers", []int{2}, nil},
		{"no shape", nil, layers{Dense{1}}},
		{"two dimensions", []int{2, 2}, layers{Dense{1}}},
		{"empty", []int{0}, layers{Dense{1}}},
		{"negative", []int{1, -1, 3}, layers{Dense{1}}},
		{"huge input", []int{huge, huge, huge}, layers{Dense{1}}},
		{"huge layer", []int{2}, layers{Dense{huge}}},
		{"many parameters", []int{1}, layers{Dense{1 << 27}, Dense{2}}},
		{"no outputs", []int{2}, layers{Dense{}}},
		{"conv of a vector", []int{4}, layers{Conv2D{Out: 1, Kernel: 1}}},
		{"conv after dense", []int{1, 2, 2}, layers{Dense{4}, Conv2D{Out: 1, Kernel: 1}}},
		{"large kernel", []int{1, 2, 2}, layers{Conv2D{Out: 1, Kernel: 3}}},
		{"huge kernel", []int{1, 2, 2}, layers{Conv2D{Out: 1, Kernel: huge, Pad: huge - 1}}},
		{"huge conv", []int{1, 2, 2}, layers{Conv2D{Out: huge, Kernel: 1}}},
		{"pad", []int{1, 4, 4}, layers{Conv2D{Out: 1, Kernel: 2, Pad: 2}}},
		{"stride", []int{1, 4, 4}, layers{Conv2D{Out: 1, Kernel: 2, Stride: -1}}},
		{"nil", []int{1}, layers{nil}},
		{"pointer", []int{1}, layers{&Dense{2}}},
	} {
		if _, err := New[float32](1, c.input, c.layers...); err == nil {
			t.Errorf("%s: accepted", c.name)
		}
	}
}

// TestInitialisations compares what the initialisations draw with their deviations.
func TestInitialisations(t *testing.T) {
	net, err := New[float64](1, []int{50}, Dense{80}, BatchNorm{}, ReLU{}, Dense{60})
	if err != nil {
		t.Fatal(err)
	}
	deviation := func(x []float64) float64 {
		s := 0.0
		for _, v := range x {
			s += v * v
		}
		return math.Sqrt(s / float64(len(x)))
	}
	first, last := net.Params()[0].Data, net.Params()[6].Data
	check := func(name string, want ...float64) {
		t.Helper()
		for i, x := range [][]float64{first, last} {
			if got := deviation(x); math.Abs(got/want[i]-1) > 0.05 {
				t.Errorf("%s: deviation %v, want %v", name, got, want[i])
			}
		}
	}
	check("He", math.Sqrt(2.0/50), math.Sqrt(2.0/80))
	net.InitialiseIBP(1)
	check("IBP", math.Sqrt(2*math.Pi)/50, math.Sqrt(2.0/80))
	net.InitialiseSmall(1)
	check("small", 1/math.Sqrt(3*50), 1/math.Sqrt(3*80))
	if b := net.Params()[1].Data; !(deviation(b) > 0.05) || slices.Max(b) > 1/math.Sqrt(50) {
		t.Errorf("small: biases %v", b[:3])
	}
	if g := net.Params()[2].Data; g[0] != 1 {
		t.Errorf("the scale of the normalisation is %v", g[0])
	}
}
