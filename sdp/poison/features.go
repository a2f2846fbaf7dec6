package poison

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/spai-project/certify/nn/data"
)

// Features turn items into vectors for the models of an Ensemble. They depend on the item alone, never on training data: a
// statistic of the training data would be a way for one poisoned item to reach every model.
type Features struct {
	h, w, bins, cells int
	plain             bool
	cos, sin          []float64
	rows, cols        []float64 // pooling weights, cells×h and cells×w
	d                 int
}

// Gradient features: the number of orientations, the reach of a cell in pixels of a 28×28 picture, the exponent that evens out
// strong and weak edges.
const (
	featureBins  = 12
	featureCells = 7
	featureReach = 6.0 / 28
	featurePower = 0.7
)

// NewFeatures returns features for items of a shape. Gray pictures ([1 H W] or [H W], from 8×8) are straightened by their
// moments, brought towards one size, and described by histograms of oriented gradients in overlapping cells (after Dalal and
// Triggs 2005); anything else is taken as it is, with a constant behind it.
func NewFeatures(shape []int) *Features {
	f := &Features{bins: featureBins, cells: featureCells}
	if len(shape) == 3 && shape[0] == 1 {
		shape = shape[1:]
	}
	f.d = 1
	for _, d := range shape {
		f.d *= d
	}
	if len(shape) != 2 || min(shape[0], shape[1]) < 8 {
		f.plain = true
		f.d++
		return f
	}
	f.h, f.w = shape[0], shape[1]
	f.rows, f.cols = pooling(f.cells, f.h), pooling(f.cells, f.w)
	for b := range f.bins {
		angle := 2 * math.Pi * float64(b) / float64(f.bins)
		f.cos, f.sin = append(f.cos, math.Cos(angle)), append(f.sin, math.Sin(angle))
	}
	f.d = f.bins * f.cells * f.cells
	return f
}

// pooling returns triangular weights of n pixels for cells spread over them, each summing to 1.
func pooling(cells, n int) []float64 {
	out := make([]float64, cells*n)
	reach := featureReach * float64(n)
	for c := range cells {
		centre, sum := (float64(c)+0.875)*float64(n)/(float64(cells)+0.5), 0.0
		for i := range n {
			v := max(0, 1-math.Abs(float64(i)-centre)/reach)
			out[c*n+i] = v
			sum += v
		}
		for i := range n {
			out[c*n+i] /= sum
		}
	}
	return out
}

// Dim returns the number of features of an item.
func (f *Features) Dim() int { return f.d }

// All returns the features of every item of a set, row-major. When ctx ends, its error is returned.
func (f *Features) All(ctx context.Context, s *data.Set, workers int) ([]float32, error) {
	out := make([]float32, s.Len()*f.d)
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			room := make([]float64, 2*f.h*f.w+f.bins*f.h*f.w+f.cells*max(f.h, f.w))
			for i := int(next.Add(1)) - 1; i < s.Len() && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				f.one(out[i*f.d:(i+1)*f.d], s.Item(i), room)
			}
		})
	}
	wg.Wait()
	return out, ctx.Err()
}

func (f *Features) one(dst []float32, x, room []float64) {
	if f.plain {
		for j, v := range x {
			dst[j] = float32(v)
		}
		dst[len(x)] = 1
		return
	}
	n := f.h * f.w
	picture, maps, row := room[:n], room[n:n+f.bins*n], room[len(room)-f.cells*max(f.h, f.w):]
	f.straighten(picture, x)
	f.orient(maps, picture)
	sq := 0.0
	for b := range f.bins {
		f.pool(dst[b*f.cells*f.cells:(b+1)*f.cells*f.cells], maps[b*n:(b+1)*n], row)
	}
	for j, v := range dst {
		p := math.Pow(float64(v), featurePower)
		dst[j] = float32(p)
		sq += p * p
	}
	scale := float32(1 / (math.Sqrt(sq) + 1e-6))
	for j := range dst {
		dst[j] *= scale
	}
}

// orient writes, for every pixel, the positive part of the gradient in every direction.
func (f *Features) orient(maps, p []float64) {
	at := func(y, x int) float64 {
		if y < 0 || y >= f.h || x < 0 || x >= f.w {
			return 0
		}
		return p[y*f.w+x]
	}
	n := f.h * f.w
	for y := range f.h {
		for x := range f.w {
			gx, gy := at(y, x+1)-at(y, x-1), at(y+1, x)-at(y-1, x)
			for b := range f.bins {
				maps[b*n+y*f.w+x] = max(0, gx*f.cos[b]+gy*f.sin[b])
			}
		}
	}
}

// pool adds a map up in cells.
func (f *Features) pool(dst []float32, m, row []float64) {
	for c := range f.cells {
		r := row[c*f.w : (c+1)*f.w]
		clear(r)
		for y := range f.h {
			if k := f.rows[c*f.h+y]; k != 0 {
				for x, v := range m[y*f.w : (y+1)*f.w] {
					r[x] += k * v
				}
			}
		}
		for e := range f.cells {
			sum := 0.0
			for x, k := range f.cols[e*f.w : (e+1)*f.w] {
				sum += k * r[x]
			}
			dst[c*f.cells+e] = float32(sum)
		}
	}
}

// straighten writes a picture sheared so that its ink has no slant, centred, and half-way to a common height and width, by its
// moments. A picture without ink stays as it is.
func (f *Features) straighten(dst, p []float64) {
	var ink, my, mx float64
	for i, v := range p {
		ink += v
		my += v * float64(i/f.w)
		mx += v * float64(i%f.w)
	}
	if !(ink > 1e-9) {
		copy(dst, p)
		return
	}
	my, mx = my/ink, mx/ink
	var vyy, vxy, vxx float64
	for i, v := range p {
		dy, dx := float64(i/f.w)-my, float64(i%f.w)-mx
		vyy += v * dy * dy
		vxy += v * dy * dx
		vxx += v * dx * dx
	}
	vyy, vxy, vxx = vyy/ink, vxy/ink, vxx/ink
	slant := min(max(vxy/(vyy+1e-9), -1), 1)
	if slant != slant {
		slant = 0
	}
	sy := size(vyy, 5.0/28*float64(f.h), 0.7, 1.4)
	sx := size(vxx-slant*vxy, 4.0/28*float64(f.w), 0.5, 1.6)
	cy, cx := float64(f.h-1)/2, float64(f.w-1)/2
	for y := range f.h {
		dy := sy * (float64(y) - cy)
		for x := range f.w {
			dst[y*f.w+x] = f.between(p, my+dy, mx+slant*dy+sx*(float64(x)-cx))
		}
	}
}

// size returns the square root of the factor, kept within limits, by which a standard deviation exceeds a wanted one.
func size(variance, want, least, most float64) float64 {
	return math.Sqrt(min(max(math.Sqrt(max(variance, 1e-3))/want, least), most))
}

// between interpolates a picture bilinearly, with 0 outside.
func (f *Features) between(p []float64, y, x float64) float64 {
	y0, x0 := math.Floor(y), math.Floor(x)
	if !(y0 >= -1 && y0 < float64(f.h) && x0 >= -1 && x0 < float64(f.w)) {
		return 0
	}
	fy, fx := y-y0, x-x0
	at := func(i, j int) float64 {
		if i < 0 || i >= f.h || j < 0 || j >= f.w {
			return 0
		}
		return p[i*f.w+j]
	}
	i, j := int(y0), int(x0)
	return (1-fy)*((1-fx)*at(i, j)+fx*at(i, j+1)) + fy*((1-fx)*at(i+1, j)+fx*at(i+1, j+1))
}
