package verifytest

import (
	"math"
	"slices"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// dropTerms drops single summands of affine nodes.
func dropTerms(in *Instance, try func(*Instance) bool) bool {
	for k := range in.Net.Nodes {
		for i := range in.Net.Nodes[k].Terms {
			c := in.clone()
			t := &c.Net.Nodes[k].Terms
			*t = slices.Delete(*t, i, i+1)
			if !try(c) {
				return false
			}
		}
	}
	return true
}

// dropNeurons removes one element of a hidden affine node, of the ReLUs on it, and of everything that reads them.
func dropNeurons(in *Instance, try func(*Instance) bool) bool {
	for k := range in.Net.Nodes {
		if in.Net.Nodes[k].Kind != prog.Affine || in.Net.Nodes[k].N < 2 || in.Net.group(k)[in.Net.Output] {
			continue
		}
		for e := range in.Net.Nodes[k].N {
			c := in.clone()
			c.Net.removeElement(k, e)
			if !try(c) {
				return false
			}
		}
	}
	return true
}

// dropOutputs removes outputs that no row mentions.
func dropOutputs(in *Instance, try func(*Instance) bool) bool {
	used := make([]bool, in.Problem.NumOutputs)
	eachOutput(in.Problem, func(c *spec.Coef) { used[c.Index] = true })
	root := in.Net.Output
	for in.Net.Nodes[root].Kind == prog.Relu {
		root = in.Net.Nodes[root].Src
	}
	if in.Net.Nodes[root].Kind != prog.Affine || in.Net.Nodes[root].N < 2 {
		return true
	}
	for e, u := range used {
		if u {
			continue
		}
		c := in.clone()
		c.Net.removeElement(root, e)
		c.Problem.NumOutputs--
		eachOutput(c.Problem, func(c *spec.Coef) {
			if c.Index > e {
				c.Index--
			}
		})
		if !try(c) {
			return false
		}
	}
	return true
}

func eachOutput(p *spec.Problem, f func(*spec.Coef)) {
	for i := range p.Cases {
		for k := range p.Cases[i].Rows {
			y := p.Cases[i].Rows[k].Y
			for j := range y {
				f(&y[j])
			}
		}
	}
}

// group returns the nodes that share their elements with affine node k: itself and the ReLUs above it.
func (n *Net) group(k int) map[int]bool {
	g := map[int]bool{k: true}
	for i := k + 1; i < len(n.Nodes); i++ {
		if n.Nodes[i].Kind == prog.Relu && g[n.Nodes[i].Src] {
			g[i] = true
		}
	}
	return g
}

// removeElement deletes element e of node k's group; the maps it touches become dense.
func (n *Net) removeElement(k, e int) {
	g := n.group(k)
	for i := range n.Nodes {
		node := &n.Nodes[i]
		if g[i] {
			node.N--
		}
		for t := range node.Terms {
			m := &node.Terms[t].Map
			if i == k {
				*m = m.dense()
				m.W = slices.Delete(m.W, e*m.In, (e+1)*m.In)
				m.Out--
			}
			if g[node.Terms[t].Src] {
				*m = m.dense()
				for r := m.Out - 1; r >= 0; r-- {
					m.W = slices.Delete(m.W, r*m.In+e, r*m.In+e+1)
				}
				m.In--
			}
		}
		if i == k && len(node.Bias) > 0 {
			node.Bias = slices.Delete(node.Bias, e, e+1)
		}
	}
}

// plainMaps replaces convolutions and sparse maps by dense ones and drops biases.
func plainMaps(in *Instance, try func(*Instance) bool) bool {
	for k := range in.Net.Nodes {
		for i := range in.Net.Nodes[k].Terms {
			if in.Net.Nodes[k].Terms[i].Map.Kind == Dense {
				continue
			}
			c := in.clone()
			m := &c.Net.Nodes[k].Terms[i].Map
			*m = m.dense()
			if !try(c) {
				return false
			}
		}
		if len(in.Net.Nodes[k].Bias) > 0 {
			c := in.clone()
			c.Net.Nodes[k].Bias = nil
			if !try(c) {
				return false
			}
		}
	}
	return true
}

// simplerNumbers replaces weights, biases and right-hand sides by 0, ±1 or the nearest integer.
func simplerNumbers(in *Instance, try func(*Instance) bool) bool {
	count := 0
	eachNumber(in, func(*float64) { count++ })
	for at := range count {
		var old float64
		i := 0
		eachNumber(in, func(v *float64) {
			if i == at {
				old = *v
			}
			i++
		})
		for _, v := range simpler(old) {
			c := in.clone()
			i = 0
			eachNumber(c, func(w *float64) {
				if i == at {
					*w = v
				}
				i++
			})
			for _, cs := range c.Problem.Cases {
				for k := range cs.Rows {
					cs.Rows[k].RHSUpper = cs.Rows[k].RHSLower
				}
			}
			if !try(c) {
				return false
			}
		}
	}
	return true
}

// simpler lists replacements that are strictly simpler in the order 0, 1, −1, other integers, everything else, so that
// shrinking ends.
func simpler(v float64) []float64 {
	switch round := math.Round(v); {
	case v == 0:
		return nil
	case v == 1:
		return []float64{0}
	case v == -1:
		return []float64{0, 1}
	case round == v:
		return []float64{0, 1, -1}
	default:
		return []float64{0, 1, -1, round}
	}
}

func eachNumber(in *Instance, f func(*float64)) {
	for k := range in.Net.Nodes {
		node := &in.Net.Nodes[k]
		for t := range node.Terms {
			for i := range node.Terms[t].Map.W {
				f(&node.Terms[t].Map.W[i])
			}
		}
		for i := range node.Bias {
			f(&node.Bias[i])
		}
	}
	for i := range in.Problem.Cases {
		for k := range in.Problem.Cases[i].Rows {
			f(&in.Problem.Cases[i].Rows[k].RHSLower)
		}
	}
}
