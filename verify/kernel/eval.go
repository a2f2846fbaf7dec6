package kernel

import (
	"math"
	"math/big"
	"math/bits"
)

// The inequality. Let v_k be the nodes and c an objective over them. Multiply every equation v_k = Σ M·v + e, |e| ≤ E, of an
// affine node by numbers ν_k and add them to c. With a_k the coefficient that node k has collected from its consumers,
//
//	c·v ≥ Σ_affine (min over [l, u] of (a_k − ν_k)·v_k − |ν_k|·E)
//	    + Σ_relu min over R of (a·x − ν·z) + Σ_given min over [l, u] of a·v
//
// where every Relu hands its own choice ν to the node before it, R is the triangle of an open element or the segment of a
// decided one, and at affine nodes ν_k is a_k rounded down. Any ν at the Relus gives a valid bound.

// A seed is one coefficient of an objective.
type seed struct {
	node, elem int
	c          *big.Rat
}

// A start is a seed as v·2^-exp + rest with v of nuBits and rest ≥ 0, nil for 0.
type start struct {
	node, elem int
	v          int64
	exp        int
	rest       *big.Rat
}

// starts rounds seeds, multiplied by m, and appends them to dst.
func starts(dst []start, seeds []seed, m *big.Rat) []start {
	for _, sd := range seeds {
		c := new(big.Rat).Mul(sd.c, m)
		s, top := start{node: sd.node, elem: sd.elem}, c.Num().BitLen()-c.Denom().BitLen()+1
		if !c.IsInt() || top >= nuBits {
			s.exp = nuBits - 1 - top
		}
		need(s.exp > -maxExp && s.exp < 3*maxExp, tooWide)
		v := floorRat(c, s.exp)
		s.v = v.Int64()
		if d := new(big.Rat).Sub(c, scaled(v, s.exp)); d.Sign() != 0 { // > 0
			s.rest = d
		}
		dst = append(dst, s)
	}
	return dst
}

// An evaluator holds the vectors of one evaluation; it is reused by the next.
type evaluator struct {
	net   *network
	acc   [][]i128 // per node, made on first use: the coefficients, times 2^-exp and below 2^wide
	exp   []int
	wide  []int
	used  []bool
	part  []i128
	nu    []int64
	total sum // the bound so far
	// Where the form itself is wanted, not its least value (reduce.go): minus what total may lie below it, rounded down.
	spread  sum
	forming bool
	budget  *budget
	plane   *plane // what forms may lean on, nil for nothing (lean.go)
	into    *plane // where to keep the form, nil for nowhere
}

// A budget limits the products formed and elements copied.
type budget struct{ work, limit int64 }

func newEvaluator(n *network, b *budget) *evaluator {
	size, most := len(n.nodes), 0
	for k := range n.nodes {
		most = max(most, n.nodes[k].n)
	}
	return &evaluator{net: n, acc: make([][]i128, size), exp: make([]int, size), wide: make([]int, size), used: make([]bool, size),
		part: make([]i128, most), nu: make([]int64, most), budget: b}
}

// spend counts work.
func (e *evaluator) spend(n int) {
	e.budget.work += int64(n)
	need(e.budget.work <= e.budget.limit, "the limit of work is reached")
}

// begin starts an evaluation of Σ seeds + constant.
func (e *evaluator) begin(b *Bounds, seeds []start, constant sum) {
	clear(e.used)
	e.total, e.spread = constant, sum{}
	e.spend(len(e.used))
	for i := range seeds {
		e.sow(b, &seeds[i])
	}
}

// lower returns a lower bound of Σ seeds + constant over the points that b describes.
func (e *evaluator) lower(b *Bounds, seeds []start, constant sum, choose *chooser) sum {
	e.forming = false
	e.begin(b, seeds, constant)
	for k := len(e.net.nodes) - 1; k >= 0; k-- {
		if !e.used[k] {
			continue
		}
		e.spend(e.net.nodes[k].n + e.net.nodes[k].macs)
		switch e.net.nodes[k].kind {
		case given:
			if k == 0 && e.into != nil {
				e.keep(b)
			} else if k == 0 && e.plane != nil {
				e.push(b)
			}
			e.given(b, k)
		case affine:
			e.affine(b, k)
		case relu:
			e.relu(b, k, choose)
		}
	}
	need(choose.next < 0, "multipliers of a Relu that does not matter")
	return e.total
}

// sow puts a coefficient into the accumulators; what its rounding lost costs its node's lower bound.
func (e *evaluator) sow(b *Bounds, s *start) {
	if s.rest != nil {
		lo, hi := b.of(s.node)
		x := new(big.Rat).Mul(s.rest, scaled(big.NewInt(lo[s.elem]), b.fr.exp[s.node]))
		e.total.addRat(x)
		if e.forming {
			e.spread.addRat(x.Mul(s.rest, scaled(big.NewInt(lo[s.elem]-hi[s.elem]), b.fr.exp[s.node])))
		}
	}
	part := e.clean(s.node)
	part[s.elem] = from64(s.v)
	e.merge(b, s.node, part, s.exp)
}

// clean returns zeros for node k.
func (e *evaluator) clean(k int) []i128 {
	part := e.part[:e.net.nodes[k].n]
	e.spend(len(part))
	clear(part)
	return part
}

// coarsen divides coefficients of node k, times 2^-exp, by 2^shift, rounding down: what is lost, r ≥ 0, costs r times the node's
// lower bound. It returns the new exponent.
func (e *evaluator) coarsen(b *Bounds, k int, a []i128, exp, shift int) int {
	if shift <= 0 {
		return exp
	}
	need(shift < accBits, tooWide)
	lo, hi := b.of(k)
	var rest, spread i128
	drop := max(0, shift-lostBits)
	for j := range a {
		down := a[j].shr(shift)
		lost := a[j].minus(down.shl(shift))
		if a[j] = down; lost == (i128{}) {
			continue
		}
		r := int64(lost.shr(drop).lo) // what is lost lies between r and r+1, times 2^(drop−exp)
		if e.forming {
			// lost·v is at most (r+1)·(hi−lo) + lost·lo, the second at most |lo| above what total counts.
			spread = spread.plus(mul64(r+1, lo[j]-hi[j])).minus(from64(max(lo[j], -lo[j])))
		}
		if lo[j] < 0 {
			r++
		}
		rest = rest.plus(mul64(r, lo[j]))
	}
	e.total.add(rest.wide(0), exp-drop+b.fr.exp[k])
	e.spread.add(spread.wide(0), exp-drop+b.fr.exp[k])
	return exp - shift
}

// merge adds part·2^-exp to node k's coefficients; where they differ too much in size, the finer ones are rounded.
func (e *evaluator) merge(b *Bounds, k int, part []i128, exp int) {
	if !e.used[k] {
		e.acc[k] = append(e.acc[k][:0], part...)
		e.used[k], e.exp[k], e.wide[k] = true, exp, maxBits(part)
		return
	}
	acc, wide := e.acc[k], maxBits(part)
	e.exp[k] = e.coarsen(b, k, acc, e.exp[k], max(e.wide[k], wide+e.exp[k]-exp)-mergeBits)
	exp = e.coarsen(b, k, part, exp, max(wide, e.wide[k]+exp-e.exp[k])-mergeBits)
	up, shift := max(0, exp-e.exp[k]), max(0, e.exp[k]-exp)
	need(max(maxBits(acc)+up, maxBits(part)+shift) < accBits, tooWide)
	for j := range part {
		acc[j] = acc[j].shl(up).plus(part[j].shl(shift))
	}
	e.exp[k], e.wide[k] = e.exp[k]+up, maxBits(acc)
}

// given counts Σ min over [l, u] of a·v.
func (e *evaluator) given(b *Bounds, k int) {
	var sum i256
	for j, a := range e.acc[k] {
		v := b.lo[k][j]
		if a.negative() {
			v = b.hi[k][j]
		}
		sum = sum.plus(a.times(v))
	}
	e.total.add(sum, e.exp[k]+b.fr.exp[k])
}

// affine counts node k and hands its coefficients to its operands.
func (e *evaluator) affine(b *Bounds, k int) {
	nd := &e.net.nodes[k]
	nu, exp := e.nu[:nd.n], e.coarsen(b, k, e.acc[k], e.exp[k], max(e.wide[k]-nuBits, e.exp[k]-maxExp))
	for j, a := range e.acc[k] {
		nu[j] = int64(a.lo)
	}
	if b.fr.slack[k] != nil {
		var slack i128
		for j, s := range b.fr.slack[k] {
			slack = slack.plus(mul64(-max(nu[j], -nu[j]), s))
		}
		e.total.add(slack.wide(0), exp+b.fr.exp[k])
		e.spread.add(slack.wide(1), exp+b.fr.exp[k])
	}
	for i := range nd.terms {
		t := &nd.terms[i]
		part := e.clean(t.src)
		t.backward(nu, part)
		e.merge(b, t.src, part, exp+t.w.exp)
	}
}

// lighten divides the coefficients of Relu node k by 2^shift, rounding down. What a Relu returns is not negative, so this costs nothing.
func (e *evaluator) lighten(k, shift int) {
	if shift <= 0 {
		return
	}
	for j, a := range e.acc[k] {
		e.acc[k][j] = a.shr(min(shift, 127))
	}
	e.exp[k], e.wide[k] = e.exp[k]-shift, max(e.wide[k]-shift, 1)
}

// relu counts Relu node k and hands the multipliers chosen for it to the node before.
func (e *evaluator) relu(b *Bounds, k int, choose *chooser) {
	nd := &e.net.nodes[k]
	nu, lo, hi := e.nu[:nd.n], b.lo[nd.src], b.hi[nd.src]
	e.lighten(k, e.wide[k]-reluBits)
	exp := choose.relu(e, k, lo, hi, nu)
	const room = 61 // bits of a coefficient and of a multiplier with the same exponent
	e.lighten(k, e.exp[k]-exp-(room-nuBits))
	up, shift := max(0, exp-e.exp[k]), max(0, e.exp[k]-exp)
	need(e.wide[k]+up <= room && shift <= room-nuBits, "multipliers that are too fine")
	part := e.part[:nd.n]
	var sum i256
	var few i128 // a part of the sum, of at most 64 terms below 2^120
	terms := 0
	for j, v := range nu {
		part[j] = from64(v)
		l, u, a, n := lo[j], hi[j], int64(e.acc[k][j].lo)<<up, v<<shift
		if a|n == 0 {
			continue
		}
		var p, q i128 // the ends of the segment or triangle other than (0, 0)
		switch {
		case l >= 0:
			p, q = mul64(a-n, l), mul64(a-n, u)
		case u <= 0:
			p, q = mul64(n, -l), mul64(n, -u)
		default:
			p, q = mul64(n, -l), mul64(a-n, u)
			if !p.negative() && !q.negative() {
				continue
			}
		}
		if q.minus(p).negative() {
			p = q
		}
		few = few.plus(p)
		if terms++; terms&63 == 0 {
			sum, few = sum.plus(few.wide(0)), i128{}
		}
	}
	e.total.add(sum.plus(few.wide(0)), max(exp, e.exp[k])+b.fr.exp[k])
	e.merge(b, nd.src, part, exp)
}

// The ways of giving multipliers.
const (
	Recompute = 0
	Hint      = 1
	Explicit  = 2
)

// A chooser supplies the multipliers of Relus: computed here, or read from the proof. Any that fit in nuBits are valid.
type chooser struct {
	mode int
	in   *reader
	left int // layers to come
	next int // Relu that the next layer is for, −1 for none
}

// newChooser reads the start of a nu record.
func newChooser(in *reader, relus int) *chooser {
	c := &chooser{mode: in.index(Explicit + 1), in: in, next: -1}
	if c.mode != Recompute {
		c.left = in.index(relus + 1)
		c.advance(relus)
	}
	return c
}

// advance reads which Relu the next layer is for: they come last first, below the one before.
func (c *chooser) advance(below int) {
	if c.next = -1; c.left > 0 {
		c.left--
		c.next = c.in.index(below)
	}
}

// relu writes multipliers for Relu node k and returns their exponent.
func (c *chooser) relu(e *evaluator, k int, lo, hi, nu []int64) int {
	clear(nu)
	r, exp := e.net.nodes[k].relu, e.exp[k]
	var slopes []byte
	if c.next == r && c.mode == Hint {
		open := 0
		for j := range lo {
			if lo[j] < 0 && hi[j] > 0 {
				open++
			}
		}
		n := c.in.index(open + 1)
		need(n == 0 || n == open, "%d slopes for %d open elements at byte %d", n, open, c.in.at)
		slopes = c.in.take(n)
	}
	if c.mode != Explicit {
		exp = propose(e, k, slopes, lo, hi, nu)
	}
	if c.next == r {
		exp = c.layer(nu, exp)
		c.advance(r)
	}
	return exp
}

// propose computes multipliers: the coefficient times the slope of a line below or above. slopes, if not empty, has one byte per
// open element for the lines below; else the line that leaves the smaller triangle is taken.
func propose(e *evaluator, k int, slopes []byte, lo, hi, nu []int64) (exp int) {
	shift := max(e.wide[k]-(nuBits-1), e.exp[k]-maxExp) // the largest multiplier gets nuBits−1 bits
	scale, hint := math.Ldexp(1, -shift), len(slopes) > 0
	for j, a := range e.acc[k] {
		l, u, s := lo[j], hi[j], 1.0
		switch {
		case l >= 0:
		case u <= 0:
			continue
		case a.negative():
			s = float64(float64(u) / (float64(u) - float64(l)))
		case hint:
			s = float64(float64(slopes[0]) / 255)
		case u <= -l:
			s = 0
		}
		if l < 0 && hint {
			slopes = slopes[1:]
		}
		nu[j] = int64(math.RoundToEven(float64(float64(a.float()*s) * scale)))
	}
	return e.exp[k] - shift
}

// layer reads sparse multipliers and adds them to nu: Explicit ones, whose exponent is returned, or corrections to proposed ones.
func (c *chooser) layer(nu []int64, exp int) int {
	own := int(c.in.signed(4 * maxExp))
	if c.mode == Explicit {
		exp = own
	}
	j, s := -1, exp-own
	for range c.in.index(len(nu) + 1) {
		j += c.in.index(len(nu)-j-1) + 1
		v := c.in.signed(1 << 62)
		need(bits.Len64(uint64(max(v, -v)))+s <= nuBits, "a multiplier that is too large at byte %d", c.in.at)
		v = int64(from64(v).shl(max(0, s)).shr(min(127, max(0, -s))).lo) + nu[j]
		need(max(v, -v) < 1<<nuBits, "a multiplier that is too large at byte %d", c.in.at)
		nu[j] = v
	}
	return exp
}
