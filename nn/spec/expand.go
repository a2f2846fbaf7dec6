package spec

import (
	"fmt"
	"hash/maphash"
	"math"
	"strings"
)

// Normal form. The outermost conjunction restricts every case; disjunctions multiply out. While walking down the choices an
// expander keeps, per input, the tightest lower and upper bound so far as IDs of constants and undoes them on the way back.
// Bounds are compared as exact decimals; a contradiction ends the branch and is reported.

// An end is one side of an input's interval: the constant, whether it is excluded, and the line it comes from.
type end struct {
	num    numID // 0: unbounded
	strict bool
	line   uint32
}

type undo struct {
	key uint32 // input<<1 | 1 for the lower end
	old end
}

type expander struct {
	*parser
	out     *Problem
	ends    []end // [2i] upper, [2i+1] lower end of input i
	undos   []undo
	rowsNow []uint32
	missing int // inputs without two ends
	line    uint32
	boxes   map[uint64][]int
	scratch Box
	seed    maphash.Seed
	baseBox int // of the outermost conjunction, −1 until needed
	base    int // undos of the outermost conjunction
	numRows int
	work    int // intervals compared in box
}

const maxVacuous = 1000

// expand returns the problem of a parsed query.
func (p *parser) expand() (*Problem, error) {
	top := p.cut(mark{}, 1)
	out := &Problem{NumInputs: p.vars.size[0], NumOutputs: p.vars.size[1], Vars: p.declared(), Version: "1.0"}
	if p.v2 {
		out.Version = "2.0"
	}
	if n := p.cases(top); n > p.lim.cases {
		return nil, &SyntaxError{Msg: fmt.Sprintf("the query has more than %d cases when its disjunctions are multiplied out",
			p.lim.cases)}
	}
	x := &expander{parser: p, out: out, ends: make([]end, 2*out.NumInputs), missing: 2 * out.NumInputs, seed: maphash.MakeSeed(),
		boxes: map[uint64][]int{}, scratch: newBox(out.NumInputs), baseBox: -1}
	if !x.enter(top) {
		return out, nil
	}
	x.base = len(x.undos)
	return out, x.walk(x.orsOf(top))
}

// cases returns the number of disjuncts below c, at most lim.cases + 1.
func (p *parser) cases(c conj) int {
	n := 1
	for _, o := range p.orsOf(c) {
		sum := 0
		for _, m := range p.conjsOf(p.disjs[o]) {
			if sum += p.cases(m); sum > p.lim.cases {
				break
			}
		}
		if n *= sum; n > p.lim.cases {
			return p.lim.cases + 1
		}
	}
	return n
}

// walk multiplies out the pending disjunctions and emits a case for every choice.
func (x *expander) walk(pending []uint32) error {
	if len(pending) == 0 {
		return x.emit()
	}
	d := x.disjs[pending[0]]
	for _, c := range x.conjsOf(d) {
		undos, rows, line := len(x.undos), len(x.rowsNow), x.line
		if x.line = c.line; x.enter(c) {
			next := pending[1:]
			if own := x.orsOf(c); len(own) > 0 {
				next = append(append(make([]uint32, 0, len(own)+len(next)), own...), next...)
			}
			if err := x.walk(next); err != nil {
				return err
			}
		}
		x.leave(undos, rows)
		x.line = line
	}
	return nil
}

// enter adds a conjunction's bounds and rows; it reports false, with the reason noted, when they leave no input.
func (x *expander) enter(c conj) bool {
	for it := x.boundsOf(c); it.next(); {
		if !x.tighten(it.bound) {
			return false
		}
	}
	for _, r := range x.rowsOf(c) {
		if a := &x.rows[r]; a.never != "" {
			x.vacuous("%s is never true (line %d)", a.never, a.line)
			return false
		}
	}
	x.rowsNow = append(x.rowsNow, x.rowsOf(c)...)
	return true
}

func (x *expander) leave(undos, rows int) {
	for i := len(x.undos) - 1; i >= undos; i-- {
		u := x.undos[i]
		if u.old.num == 0 {
			x.missing++
		}
		x.ends[u.key] = u.old
	}
	x.undos, x.rowsNow = x.undos[:undos], x.rowsNow[:rows]
}

// tighten intersects an input's interval with one bound; false when it becomes empty. Sound: an end is replaced only by an
// exactly tighter one, and empty means lower > upper as decimals, or equal with an end excluded.
func (x *expander) tighten(b bound) bool {
	i, side := b.key>>2, b.key&boundLower
	at := i<<1 | side
	old, now := x.ends[at], end{b.num, b.key&boundStrict != 0, b.line}
	if old.num != 0 {
		c := x.nums.cmp(now.num, old.num)
		if side != 0 {
			c = -c
		}
		if c > 0 || c == 0 && (old.strict || !now.strict) {
			return true
		}
	} else {
		x.missing--
	}
	x.undos = append(x.undos, undo{at, old})
	x.ends[at] = now
	upper, lower := x.ends[i<<1], x.ends[i<<1|1]
	if upper.num == 0 || lower.num == 0 {
		return true
	}
	if c := x.nums.cmp(lower.num, upper.num); c > 0 || c == 0 && (lower.strict || upper.strict) {
		name := x.scalar(varID(i << 1))
		x.vacuous("%s %s %s (line %d) and %s %s %s (line %d)", name, sign("≥", ">", lower.strict), &x.nums.list[lower.num],
			lower.line, name, sign("≤", "<", upper.strict), &x.nums.list[upper.num], upper.line)
		return false
	}
	return true
}

func sign(closed, open string, strict bool) string {
	if strict {
		return open
	}
	return closed
}

func (x *expander) vacuous(format string, args ...any) {
	switch v := &x.out.Vacuous; {
	case len(*v) < maxVacuous:
		*v = append(*v, fmt.Sprintf(format, args...))
	case len(*v) == maxVacuous:
		*v = append(*v, "and more")
	}
}

// emit adds the current choice as a case.
func (x *expander) emit() error {
	if x.missing > 0 {
		return x.unbounded()
	}
	box, err := x.box()
	if err != nil {
		return err
	}
	if x.numRows += len(x.rowsNow); x.numRows > x.lim.rows {
		return &SyntaxError{Msg: fmt.Sprintf("the query has more than %d constraints when its disjunctions are multiplied out",
			x.lim.rows)}
	}
	c := Case{Box: box}
	if len(x.rowsNow) > 0 {
		c.Rows = make([]Row, len(x.rowsNow))
		for i, r := range x.rowsNow {
			c.Rows[i] = x.rows[r].Row
		}
	}
	x.out.Cases = append(x.out.Cases, c)
	return nil
}

// unbounded names the first inputs that have no bound in the current case.
func (x *expander) unbounded() error {
	var names []string
	for at, e := range x.ends {
		if e.num != 0 {
			continue
		}
		if len(names) == 3 {
			names = append(names, fmt.Sprintf("%d more", x.missing-3))
			break
		}
		names = append(names, fmt.Sprintf("%s has no %s bound", x.scalar(varID(at&^1)), [2]string{"upper", "lower"}[at&1]))
	}
	e := &SyntaxError{Msg: strings.Join(names, ", ") + "; every input needs both"}
	if x.line > 0 {
		e.Line = int(x.line)
		e.Msg += " in the case of this line"
	}
	return e
}

// box returns the index of the current input box, adding it when it is new.
func (x *expander) box() (int, error) {
	common := len(x.undos) == x.base // no case narrows the common box
	if common && x.baseBox >= 0 {
		return x.baseBox, nil
	}
	if x.work += x.out.NumInputs; x.work/64 > x.lim.ends {
		return 0, &SyntaxError{Msg: fmt.Sprintf("the query has too many cases (%d so far) that bound inputs, for %d inputs",
			len(x.out.Cases), x.out.NumInputs)}
	}
	x.scratch.Inexact = false
	for i := range x.out.NumInputs {
		upper, lower := x.ends[2*i], x.ends[2*i+1]
		iv := interval{x.nums.list[lower.num].value, x.nums.list[upper.num].value, lower.strict, upper.strict}
		iv.store(&x.scratch, i)
	}
	h := hashBox(x.seed, &x.scratch)
	for _, b := range x.boxes[h] {
		if sameBox(&x.out.Boxes[b], &x.scratch) {
			return b, nil
		}
	}
	n := len(x.out.Boxes)
	if (n+1)*x.out.NumInputs > x.lim.ends/2 {
		return 0, &SyntaxError{Msg: fmt.Sprintf("the query has more than %d different input boxes", n)}
	}
	b := newBox(x.out.NumInputs)
	copy(b.Lower, x.scratch.Lower)
	copy(b.Upper, x.scratch.Upper)
	copy(b.InLower, x.scratch.InLower)
	copy(b.InUpper, x.scratch.InUpper)
	b.Inexact = x.scratch.Inexact
	x.out.Boxes = append(x.out.Boxes, b)
	x.boxes[h] = append(x.boxes[h], n)
	if common {
		x.baseBox = n
	}
	return n, nil
}

func hashBox(seed maphash.Seed, b *Box) uint64 {
	var h uint64 = 14695981039346656037
	for i := range b.Lower {
		h = (h ^ math.Float64bits(b.Lower[i])) * 0x9e3779b97f4a7c15
		h = (h ^ h>>29 ^ math.Float64bits(b.Upper[i])) * 0x9e3779b97f4a7c15
		h ^= h >> 32
		h = (h ^ uint64(math.Float32bits(b.InLower[i]))<<32 ^ uint64(math.Float32bits(b.InUpper[i]))) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return maphash.Comparable(seed, h)
}

// sameBox compares two boxes without NaNs or negative zeros.
func sameBox(a, b *Box) bool {
	for i := range a.Lower {
		if a.Lower[i] != b.Lower[i] || a.Upper[i] != b.Upper[i] || a.InLower[i] != b.InLower[i] || a.InUpper[i] != b.InUpper[i] {
			return false
		}
	}
	return a.Inexact == b.Inexact
}
