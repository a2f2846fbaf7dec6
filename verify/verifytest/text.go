package verifytest

// The text form of an instance: one line per node, term, box, case and row, numbers in the shortest decimals that read
// back to the same float64. It is what a failed fuzz run prints and what a regression test reads.
//
//	node input 2
//	node affine 3
//	bias 0.5 0 -1
//	term 0 dense 3 2 1 0 0 1 -1 2          source, kind, rows, columns, entries
//	term 0 sparse 3 2 0,1,0.5 2,0,1        row,column,value
//	term 0 conv C H W M KH KW group sh sw dh dw pt pl pb pr  kernel...
//	node relu 1
//	output 2
//	box -1 1 0 0.5                         lower and upper of each input
//	grid 0.09 0.21 0.1 0.2                 lower, upper, inlower, inupper where the readings of a box differ
//	inexact                                the last box contains no float32 input
//	case 0                                 index of its box
//	row x0 1 y2 -1 <= 0.25                 or <

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// String returns the text form; ParseInstance reads it back.
func (in *Instance) String() string {
	var b strings.Builder
	for k := range in.Net.Nodes {
		writeNode(&b, &in.Net.Nodes[k])
	}
	fmt.Fprintf(&b, "output %d\n", in.Net.Output)
	for i := range in.Problem.Boxes {
		writeBox(&b, &in.Problem.Boxes[i])
	}
	for i := range in.Problem.Cases {
		fmt.Fprintf(&b, "case %d\n", in.Problem.Cases[i].Box)
		for r := range in.Problem.Cases[i].Rows {
			writeRow(&b, &in.Problem.Cases[i].Rows[r])
		}
	}
	return b.String()
}

func writeFloats(b *strings.Builder, x ...float64) {
	for _, v := range x {
		b.WriteByte(' ')
		b.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
	}
}

func writeBox(b *strings.Builder, box *spec.Box) {
	plain := isPlain(box)
	if plain {
		b.WriteString("box")
	} else {
		b.WriteString("grid")
	}
	for j := range box.Lower {
		writeFloats(b, box.Lower[j], box.Upper[j])
		if !plain {
			writeFloats(b, float64(box.InLower[j]), float64(box.InUpper[j]))
		}
	}
	b.WriteByte('\n')
	if box.Inexact {
		b.WriteString("inexact\n")
	}
}

func writeNode(b *strings.Builder, n *NetNode) {
	switch n.Kind {
	case prog.Input:
		fmt.Fprintf(b, "node input %d\n", n.N)
	case prog.Relu:
		fmt.Fprintf(b, "node relu %d\n", n.Src)
	case prog.Affine:
		fmt.Fprintf(b, "node affine %d\n", n.N)
		if len(n.Bias) > 0 {
			b.WriteString("bias")
			writeFloats(b, n.Bias...)
			b.WriteByte('\n')
		}
		for i := range n.Terms {
			writeTerm(b, &n.Terms[i])
		}
	}
}

func writeTerm(b *strings.Builder, t *NetTerm) {
	m := &t.Map
	fmt.Fprintf(b, "term %d %v", t.Src, m.Kind)
	switch m.Kind {
	case Dense:
		fmt.Fprintf(b, " %d %d", m.Out, m.In)
		writeFloats(b, m.W...)
	case Sparse:
		fmt.Fprintf(b, " %d %d", m.Out, m.In)
		for i := range m.Out {
			for k := m.Ptr[i]; k < m.Ptr[i+1]; k++ {
				fmt.Fprintf(b, " %d,%d,%s", i, m.Idx[k], strconv.FormatFloat(m.W[k], 'g', -1, 64))
			}
		}
	default:
		for _, v := range geomFields(&m.Geom) {
			fmt.Fprintf(b, " %d", *v)
		}
		writeFloats(b, m.W...)
	}
	b.WriteByte('\n')
}

func geomFields(g *prog.ConvGeom) []*int {
	return []*int{&g.C, &g.H, &g.W, &g.M, &g.KH, &g.KW, &g.Group, &g.StrideH, &g.StrideW, &g.DilH, &g.DilW,
		&g.PadT, &g.PadL, &g.PadB, &g.PadR}
}

func writeRow(b *strings.Builder, r *spec.Row) {
	b.WriteString("row")
	for _, c := range r.X {
		fmt.Fprintf(b, " x%d", c.Index)
		writeFloats(b, c.Value)
	}
	for _, c := range r.Y {
		fmt.Fprintf(b, " y%d", c.Index)
		writeFloats(b, c.Value)
	}
	rel := "<="
	if r.Strict {
		rel = "<"
	}
	b.WriteString(" " + rel)
	writeFloats(b, r.RHSUpper)
	b.WriteByte('\n')
}
