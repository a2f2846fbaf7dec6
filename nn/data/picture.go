package data

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
)

// A canvas says how the values of an item lie on a picture.
type canvas struct {
	width, height int
	colors        int // 1 or 3
	pixel, color  int // distances in the item between pixels, and between colours of a pixel
}

// canvasOf recognises pictures: [H W] and [H W 1] in gray, [3 H W] and [H W 3] in colour, with any ones before them. Other items
// become a strip of gray cells, broken into rows as long as there are rows once they are more than 16.
func canvasOf(shape []int) (canvas, error) {
	d, ok := volume(shape)
	if !ok || d == 0 {
		return canvas{}, fmt.Errorf("data: no picture of shape %v", shape)
	}
	for len(shape) > 0 && shape[0] == 1 {
		shape = shape[1:]
	}
	switch {
	case len(shape) == 2:
		return canvas{shape[1], shape[0], 1, 1, 0}, nil
	case len(shape) == 3 && shape[0] == 3:
		return canvas{shape[2], shape[1], 3, 1, shape[1] * shape[2]}, nil
	case len(shape) == 3 && shape[2] == 1:
		return canvas{shape[1], shape[0], 1, 1, 0}, nil
	case len(shape) == 3 && shape[2] == 3:
		return canvas{shape[1], shape[0], 3, 3, 1}, nil
	}
	w := d
	if d > 16 {
		w = int(math.Ceil(math.Sqrt(float64(d))))
	}
	return canvas{w, (d + w - 1) / w, 1, 1, 0}, nil
}

// draw paints every pixel with the colour that paint gives for its one or three values; cells behind the last value stay
// transparent.
func (c canvas) draw(x []float64, paint func(v [3]float64) color.RGBA) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, c.width, c.height))
	for i := range c.width * c.height {
		at := i * c.pixel
		if at >= len(x) {
			break
		}
		v := [3]float64{x[at], x[at], x[at]}
		if c.colors == 3 {
			v[1], v[2] = x[at+c.color], x[at+2*c.color]
		}
		m.SetRGBA(i%c.width, i/c.width, paint(v))
	}
	return m
}

// Image draws an item: lo becomes black, hi white (or full colour), what lies outside the nearest of the two. See canvasOf for
// the shapes; there is an error when x does not fill shape or lo is not below hi.
func Image(x []float64, shape []int, lo, hi float64) (image.Image, error) {
	c, err := canvasOf(shape)
	if err != nil {
		return nil, err
	}
	if d, _ := volume(shape); len(x) != d || !(lo < hi) || math.IsInf(hi-lo, 0) {
		return nil, fmt.Errorf("data: %d values in [%v, %v] are no picture of shape %v", len(x), lo, hi, shape)
	}
	return c.draw(x, func(v [3]float64) color.RGBA {
		var b [3]uint8
		for k := range v {
			b[k] = level((v[k] - lo) / (hi - lo))
		}
		return color.RGBA{b[0], b[1], b[2], 255}
	}), nil
}

// Difference draws to − from. One value a pixel is white at 0, red above and blue below; three are gray at 0, each colour
// brighter above and darker below. scale is the difference that gets the full colour; 0 takes the largest in x. The scale used
// is returned, 0 when nothing differs.
func Difference(from, to []float64, shape []int, scale float64) (image.Image, float64, error) {
	c, err := canvasOf(shape)
	if err != nil {
		return nil, 0, err
	}
	if d, _ := volume(shape); len(from) != d || len(to) != d || !(scale >= 0) {
		return nil, 0, fmt.Errorf("data: %d and %d values at scale %v are no picture of shape %v", len(from), len(to), scale,
			shape)
	}
	diff := make([]float64, len(to))
	most := 0.0
	for k := range diff {
		diff[k] = to[k] - from[k]
		most = max(most, math.Abs(diff[k]))
	}
	if scale == 0 {
		scale = most
	}
	unit := scale
	if unit == 0 {
		unit = 1
	}
	return c.draw(diff, func(v [3]float64) color.RGBA {
		if c.colors == 3 {
			return color.RGBA{level(0.5 + v[0]/unit/2), level(0.5 + v[1]/unit/2), level(0.5 + v[2]/unit/2), 255}
		}
		t := v[0] / unit
		pale := level(1 - math.Abs(t))
		if t < 0 {
			return color.RGBA{pale, pale, 255, 255}
		}
		return color.RGBA{255, pale, pale, 255}
	}), scale, nil
}

// level maps [0, 1] to the bytes, what lies outside to the nearest and NaN to 0.
func level(t float64) uint8 {
	switch {
	case !(t > 0):
		return 0
	case t >= 1:
		return 255
	}
	return uint8(t*255 + 0.5)
}

// Grid puts pictures on one sheet: a line for each row, columns as wide as their widest picture, every pixel a square of
// zoom × zoom, gaps and what is transparent light gray. A nil picture leaves its cell empty. For attacks a row is the original,
// the Difference, the adversarial item.
func Grid(rows [][]image.Image, zoom int) (image.Image, error) {
	const gap, most = 1, 1 << 28
	var widths []int
	height, width := gap, gap
	heights := make([]int, len(rows))
	for i, row := range rows {
		for j, m := range row {
			if j == len(widths) {
				widths = append(widths, 0)
			}
			if m != nil {
				widths[j], heights[i] = max(widths[j], m.Bounds().Dx()), max(heights[i], m.Bounds().Dy())
			}
		}
		height += heights[i] + gap
	}
	for _, w := range widths {
		width += w + gap
	}
	fits := zoom >= 1 && zoom <= 1<<10 && width <= most && height <= most
	if !fits || len(widths) == 0 || int64(width)*int64(height) > most/int64(zoom*zoom) {
		return nil, fmt.Errorf("data: a sheet of %d × %d pixels, %d times enlarged, cannot be drawn", width, height, zoom)
	}
	sheet := image.NewRGBA(image.Rect(0, 0, width*zoom, height*zoom))
	draw.Draw(sheet, sheet.Bounds(), image.NewUniform(color.Gray{0xd0}), image.Point{}, draw.Src)
	y := gap
	for i, row := range rows {
		x := gap
		for j, m := range row {
			if m != nil {
				enlarge(sheet, m, x*zoom, y*zoom, zoom)
			}
			x += widths[j] + gap
		}
		y += heights[i] + gap
	}
	return sheet, nil
}

// enlarge copies the opaque pixels of m to dst at (x, y).
func enlarge(dst *image.RGBA, m image.Image, x, y, zoom int) {
	b := m.Bounds()
	for py := range b.Dy() * zoom {
		for px := range b.Dx() * zoom {
			c := color.RGBAModel.Convert(m.At(b.Min.X+px/zoom, b.Min.Y+py/zoom)).(color.RGBA)
			if c.A == 255 {
				dst.SetRGBA(x+px, y+py, c)
			}
		}
	}
}
