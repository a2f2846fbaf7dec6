package cert

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/spai-project/certify/verify/kernel"
)

// maxDepth bounds the nesting of trees.
const maxDepth = 2000

// Decode reads a file for a question with the given numbers of boxes and of cases that are not empty. It checks the form only:
// what a proof is worth is the kernel's to say.
func Decode(data []byte, boxes, cases int) (p *Proof, err error) {
	d := &decoder{data: data}
	defer func() {
		if r := recover(); r != nil {
			bad, ok := r.(malformed)
			if !ok {
				panic(r)
			}
			p, err = nil, fmt.Errorf("cert: %s at byte %d", string(bad), d.at)
		}
	}()
	p = &Proof{}
	if !bytes.Equal(d.take(len(kernel.Magic)), []byte(kernel.Magic)) {
		panic(malformed("no certificate"))
	}
	copy(p.Model[:], d.take(len(p.Model)))
	copy(p.Question[:], d.take(len(p.Question)))
	p.Semantics = d.take(1)[0]
	for range boxes {
		p.Boxes = append(p.Boxes, d.lemmas(0))
	}
	for range cases {
		p.Cases = append(p.Cases, d.node(0))
	}
	if d.at != len(data) {
		panic(malformed("text after the end"))
	}
	return p, nil
}

// malformed is what decoder methods panic with; Decode recovers it.
type malformed string

type decoder struct {
	data []byte
	at   int
}

func (d *decoder) take(n int) []byte {
	if n > len(d.data)-d.at {
		panic(malformed("the file ends"))
	}
	d.at += n
	return d.data[d.at-n : d.at]
}

func (d *decoder) unsigned() uint64 {
	v, n := binary.Uvarint(d.data[d.at:])
	if n <= 0 {
		panic(malformed("no number"))
	}
	d.at += n
	return v
}

func (d *decoder) signed() int64 {
	v := d.unsigned()
	return int64(v>>1) ^ -int64(v&1)
}

func (d *decoder) int() int {
	v := d.unsigned()
	if v > 1<<31 {
		panic(malformed("an index out of range"))
	}
	return int(v)
}

// count reads the length of a list whose elements take at least one byte each.
func (d *decoder) count() int {
	n := d.int()
	if n > len(d.data)-d.at {
		panic(malformed("a list longer than the file"))
	}
	return n
}

func (d *decoder) lemmas(depth int) []Lemma {
	l := make([]Lemma, 0)
	for range d.count() {
		m := Lemma{Relu: d.int(), Elem: d.int(), Side: d.int()}
		if m.Side < kernel.Layer {
			m.Tree = d.node(depth + 1)
		}
		l = append(l, m)
	}
	return l
}

func (d *decoder) node(depth int) *Node {
	if depth > maxDepth {
		panic(malformed("a tree that is too deep"))
	}
	n := &Node{Kind: d.int()}
	children := 0
	switch n.Kind {
	case kernel.SplitRelu:
		n.Relu, n.Elem, children = d.int(), d.int(), 2
	case kernel.SplitInput:
		n.Dim, n.Num, n.Exp, children = d.int(), d.signed(), d.signed(), 2
	case kernel.Tighten:
		n.Lemmas, children = d.lemmas(depth), 1
	case kernel.Reduce:
		children = 1
	case kernel.Leaf, kernel.Clip, kernel.Lean:
		last, count := -1, d.count()
		if count > 0 {
			n.RowExp = d.unsigned()
		}
		for range count {
			last += d.int() + 1
			n.Rows = append(n.Rows, Weight{last, d.unsigned()})
		}
		n.Nu = d.nu()
		if n.Kind != kernel.Leaf {
			children = 1
		}
		if n.Kind == kernel.Lean {
			n.Lemmas = d.lemmas(depth)
		}
	case kernel.Empty:
	default:
		panic(malformed("an unknown kind of node"))
	}
	for range children {
		n.Child = append(n.Child, d.node(depth+1))
	}
	return n
}

func (d *decoder) nu() Nu {
	n := Nu{Mode: d.int()}
	if n.Mode == kernel.Recompute {
		return n
	}
	for range d.count() {
		l := Layer{Relu: d.int()}
		if n.Mode == kernel.Hint {
			l.Slopes = bytes.Clone(d.take(d.count()))
		}
		l.Exp = d.signed()
		last := -1
		for range d.count() {
			last += d.int() + 1
			l.Elem, l.Val = append(l.Elem, last), append(l.Val, d.signed())
		}
		n.Layers = append(n.Layers, l)
	}
	return n
}
