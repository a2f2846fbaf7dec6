package relax

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

// randomNet draws a small program with a residual connection, a sparse map and, when smooth, a sigmoid layer.
func randomNet(r *rand.Rand, in int, width []int, smooth bool) *prog.Program {
	b := prog.NewBuilder(in)
	dense := func(m, n int) prog.Linear {
		w := make([]float64, m*n)
		for i := range w {
			w[i] = float64(float32(r.NormFloat64() / math.Sqrt(float64(n))))
		}
		return prog.Dense(m, n, w)
	}
	bias := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(float32(r.NormFloat64() * 0.3))
		}
		return v
	}
	cur, n := 0, in
	for i, m := range width {
		z := b.Affine("", m, bias(m), 0, prog.Term{Src: cur, Map: dense(m, n)})
		x := b.Relu("", z)
		if smooth && i == len(width)-1 {
			x = b.Sigmoid("", z)
		}
		if i > 0 && m == n {
			x = b.Affine("", m, nil, 0, prog.Term{Src: x, Map: prog.Identity(m)}, prog.Term{Src: cur, Map: prog.Identity(m)})
		}
		cur, n = x, m
	}
	out := b.Affine("", 3, bias(3), 0, prog.Term{Src: cur, Map: dense(3, n)})
	p, err := b.Program(out)
	if err != nil {
		panic(err)
	}
	return p
}

func randomBox(r *rand.Rand, n int) Box {
	x := Box{make([]float64, n), make([]float64, n)}
	for i := range x.Lo {
		c, w := r.NormFloat64(), r.Float64()*0.6
		if r.IntN(4) == 0 {
			w = 0
		}
		x.Lo[i], x.Hi[i] = c-w, c+w
	}
	return x
}

// inBounds samples the box and fails if any node leaves its bounds by more than the rounding of the evaluation itself.
func inBounds(t *testing.T, r *rand.Rand, p *prog.Program, box Box, b *Bounds, what string) {
	t.Helper()
	for range 200 {
		v := p.Eval(samplePoint(r, box), 1, nil)
		for k := range v {
			for j, y := range v[k] {
				if y < b.L[k][j]-1e-12*(1+math.Abs(y)) || y > b.U[k][j]+1e-12*(1+math.Abs(y)) {
					t.Fatalf("%s: node %d (%v) element %d: %v outside [%v, %v]", what, k, p.Nodes[k].Kind, j, y, b.L[k][j], b.U[k][j])
				}
			}
		}
	}
}

func samplePoint(r *rand.Rand, box Box) []float64 {
	x := make([]float64, len(box.Lo))
	for i := range x {
		switch r.IntN(4) {
		case 0:
			x[i] = box.Lo[i]
		case 1:
			x[i] = box.Hi[i]
		default:
			x[i] = min(max(box.Lo[i]+r.Float64()*(box.Hi[i]-box.Lo[i]), box.Lo[i]), box.Hi[i])
		}
	}
	return x
}

func TestBoundsContainSamples(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := randomNet(r, 1+r.IntN(5), []int{6, 6, 6}, seed%3 == 0)
		n := NewNet(p)
		box := randomBox(r, p.Nodes[0].N)
		b := n.NewBounds()
		n.IBP(box, b)
		inBounds(t, r, p, box, b, "ibp")
		s := n.NewScale(b)
		ibpWidth := b.U[p.Output][0] - b.L[p.Output][0]
		pool := NewPool(n, 2)
		f := n.NewFrame(box, b, s)
		if seed%2 == 0 {
			if !n.Forward(f) {
				t.Fatal("forward: empty")
			}
			inBounds(t, r, p, box, b, "forward")
		}
		if !n.Crown(context.Background(), pool, f, Tightening{Alpha: int(seed % 5)}) {
			t.Fatal("crown: empty")
		}
		inBounds(t, r, p, box, b, "crown")
		if w := b.U[p.Output][0] - b.L[p.Output][0]; w > ibpWidth {
			t.Fatalf("crown wider than ibp: %v > %v", w, ibpWidth)
		}
	}
}

// TestAscentGradient compares the closed-form gradient with central differences of the bound.
func TestAscentGradient(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		p := randomNet(r, 4, []int{8, 8, 8}, false)
		n := NewNet(p)
		box := randomBox(r, 4)
		b := n.NewBounds()
		n.IBP(box, b)
		f := n.NewFrame(box, b, n.NewScale(b))
		w := NewWorker(n)
		const R = 8
		a := NewAscent(w, f, R)
		for _, al := range a.Alpha {
			for i := range al {
				al[i] = 0.1 + 0.8*r.Float64()
			}
		}
		splits, beta := make([][]Split, R), make([][]float64, R)
		for k, rf := range f.relu {
			if rf != nil && len(rf.unstable) > 1 {
				splits[3] = append(splits[3], Split{int32(k), rf.unstable[0], 1}, Split{int32(k), rf.unstable[1], -1})
				beta[3] = append(beta[3], 0.3, 0.2)
			}
		}
		a.SetSplits(splits, beta)
		seedRows := func(w *Worker) {
			for l := range R {
				w.Seed(p.Output, l%3, l, 1-2*float64(l%2))
			}
		}
		eval := func() []float64 {
			w.Begin(R)
			w.Alpha = a.Alpha
			w.SetSplits(splits, a.Beta)
			seedRows(w)
			w.keep = true
			w.Run(f, p.Output)
			return append([]float64(nil), w.LB...)
		}
		check := func(what string, x *float64, l int, g float64) {
			old := *x
			const h = 1e-6
			*x = old + h
			up := eval()[l]
			*x = old - h
			dn := eval()[l]
			*x = old
			if fd := (up - dn) / (2 * h); math.Abs(fd-g) > 1e-4*(1+math.Abs(g)) {
				t.Errorf("seed %d %s lane %d: gradient %v, finite difference %v", seed, what, l, g, fd)
			}
		}
		eval()
		w.primal(f, p.Output, false)
		z := map[int][]float64{}
		s := map[int][]float64{}
		for k, rf := range f.relu {
			if rf != nil {
				z[k] = append([]float64(nil), w.val[p.Nodes[k].Src]...)
				s[k] = append([]float64(nil), w.save[k]...)
			}
		}
		for k, rf := range f.relu {
			if rf == nil {
				continue
			}
			for i, j := range rf.unstable {
				l := (i + k) % R
				check("alpha", &a.Alpha[k][i*R+l], l, max(s[k][i*R+l], 0)*z[k][int(j)*R+l])
			}
		}
		for i, sp := range splits[3] {
			check("beta", &a.Beta[3][i], 3, -float64(sp.Sign)*z[int(sp.Act)][int(sp.Elem)*R+3])
		}
	}
}

func TestSigmoidLinesAreSound(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 20000 {
		l := r.NormFloat64() * math.Pow(10, 2*r.Float64()-1)
		u := l + r.ExpFloat64()*math.Pow(10, 4*r.Float64()-3)
		kl, tl, ku, tu := sigmoidLines(l, u, r.Float64())
		for i := range 50 {
			z := l + (u-l)*float64(i)/49
			z = min(max(z, l), u)
			s := sigma(z)
			if kl*z+tl > s+1e-15 || ku*z+tu < s-1e-15 {
				t.Fatalf("[%v,%v] at %v: %v ≤ %v ≤ %v fails", l, u, z, kl*z+tl, s, ku*z+tu)
			}
		}
	}
}
