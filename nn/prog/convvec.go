package prog

import "github.com/spai-project/certify/internal/kernel"

// A convolution of a single vector uses pixels as lanes. The source is copied into a zero-padded image, separated by
// position modulo the stride, so that every tap of every pixel of a phase is the same image moved by a constant; the
// register tiles then run over the whole image as one long row of lanes (the few columns between two image rows are
// computed and dropped).

// A vecAxis is one dimension of that copy for one phase: targets first, first+tstep, … (count of them); plane position h
// of residue ρ holds source coordinate (h+minShift)·sstep + ρ.
type vecAxis struct {
	first, tstep, count int
	sstep, minShift     int
	size                int   // plane extent
	residue, shift      []int // per tap, shift relative to minShift
}

func (a *axis) vector(phase, t0, t1 int) vecAxis {
	v := vecAxis{tstep: 1, sstep: a.stride, minShift: 1 << 30}
	if !a.isForward {
		v.tstep, v.sstep = a.stride, 1
	}
	for v.first = t0; v.first < t1; v.first++ {
		if f, _ := a.at(v.first); f == phase {
			break
		}
	}
	v.count = max(0, (t1-v.first+v.tstep-1)/v.tstep)
	if v.count == 0 || len(a.rel[phase]) == 0 {
		return vecAxis{}
	}
	_, base := a.at(v.first)
	top := -1 << 30
	for _, rel := range a.rel[phase] {
		s := floorDiv(base+rel, v.sstep)
		v.residue = append(v.residue, base+rel-s*v.sstep)
		v.shift = append(v.shift, s)
		v.minShift, top = min(v.minShift, s), max(top, s)
	}
	for u := range v.shift {
		v.shift[u] -= v.minShift
	}
	v.size = top - v.minShift + v.count
	return v
}

// runVector computes dst += A·src for one vector, for the target pixels in t, counting the source as zero outside s.
func (p *convPlan) runVector(dst, src []float64, t, s Window) {
	for fy := range p.y.phases {
		for fx := range p.x.phases {
			y, x := p.y.vector(fy, t.Y0, t.Y1), p.x.vector(fx, t.X0, t.X1)
			if y.count > 0 && x.count > 0 {
				p.vectorPhase(dst, src, &p.phase[fy*p.x.phases+fx], &y, &x, s)
			}
		}
	}
}

func (p *convPlan) vectorPhase(dst, src []float64, op *phaseOp, y, x *vecAxis, s Window) {
	plane := y.size * x.size
	channels := p.group * p.depth
	lanes := ((y.count-1)*x.size + x.count + 7) &^ 7
	total := y.sstep*x.sstep*channels*plane + 8
	buf := p.buffer(total + p.rows*lanes)
	defer p.scratch.Put(buf)
	image, out := (*buf)[:total], (*buf)[total:total+p.rows*lanes]
	p.scatter(image, src, y, x, s)
	rows := p.shifts(y, x, plane)
	for g, pk := range op.packs {
		clear(out)
		pk.MulShifted(out, lanes, image[g*p.depth*plane:], rows, lanes)
		p.collect(dst[g*p.rows*p.y.n*p.x.n:], out, lanes, y, x)
	}
}

// buffer returns a scratch slice of at least n zeros.
func (p *convPlan) buffer(n int) *[]float64 {
	if b, ok := p.scratch.Get().(*[]float64); ok && len(*b) >= n {
		clear((*b)[:n])
		return b
	}
	b := make([]float64, n)
	return &b
}

// shifts lists the start of the moved image of every column of the packed matrix.
func (p *convPlan) shifts(y, x *vecAxis, plane int) *kernel.Rows {
	idx := make([]int32, 0, len(y.shift)*len(x.shift)*p.depth)
	for uy := range y.shift {
		for ux := range x.shift {
			at := (y.residue[uy]*x.sstep+x.residue[ux])*p.group*p.depth*plane + y.shift[uy]*x.size + x.shift[ux]
			for c := 0; c < p.depth; c++ {
				idx = append(idx, int32(at+c*plane))
			}
		}
	}
	return kernel.NewRows(idx, len(idx))
}

// scatter copies the window s of the source into the planes of the image.
func (p *convPlan) scatter(image, src []float64, y, x *vecAxis, s Window) {
	channels := p.group * p.depth
	plane := y.size * x.size
	for sy := s.Y0; sy < s.Y1; sy++ {
		h := floorDiv(sy, y.sstep)
		ry := sy - h*y.sstep
		if h -= y.minShift; h < 0 || h >= y.size {
			continue
		}
		for rx := 0; rx < x.sstep; rx++ {
			// source columns k·sstep+rx inside the window and inside the plane
			k0 := max(-floorDiv(-(s.X0-rx), x.sstep), x.minShift)
			k1 := min(floorDiv(s.X1-1-rx, x.sstep)+1, x.minShift+x.size)
			if k0 >= k1 {
				continue
			}
			to := (ry*x.sstep+rx)*channels*plane + h*x.size + k0 - x.minShift
			for c := 0; c < channels; c++ {
				from := src[(c*p.y.src+sy)*p.x.src:]
				d := image[to+c*plane : to+c*plane+k1-k0]
				if x.sstep == 1 {
					copy(d, from[k0:k1])
					continue
				}
				for i := range d {
					d[i] = from[(k0+i)*x.sstep+rx]
				}
			}
		}
	}
}

// collect adds the computed lanes to their target pixels.
func (p *convPlan) collect(dst, out []float64, lanes int, y, x *vecAxis) {
	for r := 0; r < p.rows; r++ {
		for qy := 0; qy < y.count; qy++ {
			d := dst[(r*p.y.n+y.first+qy*y.tstep)*p.x.n+x.first:]
			o := out[r*lanes+qy*x.size : r*lanes+qy*x.size+x.count]
			for qx, v := range o {
				d[qx*x.tstep] += v
			}
		}
	}
}
