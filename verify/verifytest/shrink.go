package verifytest

import (
	"context"
	"math"
	"strings"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// shrinkCalls bounds the calls of the verifier during one shrink.
const shrinkCalls = 2000

// Shrink makes an instance on which decide fails as small as it can while the same kind of failure (the contradicted
// verdict, or the same error but for numbers) stays, and returns it with its reason. It tries to drop cases, rows and coefficients, layers, neurons and terms,
// then simpler numbers, greedily until nothing helps, ctx is done, or a budget of calls is spent.
func Shrink(ctx context.Context, in *Instance, why string, decide Decide, s uint64) (*Instance, string) {
	calls := 0
	want := kind(why)
	for again := true; again; {
		again = false
		for c := range candidates(in) {
			if calls++; calls > shrinkCalls || ctx.Err() != nil {
				return in, why
			}
			if _, w := Check(ctx, c, decide, s); kind(w) == want && ctx.Err() == nil {
				in, why, again = c, w, true
				break
			}
		}
	}
	return in, why
}

// kind is what has to stay the same: errors without their digits, else the first word, which is the verdict.
func kind(why string) string {
	if strings.HasPrefix(why, "error:") {
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return -1
			}
			return r
		}, why)
	}
	w, _, _ := strings.Cut(why, " ")
	return strings.TrimSuffix(w, ",")
}

// candidates yields smaller valid instances, the biggest cuts first.
func candidates(in *Instance) func(yield func(*Instance) bool) {
	return func(yield func(*Instance) bool) {
		for _, family := range []func(*Instance, func(*Instance) bool) bool{
			dropCases, dropRows, dropNodes, dropNeurons, dropOutputs, dropTerms, plainMaps, fixInputs, simplerNumbers,
		} {
			ok := family(in, func(c *Instance) bool {
				c.clean()
				if _, err := c.Net.Program(); err != nil || c.check() != nil || c.hollow() {
					return true
				}
				return yield(c)
			})
			if !ok {
				return
			}
		}
	}
}

// hollow reports whether shrinking went too far to be a useful question: no cases, a case without rows, a row without
// variables, an affine node without terms.
func (in *Instance) hollow() bool {
	for k := range in.Net.Nodes {
		if n := &in.Net.Nodes[k]; n.Kind == prog.Affine && len(n.Terms) == 0 {
			return true
		}
	}
	for i := range in.Problem.Cases {
		for _, r := range in.Problem.Cases[i].Rows {
			if len(r.X)+len(r.Y) == 0 {
				return true
			}
		}
		if len(in.Problem.Cases[i].Rows) == 0 {
			return true
		}
	}
	return len(in.Problem.Cases) == 0
}

// clone returns a deep copy.
func (in *Instance) clone() *Instance {
	p := *in.Problem
	p.Boxes = append([]spec.Box(nil), p.Boxes...)
	for i := range p.Boxes {
		b := &p.Boxes[i]
		b.Lower, b.Upper = append([]float64(nil), b.Lower...), append([]float64(nil), b.Upper...)
		b.InLower, b.InUpper = append([]float32(nil), b.InLower...), append([]float32(nil), b.InUpper...)
	}
	p.Cases = append([]spec.Case(nil), p.Cases...)
	for i := range p.Cases {
		p.Cases[i].Rows = append([]spec.Row(nil), p.Cases[i].Rows...)
		for k := range p.Cases[i].Rows {
			r := &p.Cases[i].Rows[k]
			r.X, r.Y = append([]spec.Coef(nil), r.X...), append([]spec.Coef(nil), r.Y...)
		}
	}
	return &Instance{Net: in.Net.clone(), Problem: &p}
}

// clean removes nodes that nothing needs and boxes that no case uses.
func (in *Instance) clean() {
	in.Net.removeDead()
	p := in.Problem
	index := make([]int, len(p.Boxes))
	var kept []spec.Box
	for b := range p.Boxes {
		index[b] = -1
	}
	for i := range p.Cases {
		b := p.Cases[i].Box
		if index[b] < 0 {
			index[b] = len(kept)
			kept = append(kept, p.Boxes[b])
		}
		p.Cases[i].Box = index[b]
	}
	p.Boxes = kept
}

// removeDead renumbers the nodes the output depends on; the input always stays.
func (n *Net) removeDead() {
	live := make([]bool, len(n.Nodes))
	live[0], live[n.Output] = true, true
	for k := n.Output; k > 0; k-- {
		if !live[k] {
			continue
		}
		if n.Nodes[k].Kind == prog.Relu {
			live[n.Nodes[k].Src] = true
		}
		for _, t := range n.Nodes[k].Terms {
			live[t.Src] = true
		}
	}
	index := make([]int, len(n.Nodes))
	var kept []NetNode
	for k := range n.Nodes {
		if !live[k] {
			continue
		}
		index[k] = len(kept)
		node := n.Nodes[k]
		node.Src = index[node.Src]
		for i := range node.Terms {
			node.Terms[i].Src = index[node.Terms[i].Src]
		}
		kept = append(kept, node)
	}
	n.Nodes, n.Output = kept, index[n.Output]
}

func dropCases(in *Instance, try func(*Instance) bool) bool {
	for i := range in.Problem.Cases {
		c := in.clone()
		c.Problem.Cases = append(c.Problem.Cases[:i], c.Problem.Cases[i+1:]...)
		if !try(c) {
			return false
		}
	}
	return true
}

// dropRows drops rows, then single coefficients, then strictness.
func dropRows(in *Instance, try func(*Instance) bool) bool {
	for i := range in.Problem.Cases {
		for k := range in.Problem.Cases[i].Rows {
			c := in.clone()
			rows := &c.Problem.Cases[i].Rows
			*rows = append((*rows)[:k], (*rows)[k+1:]...)
			if !try(c) {
				return false
			}
			r := &in.Problem.Cases[i].Rows[k]
			for j := range len(r.X) + len(r.Y) {
				c := in.clone()
				r := &c.Problem.Cases[i].Rows[k]
				if j < len(r.X) {
					r.X = append(r.X[:j], r.X[j+1:]...)
				} else {
					r.Y = append(r.Y[:j-len(r.X)], r.Y[j-len(r.X)+1:]...)
				}
				if !try(c) {
					return false
				}
			}
			if r.Strict {
				c := in.clone()
				c.Problem.Cases[i].Rows[k].Strict = false
				if !try(c) {
					return false
				}
			}
		}
	}
	return true
}

// dropNodes lets the readers of a node read its source instead, where the sizes agree: a ReLU vanishes, or a layer.
func dropNodes(in *Instance, try func(*Instance) bool) bool {
	for k := len(in.Net.Nodes) - 1; k > 0; k-- {
		node := &in.Net.Nodes[k]
		sources := []int{node.Src}
		if node.Kind == prog.Affine {
			sources = sources[:0]
			for _, t := range node.Terms {
				sources = append(sources, t.Src)
			}
		}
		for _, s := range sources {
			if in.Net.Nodes[s].N != node.N {
				continue
			}
			c := in.clone()
			c.Net.redirect(k, s)
			if !try(c) {
				return false
			}
		}
	}
	return true
}

// redirect makes everything that reads node k read node s.
func (n *Net) redirect(k, s int) {
	for i := range n.Nodes {
		if n.Nodes[i].Kind == prog.Relu && n.Nodes[i].Src == k {
			n.Nodes[i].Src = s
		}
		for t := range n.Nodes[i].Terms {
			if n.Nodes[i].Terms[t].Src == k {
				n.Nodes[i].Terms[t].Src = s
			}
		}
	}
	if n.Output == k {
		n.Output = s
	}
}

// fixInputs shrinks boxes: one input at a time becomes a point.
func fixInputs(in *Instance, try func(*Instance) bool) bool {
	for b := range in.Problem.Boxes {
		if box := &in.Problem.Boxes[b]; !isPlain(box) { // first the readings become one
			c := in.clone()
			c.Problem.Boxes[b] = plainBox(toFloat32(box.Lower), toFloat32(box.Upper))
			if !try(c) {
				return false
			}
		}
		for j, lo := range in.Problem.Boxes[b].Lower {
			hi := in.Problem.Boxes[b].Upper[j]
			if lo == hi {
				continue
			}
			mid := math.Round((lo + hi) / 2)
			if mid < lo || mid > hi {
				mid = float64(float32(lo + (hi-lo)/2))
			}
			for _, v := range []float64{lo, hi, mid} {
				c := in.clone()
				box := &c.Problem.Boxes[b]
				if v != float64(float32(v)) {
					continue
				}
				box.Lower[j], box.Upper[j], box.InLower[j], box.InUpper[j] = v, v, float32(v), float32(v)
				if !try(c) {
					return false
				}
			}
		}
	}
	return true
}

func toFloat32(x []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(float32(v))
	}
	return y
}
