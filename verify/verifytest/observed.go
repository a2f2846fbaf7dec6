package verifytest

import "github.com/spai-project/certify/nn/prog"

// Observed is the program whose output is p's followed by every ReLU's input, so that phases are rows over the output. first
// has, per Relu node, where its inputs begin.
func Observed(p *prog.Program) (wide *prog.Program, first []int, err error) {
	b := prog.NewBuilder(p.Nodes[0].N)
	for k := 1; k < len(p.Nodes); k++ {
		switch n := &p.Nodes[k]; n.Kind {
		case prog.Affine:
			b.Affine(n.Name, n.N, n.Bias, n.Rel, n.Terms...)
		case prog.Relu:
			b.Relu(n.Name, n.Src)
		}
	}
	first = make([]int, len(p.Nodes))
	total := p.Nodes[p.Output].N
	for k := range p.Nodes {
		if p.Nodes[k].Kind == prog.Relu {
			first[k] = total
			total += p.Nodes[k].N
		}
	}
	part := func(src, at int) prog.Term {
		idx := make([]int32, total)
		for i := range idx {
			if idx[i] = -1; i >= at && i < at+p.Nodes[src].N {
				idx[i] = int32(i - at)
			}
		}
		return prog.Term{Src: src, Map: prog.Index(p.Nodes[src].N, idx)}
	}
	terms := []prog.Term{part(p.Output, 0)}
	for k := range p.Nodes {
		if p.Nodes[k].Kind == prog.Relu {
			terms = append(terms, part(p.Nodes[k].Src, first[k]))
		}
	}
	wide, err = b.Program(b.Affine("observed", total, nil, 0, terms...))
	return wide, first, err
}
