package sdp

import (
	"errors"
	"fmt"
	"math"
	"slices"

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

// A dense is the affine map W·x + b, w row-major out×in as stored, of which every entry is off the network's true one by at most rel
// units of 2⁻⁵³ of itself.
type dense struct {
	in, out int
	w, b    []float64
	rel     int
}

// readDense reads a program as affine maps with ReLUs between them. Maps that can be folded (flattening, normalisation) are, others,
// such as convolutions, are written out; an error wraps ErrShape when that is not what is left.
func readDense(p *prog.Program) ([]dense, error) {
	p = prog.Simplify(p, nil)
	var layers []dense
	for k := p.Output; ; {
		n := &p.Nodes[k]
		if n.Kind != prog.Affine || len(n.Terms) != 1 {
			return nil, fmt.Errorf("%w: where an affine map of one layer is expected is %q (%v)", ErrShape, n.Name, n.Kind)
		}
		l, err := newDense(n)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
		if k = n.Terms[0].Src; k == 0 {
			break
		}
		if p.Nodes[k].Kind != prog.Relu {
			return nil, fmt.Errorf("%w: below an affine map is %q (%v), not Relu", ErrShape, p.Nodes[k].Name, p.Nodes[k].Kind)
		}
		k = p.Nodes[k].Src
	}
	slices.Reverse(layers)
	return layers, nil
}

// newDense writes an affine node out.
func newDense(n *prog.Node) (dense, error) {
	out, in := n.Terms[0].Map.Dims()
	if out > maxWeights/max(in, 1) || out+in > maxDim {
		return dense{}, fmt.Errorf("%w: %d×%d weights are too many", ErrShape, out, in)
	}
	l := dense{in: in, out: out, w: make([]float64, out*in), b: make([]float64, out), rel: n.Rel}
	copy(l.b, n.Bias)
	bad := false
	n.Terms[0].Map.Each(func(i, j int, v float64) {
		bad = bad || !(math.Abs(v) <= 0x1p100)
		l.w[i*in+j] += v
	})
	for _, v := range l.b {
		bad = bad || !(math.Abs(v) <= 0x1p100)
	}
	if bad {
		return dense{}, fmt.Errorf("%w: a weight is not finite or too large", ErrShape)
	}
	return l, nil
}

// readShallow reads a graph, without a final Softmax; see newShallow.
func readShallow(g *nn.Graph) (*shallow, error) {
	if cut, ok := g.Logits(); ok {
		g = cut
	}
	p, err := g.Lower()
	if err != nil {
		return nil, fmt.Errorf("sdp: %w", err)
	}
	s, err := newShallow(p)
	if err == nil {
		s.hash = g.Hash
	}
	return s, err
}

// newShallow reads a program; the error wraps ErrShape unless it has a single layer of ReLUs and two outputs or more, and where the
// matrix of a pair of classes, or the dual solutions of all, would have more than maxWeights entries.
func newShallow(p *prog.Program) (*shallow, error) {
	layers, err := readDense(p)
	if err != nil {
		return nil, err
	}
	if len(layers) != 2 {
		return nil, fmt.Errorf("%w: %d affine maps, not two", ErrShape, len(layers))
	}
	in, out := layers[0], layers[1]
	if out.out < 2 {
		return nil, fmt.Errorf("%w: it has %d output; a classifier has two or more", ErrShape, out.out)
	}
	if m, pairs := in.out+1, out.out*(out.out-1)/2; m > maxWeights/m || pairs > maxWeights/(m+in.in) {
		return nil, fmt.Errorf("%w: %d hidden units and %d classes are too many", ErrShape, in.out, out.out)
	}
	s := &shallow{d: in.in, m: in.out, k: out.out, w: in.w, v: out.w, b: in.b, bv: out.b, relW: in.rel, relV: out.rel,
		mag: make([]float64, in.out)}
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
