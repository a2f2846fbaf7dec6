package data

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func sample() *Set {
	return &Set{X: []float64{0, 1, 2, 3, 4, 5}, Labels: []int{7, 8, 9}, Shape: []int{2}, Names: []string{"0", "b", "2"}}
}

func TestSelect(t *testing.T) {
	s := sample()
	want(t, s.Slice(1, 3), s.Check(), []int{2}, []float64{2, 3, 4, 5}, []int{8, 9})
	want(t, s.Select([]int{2, 0, 2}), nil, []int{2}, []float64{4, 5, 0, 1, 4, 5}, []int{9, 7, 9})
	if n := s.Select([]int{2, 0, 2}).Names; !slices.Equal(n, []string{"2", "0", "2"}) {
		t.Errorf("names %v", n)
	}
	if x := s.Slice(1, 3).Item(0); !slices.Equal(x, []float64{2, 3}) || cap(x) != 2 {
		t.Errorf("item %v, capacity %d", x, cap(x))
	}
	s.Labels = nil
	want(t, s.Slice(0, 1), nil, []int{2}, []float64{0, 1}, nil)
	want(t, s.Select([]int{1}), nil, []int{2}, []float64{2, 3}, nil)
	if err := s.Slice(1, 1).Check(); err == nil {
		t.Error("an empty set passed the check")
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Set)
		say    []string
	}{
		"NaN":      {func(s *Set) { s.X[3] = math.NaN() }, []string{`item 1 ("b"), element 1`, "NaN"}},
		"infinite": {func(s *Set) { s.X[4] = math.Inf(-1) }, []string{"item 2, element 0", "-Inf"}},
		"values":   {func(s *Set) { s.X = s.X[:5] }, []string{"5 values for 3 items"}},
		"labels":   {func(s *Set) { s.Labels = s.Labels[:2] }, []string{"2 labels for 3 items"}},
		"shape":    {func(s *Set) { s.Shape = []int{-2} }, []string{"empty"}},
		"no items": {func(s *Set) { *s = Set{Shape: []int{2}} }, []string{"empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := sample()
			c.change(s)
			wantError(t, s.Check(), c.say...)
		})
	}
}

func TestCheckLabels(t *testing.T) {
	s := sample()
	if err := s.CheckLabels(10); err != nil {
		t.Error(err)
	}
	wantError(t, s.CheckLabels(8), "2 of 3 labels", "0 … 7", `item 1 ("b") has 8, item 2 has 9;`)
	s.Labels[0] = -1
	wantError(t, s.CheckLabels(10), "1 of 3", "item 0 has -1")
	s.Labels = nil
	wantError(t, s.CheckLabels(10), "no labels", "--labels")
	many := &Set{Labels: make([]int, 7), Names: make([]string, 7), X: make([]float64, 7), Shape: []int{1}}
	wantError(t, many.CheckLabels(0), "7 of 7", "has 0, …")
}

func TestCheckRange(t *testing.T) {
	s := sample()
	if err := s.CheckRange(0, 5); err != nil {
		t.Error(err)
	}
	wantError(t, s.CheckRange(0, math.Nextafter(5, 0)), "item 2, element 1", "the value 5", "1 of 6", "--scale,")
	wantError(t, s.CheckRange(math.SmallestNonzeroFloat64, 5), "item 0, element 0")
	wantError(t, s.CheckRange(0, 1), "item 1 (\"b\"), element 0", "4 of 6", "--scale 1/255")
	s.X[5] = math.NaN()
	wantError(t, s.CheckRange(0, 5), "NaN")
}

func TestRescale(t *testing.T) {
	x := []float64{0, 51, 255, 10}
	for name, c := range map[string]struct {
		opt     Options
		natural float64
		want    []float64
	}{
		"nothing":     {Options{}, 0, x},
		"bytes":       {Options{}, 1.0 / 255, bytes255(0, 51, 255, 10)},
		"own scale":   {Options{Scale: 1}, 1.0 / 255, x},
		"factor":      {Options{Scale: 2}, 0, []float64{0, 102, 510, 20}},
		"mean":        {Options{Mean: []float64{1}}, 0, []float64{-1, 50, 254, 9}},
		"per channel": {Options{Mean: []float64{1, 10}, Std: []float64{2, 5}}, 0, []float64{-0.5, 25, 49, 0}},
		"order":       {Options{Scale: 2, Mean: []float64{2}, Std: []float64{4}}, 0, []float64{-0.5, 25, 127, 4.5}},
	} {
		t.Run(name, func(t *testing.T) {
			got := slices.Clone(x)
			if err := c.opt.rescale(got, []int{2, 2}, c.natural); err != nil || !same(got, c.want) {
				t.Errorf("%v, %v; want %v", got, err, c.want)
			}
		})
	}
	for name, c := range map[string]struct {
		opt Options
		say string
	}{
		"negative":   {Options{Scale: -1}, "scale -1"},
		"NaN":        {Options{Scale: math.NaN()}, "scale NaN"},
		"infinite":   {Options{Scale: math.Inf(1)}, "scale +Inf"},
		"std 0":      {Options{Std: []float64{1, 0}}, "element 2 is 0"},
		"std tiny":   {Options{Std: []float64{1e-50}}, "not positive in float32"},
		"mean large": {Options{Mean: []float64{1e50}}, "not finite in float32"},
		"three":      {Options{Mean: []float64{1, 2, 3}}, "take 1 or 2"},
	} {
		wantError(t, c.opt.rescale(slices.Clone(x), []int{2, 2}, 0), c.say)
		_ = name
	}
	_, err := openText(t, "1,1e300\n", "", Options{Scale: 2})
	wantError(t, err, "+Inf")
}

// TestRescaleFloat32: every step is the nearest float32, computed here in float64, which is exact enough to round once more: it
// has more than twice the digits.
func TestRescaleFloat32(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := float64(rapid.Float32Range(-1e6, 1e6).Draw(t, "v"))
		scale := float64(rapid.Float32Range(1e-3, 1e3).Draw(t, "scale"))
		mean := float64(rapid.Float32Range(-1, 1).Draw(t, "mean"))
		std := float64(rapid.Float32Range(1e-3, 10).Draw(t, "std"))
		x := []float64{v}
		opt := Options{Scale: scale, Mean: []float64{mean}, Std: []float64{std}}
		if err := opt.rescale(x, []int{1}, 0); err != nil {
			t.Fatal(err)
		}
		step := float64(float32(v * scale))
		if n := math.Round(1 / scale); 1/n == scale {
			step = float64(float32(v / n))
		}
		step = float64(float32(step - mean))
		if want := float64(float32(step / std)); !same(x, []float64{want}) {
			t.Fatalf("%v, want %v", x[0], want)
		}
	})
	for b := range 256 {
		x, opt := []float64{float64(b)}, Options{Scale: 1.0 / 255}
		if err := opt.rescale(x, []int{1}, 0); err != nil || !same(x, bytes255(byte(b))) {
			t.Fatalf("byte %d becomes %v: %v", b, x, err)
		}
	}
}
