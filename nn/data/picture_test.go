package data

import (
	"image"
	"image/color"
	"math"
	"testing"
)

// pixels returns the colours of a picture, row by row, as #rrggbbaa.
func pixels(m image.Image) []uint32 {
	var out []uint32
	b := m.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.RGBAModel.Convert(m.At(x, y)).(color.RGBA)
			out = append(out, uint32(c.R)<<24|uint32(c.G)<<16|uint32(c.B)<<8|uint32(c.A))
		}
	}
	return out
}

func wantPixels(t *testing.T, m image.Image, err error, width int, want ...uint32) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	got := pixels(m)
	if m.Bounds().Dx() != width || len(got) != len(want) {
		t.Fatalf("%v, want %d pixels in rows of %d", m.Bounds(), len(want), width)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("pixel %d is %08x, want %08x", i, got[i], want[i])
		}
	}
}

func TestImage(t *testing.T) {
	gray := []float64{0, 0.5, 1, 2, -1, math.NaN()}
	for _, shape := range [][]int{{2, 3}, {1, 2, 3}, {1, 1, 2, 3}, {2, 3, 1}} {
		m, err := Image(gray, shape, 0, 1)
		wantPixels(t, m, err, 3, 0xff, 0x808080ff, 0xffffffff, 0xffffffff, 0xff, 0xff)
	}
	m, err := Image([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, []int{3, 2, 2}, 0, 255)
	wantPixels(t, m, err, 2, 0x010509ff, 0x02060aff, 0x03070bff, 0x04080cff)
	m, err = Image([]float64{1, 2, 3, 4, 5, 6}, []int{1, 2, 3}, 0, 255)
	wantPixels(t, m, err, 3, 0x010101ff, 0x020202ff, 0x030303ff, 0x040404ff, 0x050505ff, 0x060606ff)
	m, err = Image([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, []int{2, 2, 3}, 0, 255)
	wantPixels(t, m, err, 2, 0x010203ff, 0x040506ff, 0x070809ff, 0x0a0b0cff)
	m, err = Image([]float64{1, 2, 3}, []int{1, 3}, 0, 255)
	wantPixels(t, m, err, 3, 0x010101ff, 0x020202ff, 0x030303ff)
	if m, err = Image(make([]float64, 784), []int{784}, 0, 1); err != nil || m.Bounds().Dx() != 28 || m.Bounds().Dy() != 28 {
		t.Errorf("784 values: %v, %v", m.Bounds(), err)
	}
	if m, err = Image(make([]float64, 17), []int{17}, 0, 1); err != nil || m.Bounds().Dx() != 5 || m.Bounds().Dy() != 4 ||
		pixels(m)[16] != 0xff || pixels(m)[17] != 0 {
		t.Errorf("17 values: %v, %v", m.Bounds(), err)
	}
	for _, c := range []struct {
		x      []float64
		shape  []int
		lo, hi float64
	}{{gray, []int{5}, 0, 1}, {gray, []int{6}, 1, 1}, {gray, []int{6}, 0, math.NaN()}, {gray, []int{6}, 0, math.Inf(1)},
		{nil, []int{0}, 0, 1}, {gray, []int{-2, -3}, 0, 1}, {gray, []int{6}, -math.MaxFloat64, math.MaxFloat64}} {
		if _, err := Image(c.x, c.shape, c.lo, c.hi); err == nil {
			t.Errorf("%v: no error", c)
		}
	}
}

func TestDifference(t *testing.T) {
	from, to := []float64{0, 0.5, 0.5, 0.5}, []float64{0, 0.75, 0.25, 0.625}
	m, scale, err := Difference(from, to, []int{2, 2}, 0)
	wantPixels(t, m, err, 2, 0xffffffff, 0xff0000ff, 0x0000ffff, 0xff8080ff)
	if scale != 0.25 {
		t.Errorf("scale %v", scale)
	}
	m, scale, err = Difference(from, to, []int{4}, 0.5)
	wantPixels(t, m, err, 4, 0xffffffff, 0xff8080ff, 0x8080ffff, 0xffbfbfff)
	if scale != 0.5 {
		t.Errorf("scale %v", scale)
	}
	m, _, err = Difference([]float64{0, 0, 0}, []float64{1, -1, 0}, []int{3, 1, 1}, 0)
	wantPixels(t, m, err, 1, 0xff0080ff)
	m, scale, err = Difference(from, from, []int{4}, 0)
	wantPixels(t, m, err, 4, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff)
	if scale != 0 {
		t.Errorf("scale %v", scale)
	}
	for _, scale := range []float64{-1, math.NaN()} {
		if _, _, err := Difference(from, to, []int{4}, scale); err == nil {
			t.Errorf("scale %v: no error", scale)
		}
	}
	if _, _, err := Difference(from, to[:3], []int{4}, 0); err == nil {
		t.Error("three values: no error")
	}
}

func TestGrid(t *testing.T) {
	one, _ := Image([]float64{0}, []int{1}, 0, 1)
	two, _ := Image([]float64{1, 0}, []int{2}, 0, 1)
	m, err := Grid([][]image.Image{{one, two}, {nil, one}}, 1)
	const g, b, w = 0xd0d0d0ff, 0x000000ff, 0xffffffff
	wantPixels(t, m, err, 6,
		g, g, g, g, g, g,
		g, b, g, w, b, g,
		g, g, g, g, g, g,
		g, g, g, b, g, g,
		g, g, g, g, g, g)
	m, err = Grid([][]image.Image{{one}}, 2)
	wantPixels(t, m, err, 6,
		g, g, g, g, g, g,
		g, g, g, g, g, g,
		g, g, b, b, g, g,
		g, g, b, b, g, g,
		g, g, g, g, g, g,
		g, g, g, g, g, g)
	big, _ := Image(make([]float64, 1<<10), []int{32, 32}, 0, 1)
	for _, zoom := range []int{0, -1, 1 << 10, 1 << 20, math.MaxInt} {
		if _, err := Grid([][]image.Image{{big}}, zoom); err == nil {
			t.Errorf("zoom %d: no error", zoom)
		}
	}
	wide := image.NewUniform(color.White) // two billion pixels wide
	for _, rows := range [][][]image.Image{nil, {nil}, {{wide}}} {
		if _, err := Grid(rows, 1); err == nil {
			t.Errorf("%v: no error", rows)
		}
	}
}
