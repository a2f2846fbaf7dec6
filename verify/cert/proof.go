package cert

// A Proof is the contents of a certificate.
type Proof struct {
	Model, Question [32]byte // SHA-256 of the uncompressed files
	Semantics       byte     // 0: real arithmetic, 1: every binary32 execution
	Boxes           [][]Lemma
	Cases           []*Node // of the cases that are not empty, in order
}

// A Node is a node of a proof tree; Kind (kernel.SplitRelu, …) says which fields count.
type Node struct {
	Kind       int
	Relu, Elem int      // SplitRelu
	Dim        int      // SplitInput: at Num·2^-Exp
	Num, Exp   int64    //
	Lemmas     []Lemma  // Tighten, Lean
	Rows       []Weight // Leaf, Clip, Lean: weights Lambda·2^-RowExp
	RowExp     uint64
	Nu         Nu      // Leaf, Clip, Lean
	Child      []*Node // two for splits (inactive or lower first), none for Leaf and Empty, else one
}

// A Weight is a multiplier of a row of the case.
type Weight struct {
	Row    int
	Lambda uint64
}

// A Nu gives the multipliers of Relus.
type Nu struct {
	Mode   int     // kernel.Recompute, Hint or Explicit
	Layers []Layer // last Relu first
}

// A Layer is the multipliers Val·2^-Exp of some elements of one Relu.
type Layer struct {
	Relu   int
	Slopes []byte // Hint: in 255ths, for every open element or none
	Exp    int64
	Elem   []int // ascending
	Val    []int64
}

// A Lemma bounds one side of an element before a Relu by a tree; Side kernel.Layer has no tree.
type Lemma struct {
	Relu, Elem, Side int
	Tree             *Node
}
