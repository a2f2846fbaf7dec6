package kernel

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
)

// The inequality. Let v_k be the nodes and c an objective over them. Multiply every equation v_k = Σ M·v + b + e, |e| ≤ E, of
// an affine node by numbers ν_k and add them to c. With a_k the coefficient that node k has collected from its consumers,
//
//	c·v ≥ Σ_affine (ν_k·b − |ν_k|·E + min_{[l,u]} (a_k − ν_k)·v_k) + Σ_relu min_{R} (a·x − ν·z) + min_box a_0·x
//
// where every Relu hands its own choice ν to the node before it, R is the triangle of an open neuron or the segment of a
// decided one, and at affine nodes ν_k is a_k rounded down. Any ν at the Relus gives a valid bound.

// A seed is one coefficient of an objective.
type seed struct {
	node, elem int
	c          *big.Rat
}

// An evaluator holds the vectors of one evaluation; it is reused by the next.
type evaluator struct {
	net   *network
	acc   [][]i128 // per node, made on first use
	part  []i128
	nu    []int64
	exp   []int
	wide  []int // bits of acc
	used  []bool
	total big.Int // the bound so far, times 2^-texp
	texp  int
	work  int64 // products formed
}

func newEvaluator(n *network) *evaluator {
	e := &evaluator{net: n, acc: make([][]i128, len(n.nodes)), exp: make([]int, len(n.nodes)), wide: make([]int, len(n.nodes)),
		used: make([]bool, len(n.nodes))}
	most := 0
	for k := range n.nodes {
		most = max(most, n.nodes[k].n)
	}
	e.part, e.nu = make([]i128, most), make([]int64, most)
	return e
}

// lower returns a lower bound of Σ seeds + constant over the points that b describes.
func (e *evaluator) lower(b *Bounds, seeds []seed, constant *big.Rat, choose *chooser) (*big.Rat, error) {
	clear(e.used)
	e.total.SetInt64(0)
	e.texp = 0
	rest, err := e.sow(b, seeds, constant)
	if err != nil {
		return nil, err
	}
	for k := len(e.net.nodes) - 1; k >= 0; k-- {
		if !e.used[k] {
			continue
		}
		nd := &e.net.nodes[k]
		e.work += int64(nd.n + nd.macs)
		switch nd.kind {
		case input:
			e.intervals(b, k)
		case affine:
			err = e.affine(b, k)
		case relu:
			err = e.relu(b, k, choose)
		}
		if err != nil {
			return nil, fmt.Errorf("node %q: %w", nd.name, err)
		}
	}
	return rest.Add(rest, scaled(&e.total, e.texp)), nil
}

func maxBits(a []i128) int {
	var or i128
	for _, x := range a {
		x = x.abs()
		or.hi, or.lo = or.hi|x.hi, or.lo|x.lo
	}
	return or.bitLen()
}

// sow puts the objective into the accumulators, rounded down to nuBits; the rest costs its node's lower bound.
func (e *evaluator) sow(b *Bounds, seeds []seed, constant *big.Rat) (rest *big.Rat, err error) {
	rest = new(big.Rat)
	if constant != nil {
		rest.Set(constant)
	}
	for _, s := range seeds {
		top := s.c.Num().BitLen() - s.c.Denom().BitLen() + 1
		exp := 0
		if !s.c.IsInt() || top > nuBits-1 {
			exp = nuBits - 1 - top
		}
		if exp < -maxExp || exp > 3*maxExp {
			return nil, errWide
		}
		v := floorRat(s.c, exp)
		d := new(big.Rat).Sub(s.c, scaled(v, exp)) // ≥ 0
		if d.Sign() != 0 {
			lo, _ := b.of(s.node)
			rest.Add(rest, d.Mul(d, scaled(big.NewInt(lo[s.elem]), b.fr.exp[s.node])))
		}
		part := e.part[:e.net.nodes[s.node].n]
		clear(part)
		part[s.elem] = from64(v.Int64())
		if err := e.merge(s.node, part, exp); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// merge adds part·2^-exp to node k's coefficients.
func (e *evaluator) merge(k int, part []i128, exp int) error {
	width := maxBits(part)
	if e.acc[k] == nil {
		e.acc[k] = make([]i128, len(part))
	}
	acc := e.acc[k]
	if !e.used[k] {
		copy(acc, part)
		e.used[k], e.exp[k], e.wide[k] = true, exp, width
		return nil
	}
	up, shift := max(0, exp-e.exp[k]), max(0, e.exp[k]-exp)
	if max(e.wide[k]+up, width+shift) >= accBits {
		return errWide
	}
	e.exp[k] += up
	for j := range part {
		acc[j] = acc[j].shl(up).plus(part[j].shl(shift))
	}
	e.wide[k] = maxBits(acc)
	return nil
}

// count adds sum·2^-exp to the bound.
func (e *evaluator) count(sum i256, exp int) {
	v := sum.big()
	if exp >= e.texp {
		e.total.Lsh(&e.total, uint(exp-e.texp))
		e.texp = exp
	} else {
		v.Lsh(v, uint(e.texp-exp))
	}
	e.total.Add(&e.total, v)
}

// intervals counts Σ min over [l, u] of a·v.
func (e *evaluator) intervals(b *Bounds, k int) {
	lo, hi := b.of(k)
	var sum i256
	for j, a := range e.acc[k] {
		if a.zero() {
			continue
		}
		v := lo[j]
		if a.negative() {
			v = hi[j]
		}
		sum = sum.plus(a.times(v))
	}
	e.count(sum, e.exp[k]+b.fr.exp[k])
}

// affine counts node k and hands its coefficients to its operands.
func (e *evaluator) affine(b *Bounds, k int) error {
	nd := &e.net.nodes[k]
	nu := e.nu[:nd.n]
	shift := max(0, e.wide[k]-nuBits)
	exp := e.exp[k] - shift
	if shift == 0 {
		for j, a := range e.acc[k] {
			nu[j] = int64(a.lo)
		}
	} else {
		var sum i256
		for j, a := range e.acc[k] {
			nu[j] = a.floor(shift)
			if r := a.minus(from64(nu[j]).shl(shift)); !r.zero() { // 0 < r < 2^shift
				sum = sum.plus(r.times(b.lo[k][j]))
			}
		}
		e.count(sum, e.exp[k]+b.fr.exp[k])
	}
	if nd.bias.v != nil {
		var sum i128
		for j, v := range nu {
			sum = sum.plus(mul64(v, nd.bias.v[j]))
		}
		e.count(sum.wide(0), exp+nd.bias.exp)
	}
	if off := b.fr.err[k]; off != nil {
		var sum i256
		for j, v := range nu {
			sum = sum.plus(mul64(-max(v, -v), off[j]).wide(0))
		}
		e.count(sum, exp+b.fr.errExp[k])
	}
	for i := range nd.terms {
		t := &nd.terms[i]
		part := e.part[:e.net.nodes[t.src].n]
		clear(part)
		t.backward(nu, part)
		if err := e.merge(t.src, part, exp+t.w.exp); err != nil {
			return err
		}
	}
	return nil
}

// relu counts Relu node k and hands the multipliers chosen for it to the node before.
func (e *evaluator) relu(b *Bounds, k int, choose *chooser) error {
	nd := &e.net.nodes[k]
	acc, nu := e.acc[k], e.nu[:nd.n]
	lo, hi := b.lo[nd.src], b.hi[nd.src]
	exp, err := choose.relu(e, k, lo, hi, nu)
	if err != nil {
		return err
	}
	up, shift := max(0, exp-e.exp[k]), max(0, e.exp[k]-exp)
	if e.wide[k]+up >= accBits || nuBits+shift >= accBits {
		return errWide
	}
	part := e.part[:nd.n]
	var sum i256
	for j, v := range nu {
		a, n := acc[j].shl(up), from64(v).shl(shift)
		part[j] = from64(v)
		l, u := lo[j], hi[j]
		var p, q i256 // the ends of the segment or triangle other than (0, 0)
		switch {
		case l >= 0:
			d := a.minus(n)
			p, q = d.times(l), d.times(u)
		case u <= 0:
			p, q = n.times(-l), n.times(-u)
		default:
			p, q = n.times(-l), a.minus(n).times(u)
			if !p.negative() && !q.negative() {
				continue
			}
		}
		if q.less(p) {
			p = q
		}
		sum = sum.plus(p)
	}
	e.count(sum, max(exp, e.exp[k])+b.fr.exp[k])
	return e.merge(nd.src, part, exp)
}

// The ways of giving multipliers.
const (
	Recompute = 0
	Hint      = 1
	Explicit  = 2
)

// A chooser supplies the multipliers of Relus: computed here, or read from the proof. Any that fit in nuBits are valid.
type chooser struct {
	mode byte
	in   *reader
	left int // layers to come
	next int // Relu that the next layer is for, −1 for none
}

// newChooser reads the start of a nu record.
func newChooser(in *reader, relus int) (*chooser, error) {
	mode, err := in.index(Explicit + 1)
	c := &chooser{mode: byte(mode), in: in, next: -1}
	if err == nil && mode != Recompute {
		if c.left, err = in.index(relus + 1); err == nil {
			err = c.advance(relus)
		}
	}
	return c, err
}

// advance reads which Relu the next layer is for: they come last first, below the one before.
func (c *chooser) advance(below int) (err error) {
	if c.next = -1; c.left > 0 {
		c.left--
		c.next, err = c.in.index(below)
	}
	return err
}

// relu writes multipliers for Relu node k and returns their exponent.
func (c *chooser) relu(e *evaluator, k int, lo, hi, nu []int64) (exp int, err error) {
	clear(nu)
	r := e.net.nodes[k].index
	given := c.next == r
	var slopes []byte
	if given && c.mode == Hint {
		open := 0
		for j := range lo {
			if lo[j] < 0 && hi[j] > 0 {
				open++
			}
		}
		n, err := c.in.index(open + 1)
		if err != nil {
			return 0, err
		}
		if n != 0 && n != open {
			return 0, c.in.fail(fmt.Sprintf("%d slopes for %d open elements", n, open))
		}
		if slopes, err = c.in.take(n); err != nil {
			return 0, err
		}
	}
	exp = e.exp[k]
	if c.mode != Explicit {
		exp = c.propose(e, k, slopes, lo, hi, nu)
	}
	if !given {
		return exp, nil
	}
	if exp, err = c.layer(nu, exp); err != nil {
		return 0, err
	}
	return exp, c.advance(r)
}

// propose computes multipliers: the coefficient times the slope of a line below or above. slopes, if not empty, has one byte per
// open element for the lines below; else the line that leaves the smaller triangle is taken.
func (c *chooser) propose(e *evaluator, k int, slopes []byte, lo, hi, nu []int64) (exp int) {
	given := len(slopes) > 0
	// The largest multiplier gets nuBits−1 bits.
	shift := max(e.wide[k]-(nuBits-1), e.exp[k]-maxExp)
	scale := math.Ldexp(1, -shift)
	for j, a := range e.acc[k] {
		l, u := lo[j], hi[j]
		s := 1.0
		switch {
		case l >= 0:
		case u <= 0:
			continue
		case a.negative():
			s = float64(float64(u) / (float64(u) - float64(l)))
		case given:
			s = float64(float64(slopes[0]) / 255)
		case u <= -l:
			s = 0
		}
		if l < 0 && given {
			slopes = slopes[1:]
		}
		nu[j] = int64(math.RoundToEven(float64(float64(a.float()*s) * scale)))
	}
	return e.exp[k] - shift
}

// layer reads sparse multipliers and adds them to nu: Explicit ones, whose exponent is returned, or corrections to proposed ones.
func (c *chooser) layer(nu []int64, base int) (exp int, err error) {
	e, err := c.in.signed()
	if err != nil {
		return 0, err
	}
	count, err := c.in.index(len(nu) + 1)
	if err != nil {
		return 0, err
	}
	if e < -4*maxExp || e > 4*maxExp {
		return 0, c.in.fail("an exponent out of range")
	}
	if exp = base; c.mode == Explicit {
		exp = int(e)
	}
	j, s := -1, exp-int(e)
	for range count {
		gap, err := c.in.index(len(nu) - j - 1)
		if err != nil {
			return 0, err
		}
		v, err := c.in.signed()
		if err != nil {
			return 0, err
		}
		j += gap + 1
		if bits.Len64(uint64(max(v, -v)))+s > nuBits {
			return 0, c.in.fail("a multiplier that is too large")
		}
		if s >= 0 {
			v <<= s
		} else {
			v >>= min(-s, 63)
		}
		if v += nu[j]; v <= -1<<nuBits || v >= 1<<nuBits {
			return 0, c.in.fail("a multiplier that is too large")
		}
		nu[j] = v
	}
	return exp, nil
}
