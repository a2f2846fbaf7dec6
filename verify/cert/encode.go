package cert

import (
	"encoding/binary"

	"github.com/spai-project/certify/verify/kernel"
)

// Encode returns the file.
func (p *Proof) Encode() []byte {
	b := append([]byte(kernel.Magic), p.Model[:]...)
	b = append(append(b, p.Question[:]...), p.Semantics)
	for _, box := range p.Boxes {
		b = appendLemmas(b, box)
	}
	for _, c := range p.Cases {
		b = appendNode(b, c)
	}
	return b
}

func appendInt(b []byte, v int) []byte { return binary.AppendUvarint(b, uint64(v)) }

func appendLemmas(b []byte, l []Lemma) []byte {
	b = appendInt(b, len(l))
	for i := range l {
		b = appendInt(appendInt(appendInt(b, l[i].Relu), l[i].Elem), l[i].Side)
		if l[i].Side < kernel.Layer && l[i].Tree != nil { // a lemma without its tree is refused
			b = appendNode(b, l[i].Tree)
		}
	}
	return b
}

func appendNode(b []byte, n *Node) []byte {
	b = appendInt(b, n.Kind)
	switch n.Kind {
	case kernel.SplitRelu:
		b = appendInt(appendInt(b, n.Relu), n.Elem)
	case kernel.SplitInput:
		b = binary.AppendVarint(binary.AppendVarint(appendInt(b, n.Dim), n.Num), n.Exp)
	case kernel.Tighten:
		b = appendLemmas(b, n.Lemmas)
	case kernel.Leaf, kernel.Clip, kernel.Lean:
		b = appendInt(b, len(n.Rows))
		if len(n.Rows) > 0 {
			b = binary.AppendUvarint(b, n.RowExp)
		}
		last := -1
		for _, r := range n.Rows {
			b = binary.AppendUvarint(appendInt(b, r.Row-last-1), r.Lambda)
			last = r.Row
		}
		b = appendNu(b, &n.Nu)
		if n.Kind == kernel.Lean {
			b = appendLemmas(b, n.Lemmas)
		}
	}
	for _, c := range n.Child {
		b = appendNode(b, c)
	}
	return b
}

func appendNu(b []byte, n *Nu) []byte {
	b = appendInt(b, n.Mode)
	if n.Mode == kernel.Recompute {
		return b
	}
	b = appendInt(b, len(n.Layers))
	for i := range n.Layers {
		l := &n.Layers[i]
		b = appendInt(b, l.Relu)
		if n.Mode == kernel.Hint {
			b = append(appendInt(b, len(l.Slopes)), l.Slopes...)
		}
		b = appendInt(binary.AppendVarint(b, l.Exp), len(l.Elem))
		last := -1
		for k, j := range l.Elem {
			b = binary.AppendVarint(appendInt(b, j-last-1), l.Val[k])
			last = j
		}
	}
	return b
}
