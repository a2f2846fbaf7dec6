package spec

import "encoding/binary"

// A query's assertions form one and/or tree. It is kept flat: bounds as variable-length integers (three or four bytes each,
// where a query of 100 MB has seven million), everything else as index ranges into shared arrays.

// A bound is input x[key>>2] ≤ num (key&1 = 0) or ≥ num (key&1 = 1), strict when key&2 is set.
type bound struct {
	key  uint32
	num  numID
	line uint32
}

const (
	boundLower  = 1
	boundStrict = 2
)

// A rowAtom is an atom that is no bound. When never is not empty it is a contradiction in itself, in words.
type rowAtom struct {
	Row
	line  uint32
	never string
}

type span struct{ off, n uint32 }

// A conj is a conjunction: bounds in formula.enc, rows in formula.rowRefs, disjunctions in formula.orRefs.
type conj struct {
	bounds, rows, ors span
	line              uint32
}

// A disj is a disjunction of formula.conjs.
type disj struct {
	conjs span
	line  uint32
}

// A formula is the tree under construction and, after finish, the tree.
type formula struct {
	enc     []byte
	rows    []rowAtom
	rowRefs []uint32
	disjs   []disj
	orRefs  []uint32
	conjs   []conj

	// The parts of the conjunctions and disjunctions still open, innermost last.
	openBounds []bound
	openRows   []uint32
	openOrs    []uint32
	openConjs  []conj
}

// A mark is the height of the open stacks where a conjunction starts.
type mark struct{ bounds, rows, ors int }

func (f *formula) mark() mark { return mark{len(f.openBounds), len(f.openRows), len(f.openOrs)} }

func (f *formula) addRow(r rowAtom) {
	f.openRows = append(f.openRows, uint32(len(f.rows)))
	f.rows = append(f.rows, r)
}

// cut closes the conjunction that started at m.
func (f *formula) cut(m mark, line int) conj {
	c := conj{line: uint32(line)}
	c.bounds = span{uint32(len(f.enc)), uint32(len(f.openBounds) - m.bounds)}
	prev := bound{line: c.line}
	for _, b := range f.openBounds[m.bounds:] {
		f.enc = binary.AppendVarint(f.enc, int64(b.key)-int64(prev.key))
		f.enc = binary.AppendUvarint(f.enc, uint64(b.num))
		f.enc = binary.AppendVarint(f.enc, int64(b.line)-int64(prev.line))
		prev = b
	}
	f.openBounds = f.openBounds[:m.bounds]
	c.rows = span{uint32(len(f.rowRefs)), uint32(len(f.openRows) - m.rows)}
	f.rowRefs = append(f.rowRefs, f.openRows[m.rows:]...)
	f.openRows = f.openRows[:m.rows]
	c.ors = span{uint32(len(f.orRefs)), uint32(len(f.openOrs) - m.ors)}
	f.orRefs = append(f.orRefs, f.openOrs[m.ors:]...)
	f.openOrs = f.openOrs[:m.ors]
	return c
}

// closeOr closes the disjunction whose members are openConjs[from:]. One member is no choice: it joins the conjunction around.
func (f *formula) closeOr(from, line int) {
	members := f.openConjs[from:]
	switch len(members) {
	case 0:
		f.addRow(rowAtom{line: uint32(line), never: "an empty or"})
	case 1:
		f.splice(members[0])
	default:
		f.openOrs = append(f.openOrs, uint32(len(f.disjs)))
		f.disjs = append(f.disjs, disj{span{uint32(len(f.conjs)), uint32(len(members))}, uint32(line)})
		f.conjs = append(f.conjs, members...)
	}
	f.openConjs = f.openConjs[:from]
}

func (f *formula) splice(c conj) {
	for it := f.boundsOf(c); it.next(); {
		f.openBounds = append(f.openBounds, it.bound)
	}
	f.openRows = append(f.openRows, f.rowsOf(c)...)
	f.openOrs = append(f.openOrs, f.orsOf(c)...)
}

func (f *formula) rowsOf(c conj) []uint32 { return f.rowRefs[c.rows.off : c.rows.off+c.rows.n] }
func (f *formula) orsOf(c conj) []uint32  { return f.orRefs[c.ors.off : c.ors.off+c.ors.n] }
func (f *formula) conjsOf(d disj) []conj  { return f.conjs[d.conjs.off : d.conjs.off+d.conjs.n] }

// A boundIter walks the bounds of a conjunction.
type boundIter struct {
	bound
	enc  []byte
	left uint32
}

func (f *formula) boundsOf(c conj) boundIter {
	return boundIter{bound: bound{line: c.line}, enc: f.enc[c.bounds.off:], left: c.bounds.n}
}

func (it *boundIter) next() bool {
	if it.left == 0 {
		return false
	}
	it.left--
	key, n := binary.Varint(it.enc)
	num, m := binary.Uvarint(it.enc[n:])
	line, k := binary.Varint(it.enc[n+m:])
	it.enc = it.enc[n+m+k:]
	it.key = uint32(int64(it.key) + key)
	it.num = numID(num)
	it.line = uint32(int64(it.line) + line)
	return true
}
