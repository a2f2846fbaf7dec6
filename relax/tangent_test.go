package relax

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/nn/prog"
)

func bigOf(v float64) *big.Float { return new(big.Float).SetPrec(400).SetFloat64(v) }

// bigLine is k·z + t without rounding.
func bigLine(k, t, z float64) *big.Float {
	v := new(big.Float).SetPrec(2400).Mul(bigOf(k), bigOf(z))
	return v.Add(v, bigOf(t))
}

// sigmoidNet is a chain of affine maps and sigmoids with float32 weights.
func sigmoidNet(r *rand.Rand, widths []int, gain float64) *prog.Program {
	b := prog.NewBuilder(widths[0])
	x := 0
	for i := 1; i < len(widths); i++ {
		m, n := widths[i], widths[i-1]
		w, c := make([]float64, m*n), make([]float64, m)
		for j := range w {
			w[j] = float64(float32(r.NormFloat64() * gain / math.Sqrt(float64(n))))
		}
		for j := range c {
			c[j] = float64(float32(r.NormFloat64()))
		}
		x = b.Affine("", m, c, 0, prog.Term{Src: x, Map: prog.Dense(m, n, w)})
		if i < len(widths)-1 {
			x = b.Sigmoid("", x)
		}
	}
	p, err := b.Program(x)
	if err != nil {
		panic(err)
	}
	return p
}

// intervalFrame is the frame of a lone sigmoid on [l,u].
func intervalFrame(l, u float64) *sigmFrame {
	b := prog.NewBuilder(1)
	p, err := b.Program(b.Sigmoid("", 0))
	if err != nil {
		panic(err)
	}
	n := NewNet(p)
	box := Box{[]float64{l}, []float64{u}}
	bd := n.NewBounds()
	n.IBP(box, bd)
	return n.NewFrame(box, bd, n.NewScale(bd)).sigm[1]
}

// tangentCase draws an interval where tangents matter: of every size and place, and where the one through the far end decides.
func tangentCase(r *rand.Rand, i int) (l, u float64) {
	l = r.NormFloat64() * math.Pow(10, 4*r.Float64()-2)
	u = l + math.Pow(10, 14*r.Float64()-11)*(1+math.Abs(l))
	switch i % 6 {
	case 0:
		l, u = -math.Abs(l), math.Abs(l)*r.Float64()
	case 1:
		l, u = -math.Abs(l)*r.Float64()*1e-6, math.Abs(l)
	case 2:
		l, u = -r.Float64()*60, r.ExpFloat64()*20
	case 3:
		u = r.Float64() * 1e-9
		l = -u * (2 + r.ExpFloat64())
	}
	return min(max(l, -700), 700), min(max(u, -699), 700)
}

// TestTangentsAgainstExactValues checks the lines of lanes at every place where they can cross the curve: the ends, the point of
// contact and its neighbours; and that they do touch, so that a rule which gives tightness away is noticed.
func TestTangentsAgainstExactValues(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 1))
	touched, ends := 0, 0
	for i := range 4000 {
		l, u := tangentCase(r, i)
		if !(l < u) {
			continue
		}
		sf := intervalFrame(l, u)
		for side := range 2 {
			g := &sf.tan[side]
			if g.lo == g.hi {
				continue
			}
			tau := []float64{0, 1, g.tau, r.Float64(), math.Pow(r.Float64(), 9)}[i%5]
			d, far := g.at(tau), u
			if side == 1 {
				d, far = -d, l
			}
			if d < l || d > u {
				t.Fatalf("[%v,%v] side %d: tangent at %v", l, u, side, d)
			}
			k, c := sf.line(0, side == 1, tau, tau)
			zs := []float64{l, u, d, math.Nextafter(d, 999), math.Nextafter(d, -999), d + 1e-8, d - 1e-8, 0, d / 2, l + r.Float64()*(u-l)}
			for _, z := range zs {
				z = min(max(z, l), u)
				if gap := bigLine(k, c, z).Cmp(bigSigma(z)); gap > 0 && side == 0 || gap < 0 && side == 1 {
					t.Fatalf("[%v,%v] side %d tangent at %v: line %v, σ %v at %v", l, u, side, d, bigLine(k, c, z), bigSigma(z), z)
				}
			}
			slack := math.Abs(k*d + c - sigma(d))
			if slack < 1e-13*(1+k*(u-l)) {
				touched++
			} else {
				t.Errorf("[%v,%v] side %d: slack %v at the point of contact %v", l, u, side, slack, d)
			}
			if tau == 1 && (far > 1e-3 || far < -1e-3) && d*far < 0 && math.Abs(k*far+c-sigma(far)) < 1e-9 {
				ends++
			}
		}
	}
	if touched < 2000 || ends < 100 {
		t.Errorf("%d tangents touched, %d reached the far end: the test checks nothing", touched, ends)
	}
}

// bigEval evaluates the output of a chain of affine maps and sigmoids at x to some 200 bits.
func bigEval(p *prog.Program, x []float64) []*big.Float { return bigNodes(p, x)[p.Output] }

// bigNodes is bigEval for every node.
func bigNodes(p *prog.Program, x []float64) [][]*big.Float {
	v := make([]*big.Float, len(x))
	for i := range x {
		v[i] = bigOf(x[i])
	}
	all := [][]*big.Float{v}
	for k := 1; k < len(p.Nodes); k++ {
		nd := &p.Nodes[k]
		next := make([]*big.Float, nd.N)
		for j := range next {
			if nd.Kind == prog.Sigmoid {
				next[j] = bigSigmaOf(v[j])
				continue
			}
			next[j] = bigOf(nd.Bias[j])
			row := make([]float64, p.Nodes[nd.Terms[0].Src].N)
			nd.Terms[0].Map.Row(row, 1, 0, j, 1)
			for i, w := range row {
				next[j].Add(next[j], new(big.Float).Mul(bigOf(w), v[i]))
			}
		}
		v = next
		all = append(all, v)
	}
	return all
}

// bigSigmaOf is bigSigma of a number that is no float64: e^{−z} = e^{−fl(z)}·e^{−(z−fl(z))}, the second by its series.
func bigSigmaOf(z *big.Float) *big.Float {
	f, _ := z.Float64()
	one := bigOf(1)
	e := new(big.Float).Sub(new(big.Float).Quo(one, bigSigma(f)), one)
	x := new(big.Float).Sub(bigOf(f), z)
	sum, term := bigOf(1), bigOf(1)
	for i := range 12 {
		term = new(big.Float).Quo(new(big.Float).Mul(term, x), bigOf(float64(i+1)))
		sum.Add(sum, term)
	}
	e.Mul(e, sum)
	return new(big.Float).Quo(one, e.Add(e, one))
}

// TestTangentBoundsAgainstExactValues bounds rows of whole networks with random tangents, before and after ascending them, and
// compares with the network at the corners that minimise the relaxation and at random points.
func TestTangentBoundsAgainstExactValues(t *testing.T) {
	const R = 8
	gained := 0
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 22))
		p := sigmoidNet(r, []int{3, 7, 6, 2}, 3)
		n := NewNet(p)
		box := randomBox(r, 3)
		f := ibpFrame(n, box)
		w := NewWorker(n)
		a := NewAscent(w, f, R)
		seedRows := func(w *Worker) {
			for l := range R {
				w.Seed(p.Output, l%2, l, 1-2*float64(l/2%2))
			}
		}
		w.Begin(R)
		seedRows(w)
		w.Run(f, p.Output)
		plain := append([]float64(nil), w.LB...)
		for _, al := range a.Alpha {
			for i := range al {
				if i%R >= 4 {
					al[i] = r.Float64()
				}
			}
		}
		steps := []int{1, 2, 12}[seed%3]
		a.Run(f, p.Output, R, nil, seedRows, Steps{N: steps, RateA: 0.2, Decay: 0.95, Final: true})
		x := make([]float64, 3)
		for s := range 14 {
			if s < R {
				w.Corner(s, x)
			} else {
				x = samplePoint(r, box)
			}
			y := bigEval(p, x)
			for l, lb := range a.Best {
				v := y[l%2]
				if l/2%2 == 1 {
					v = new(big.Float).Neg(v)
				}
				if bigOf(lb).Cmp(v) > 0 {
					t.Fatalf("seed %d lane %d: bound %v above %v", seed, l, lb, v)
				}
			}
		}
		for l := range 4 {
			if a.Best[l] < plain[l]-1e-9*(1+math.Abs(plain[l])) {
				t.Errorf("seed %d lane %d: ascent starts at %v, default lines give %v", seed, l, a.Best[l], plain[l])
			}
			if steps == 12 && a.Best[l] > plain[l]+0.01*math.Abs(plain[l]) {
				gained++
			}
		}
	}
	if gained < 10 {
		t.Errorf("ascent gained on %d lanes only", gained)
	}
}

// TestTangentGradient compares the closed-form gradient with central differences of the bound.
func TestTangentGradient(t *testing.T) {
	const R = 8
	checked := 0
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 23))
		p := sigmoidNet(r, []int{3, 6, 5, 2}, 3)
		n := NewNet(p)
		f := ibpFrame(n, randomBox(r, 3))
		w := NewWorker(n)
		a := NewAscent(w, f, R)
		for _, al := range a.Alpha {
			for i := range al {
				al[i] = 0.1 + 0.8*r.Float64()
			}
		}
		eval := func() []float64 {
			w.Begin(R)
			w.Alpha = a.Alpha
			for l := range R {
				w.Seed(p.Output, l%2, l, 1-2*float64(l/2%2))
			}
			w.keep = true
			w.Run(f, p.Output)
			return append([]float64(nil), w.LB...)
		}
		eval()
		w.primal(f, p.Output, false)
		grad := map[*float64]float64{}
		lane := map[*float64]int{}
		for k, sf := range f.sigm {
			if sf == nil {
				continue
			}
			for j := range sf.kl {
				for l := range R {
					o := j*R + l
					c, z, side := w.save[k][o], w.val[p.Nodes[k].Src][o], 0
					if c < 0 {
						c, z, side = -c, -z, 1
					}
					x := &a.Alpha[k][(2*j+side)*R+l]
					if g := &sf.tan[2*j+side]; g.lo != g.hi {
						grad[x], lane[x] = c*g.gradient(*x, w.lines[k][2*o], z), l
					}
				}
			}
		}
		const h = 1e-6
		for x, g := range grad {
			old, l := *x, lane[x]
			*x = old + h
			hi := eval()[l]
			*x = old - h
			lo := eval()[l]
			*x = old
			if fd := (hi - lo) / (2 * h); math.Abs(fd-g) > 1e-4*(1+math.Abs(g)) {
				t.Errorf("seed %d lane %d: gradient %v, finite difference %v", seed, l, g, fd)
			}
			if math.Abs(g) > 1e-2 {
				checked++
			}
		}
	}
	if checked < 100 {
		t.Errorf("%d gradients of any size", checked)
	}
}

// TestFarthestTangentIsBelow evaluates the tangent at the right end of the range, exactly, at the far end of the interval.
func TestFarthestTangentIsBelow(t *testing.T) {
	r := rand.New(rand.NewPCG(24, 24))
	n := 0
	for range 3000 {
		u := math.Pow(10, 5*r.Float64()-3)
		l := -u * (0.6 + r.ExpFloat64())
		g := lowerTangents(l, u)
		if g.lo == g.hi {
			continue
		}
		n++
		s := bigSigma(g.hi)
		v := new(big.Float).Mul(s, bigSigma(-g.hi))
		v.Mul(v, new(big.Float).Sub(bigOf(u), bigOf(g.hi)))
		if v.Add(v, s).Cmp(bigSigma(u)) > 0 {
			t.Fatalf("[%v,%v]: the tangent at %v is above σ at %v", l, u, g.hi, u)
		}
	}
	if n < 2000 {
		t.Errorf("%d ranges only", n)
	}
}
