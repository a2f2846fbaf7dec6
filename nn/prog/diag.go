package prog

import "github.com/spai-project/certify/internal/kernel"

// diagMap is a sparse map that is square and diagonal: it keeps windows of any layout as they are.
type diagMap struct{ *sparseMap }

// OutImage implements Windowed.
func (d diagMap) OutImage() Window { return Window{} }

// InWindow implements Windowed.
func (d diagMap) InWindow(out Window) Window { return out }

// RowWindow implements Windowed; the layout is a single row of n pixels.
func (d diagMap) RowWindow(i int) Window {
	return Window{C: 1, H: 1, W: d.n, Y1: 1, X0: i, X1: i + 1}
}

// BackwardWindow implements Windowed.
func (d diagMap) BackwardWindow(dst, y []float64, R int, out Window) (in Window) {
	d.ForwardWindow(dst, y, R, out)
	return out
}

// ForwardWindow implements Windowed.
func (d diagMap) ForwardWindow(dst, x []float64, R int, out Window) {
	if out.IsAll() {
		d.Forward(dst, x, R)
		return
	}
	out.Runs(d.n, func(i, n int) {
		if len(d.runs) == 1 {
			kernel.Axpy(dst[i*R:(i+n)*R], x[i*R:(i+n)*R], d.runs[0].v)
			return
		}
		for ; n > 0; i, n = i+1, n-1 {
			_, val := d.csr.Row(i)
			kernel.Axpy(dst[i*R:(i+1)*R], x[i*R:(i+1)*R], val[0])
		}
	})
}
