package sdp

import (
	"errors"
	"fmt"
	"math"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/prog"
)

// ErrShape is wrapped by errors about networks that a method is not made for.
var ErrShape = errors.New("sdp: not a network of this shape")

// A shallow network is f(x) = V·relu(W·x + b) + b'.
type shallow struct {
	d, m, k int       // inputs, hidden units, classes
	w, v    []float64 // row-major m×d and k×m, as stored
	b, bv   []float64 // biases
	mag     []float64 // upper bounds on the row sums of |W|
	// relW and relV bound the relative error of the entries against the network's true coefficients, in units of 2⁻⁵³.
	relW, relV int
	hash       string
}

// maxWeights bounds the entries of a matrix that is written out.
const maxWeights = 1 << 26

// newShallow reads a graph. Affine maps that can be folded (flattening, normalisation, convolution) are; an error wraps ErrShape when
// what is left is not a single layer of ReLUs between two affine maps.
func newShallow(g *nn.Graph) (*shallow, error) {
	if cut, ok := g.Logits(); ok {
		g = cut
	}
	p, err := g.Lower()
	if err != nil {
		return nil, fmt.Errorf("sdp: %w", err)
	}
	p = prog.Simplify(p, nil)
	out := &p.Nodes[p.Output]
	if out.Kind != prog.Affine || len(out.Terms) != 1 {
		return nil, fmt.Errorf("%w: the output is not one affine map of a layer of ReLUs", ErrShape)
	}
	relu := &p.Nodes[out.Terms[0].Src]
	if relu.Kind != prog.Relu {
		return nil, fmt.Errorf("%w: below the last affine map is %v, not Relu", ErrShape, relu.Kind)
	}
	in := &p.Nodes[relu.Src]
	if in.Kind != prog.Affine || len(in.Terms) != 1 || in.Terms[0].Src != 0 {
		return nil, fmt.Errorf("%w: below the ReLUs is not one affine map of the input", ErrShape)
	}
	s := &shallow{d: p.Nodes[0].N, m: in.N, k: out.N, relW: in.Rel, relV: out.Rel, hash: g.Hash}
	switch {
	case s.k < 2:
		return nil, fmt.Errorf("%w: it has %d output; a classifier has two or more", ErrShape, s.k)
	case s.m > maxWeights/max(s.d, s.k) || s.m+s.d > maxDim:
		return nil, fmt.Errorf("%w: %d×%d weights are too many", ErrShape, s.m, s.d)
	}
	if s.w, err = entries(in.Terms[0].Map); err == nil {
		s.v, err = entries(out.Terms[0].Map)
	}
	if err != nil {
		return nil, err
	}
	s.b, s.bv, s.mag = make([]float64, s.m), make([]float64, s.k), make([]float64, s.m)
	copy(s.b, in.Bias)
	copy(s.bv, out.Bias)
	for i := range s.mag {
		for _, v := range s.w[i*s.d : (i+1)*s.d] {
			s.mag[i] += math.Abs(v)
		}
		s.mag[i] *= loose
	}
	return s, nil
}

// scores returns intervals that hold the scores at x in real arithmetic, ends ±Inf where nothing is known.
//
// Sound because a computed row errs by γ_{n+3+rel} times its sum of magnitudes, at most mag·max|x| + |b| in the first layer; relu is
// monotone and moves no two points apart.
func (s *shallow) scores(x []float64) (lo, hi []float64) {
	top := 0.0
	for _, v := range x {
		top = max(top, math.Abs(v))
	}
	z, e := make([]float64, s.m), make([]float64, s.m)
	g := gamma(s.d+s.relW+8) * loose
	for i := range z {
		z[i] = max(kernel.Dot(x, s.w[i*s.d:(i+1)*s.d])+s.b[i], 0)
		e[i] = g*(s.mag[i]*top+math.Abs(s.b[i])) + 0x1p-800
	}
	lo, hi = make([]float64, s.k), make([]float64, s.k)
	g = gamma(s.m+s.relV+8) * loose
	for i := range lo {
		v := s.v[i*s.m : (i+1)*s.m]
		y := kernel.Dot(z, v) + s.bv[i]
		err := (kernel.AbsDot(v, e) + g*(kernel.AbsDot(v, z)+kernel.AbsDot(v, e)+math.Abs(s.bv[i]))) * loose
		lo[i], hi[i] = down(y-up(err+0x1p-800)), up(y+up(err+0x1p-800))
		if !(top <= 0x1p300) || !(hi[i]-lo[i] <= math.MaxFloat64) {
			lo[i], hi[i] = math.Inf(-1), math.Inf(1)
		}
	}
	return lo, hi
}

// entries writes a map out row by row.
func entries(l prog.Linear) ([]float64, error) {
	m, n := l.Dims()
	w := make([]float64, m*n)
	bad := false
	l.Each(func(i, j int, v float64) {
		bad = bad || !(math.Abs(v) <= 0x1p100)
		w[i*n+j] += v
	})
	if bad {
		return nil, fmt.Errorf("%w: a weight is not finite or too large", ErrShape)
	}
	return w, nil
}

// A form is the quadratic form of a pair of classes: qᵀMq for q = (1, y, t) with M = [[0, A], [Aᵀ, 0]], A = [1ᵀB; B], B = diag(v)·W,
// row-major (m+1)×d. slackY and slackT bound the row and column sums of the absolute errors of a.
type form struct {
	a              []float64
	slackY, slackT []float64
}

// form fills f for v = V_i − V_j.
//
// Sound because v errs by (relV+1)·u·(|V_ik|+|V_jk|), a product with W by relW+1 units more, and the sum over k by γ_m; all are
// bounded through |B| ≤ (|V_ik|+|V_jk|)·|W_kl|.
func (s *shallow) form(i, j int, f *form) {
	m, d := s.m, s.d
	f.a, f.slackY, f.slackT = grow(f.a, (m+1)*d), grow(f.slackY, m+1), grow(f.slackT, d)
	clear(f.a[:d])
	clear(f.slackT)
	each, total := gamma(s.relW+s.relV+8)*loose, gamma(m+s.relW+s.relV+8)*loose
	all := 0.0
	for k := range m {
		vi, vj := s.v[i*m+k], s.v[j*m+k]
		v, mag, sum := vi-vj, math.Abs(vi)+math.Abs(vj), 0.0
		row := f.a[(k+1)*d : (k+2)*d]
		for l, w := range s.w[k*d : (k+1)*d] {
			row[l] = v * w
			f.a[l] += row[l]
			e := mag * math.Abs(w)
			f.slackT[l] += e
			sum += e
		}
		f.slackY[k+1] = sum*each*loose + 0x1p-800
		all += sum
	}
	f.slackY[0] = all*total*loose + 0x1p-800
	for l := range f.slackT {
		f.slackT[l] = f.slackT[l]*(each+total)*loose + 0x1p-800
	}
}
