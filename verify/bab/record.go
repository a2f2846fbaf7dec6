package bab

import "github.com/spai-project/certify/relax"

// A Tree is how ReluSplit refuted a case, for a certificate: splits by ReLUs, and at every leaf a row and the multipliers with which
// it is refuted on the bounds of the frame that the search was given.
type Tree struct {
	Row  int
	Act  int         // the Relu node that is split, 0 at a leaf
	Elem int         //
	Kids [2]*Tree    // inactive, active
	Nu   [][]float64 // of a leaf: per Relu node, in order, the multipliers on its input; nil where they are 0
}

// closed ends the branch with the multipliers of a lane of the last pass.
func (t *Tree) closed(w *relax.Worker, f *relax.Frame, lane int) {
	if t != nil {
		t.Nu = w.Multipliers(f, lane)
	}
}

// split gives the branch two children and returns them.
func (t *Tree) split(s relax.Split) (inactive, active *Tree) {
	if t == nil {
		return nil, nil
	}
	t.Act, t.Elem = int(s.Act), int(s.Elem)
	t.Kids = [2]*Tree{{Row: t.Row}, {Row: t.Row}}
	return t.Kids[0], t.Kids[1]
}
