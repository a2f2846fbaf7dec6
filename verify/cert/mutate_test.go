package cert

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/spai-project/certify/verify/kernel"
	"github.com/spai-project/certify/verify/verifytest"
)

// twins returns two instances of one network and box that differ in one number: the least output is just above the first's
// threshold (unsat) and just below the second's (sat).
func twins(t testing.TB, seed uint64) (unsat, sat *instance) {
	in := verifytest.RandomInstance(seed)
	p, err := in.Net.Program()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 7))
	n, outs := p.Nodes[0].N, p.Nodes[p.Output].N
	lo, hi := make([]float64, n), make([]float64, n)
	for i := range lo {
		lo[i] = float64(rng.IntN(9)-4) / 4
		hi[i] = lo[i] + float64(1+rng.IntN(4))/4
	}
	cy := make([]float64, outs)
	for i := range cy {
		cy[i] = float64(rng.IntN(5) - 2)
	}
	cy[rng.IntN(outs)] = 1
	least, _ := verifytest.MinExact(p, lo, hi, nil, cy).Float64()
	gap := math.Ldexp(1+math.Abs(least), -10)
	query := func(limit float64) []byte {
		var q bytes.Buffer
		for i := range lo {
			fmt.Fprintf(&q, "(declare-const X_%d Real)", i)
		}
		for i := range outs {
			fmt.Fprintf(&q, "(declare-const Y_%d Real)", i)
		}
		for i := range lo {
			fmt.Fprintf(&q, "(assert (>= X_%d %v))(assert (<= X_%d %v))\n", i, lo[i], i, hi[i])
		}
		q.WriteString("(assert (<= (+ 0")
		for i, c := range cy {
			fmt.Fprintf(&q, " (* %v Y_%d)", c, i)
		}
		fmt.Fprintf(&q, ") %s))\n", new(big.Rat).SetFloat64(limit).FloatString(80))
		return q.Bytes()
	}
	return newInstance(t, in.Net, query(least-gap)), newInstance(t, in.Net, query(least+gap/8))
}

// TestMutations changes every field of proofs. A changed proof must never be accepted for the twin question that has a
// counterexample; for the question itself the header's fields must not change at all.
func TestMutations(t *testing.T) {
	n, tried, kept, proofs := uint64(60), 0, 0, 0
	if testing.Short() {
		n = 15
	}
	for i := range 2 * n {
		seed := i / 2
		unsat, sat := twins(t, seed)
		var proof *Proof
		if i%2 == 0 {
			proof = prove(unsat, seed, 10)
		} else {
			proof = wander(unsat, seed, map[int]int{})
		}
		if proof == nil {
			continue
		}
		proofs++
		data := proof.Encode()
		if r := unsat.p.Check(data); !r.Accepted {
			t.Fatalf("seed %d: %v", seed, r)
		}
		stale := sat.p.Check(data)
		if stale.Accepted {
			t.Fatalf("seed %d: accepted for another question", seed)
		}
		fresh := *proof
		fresh.Model, fresh.Question = sat.p.Hashes()
		mutations(reflect.ValueOf(&fresh).Elem(), "", func(path string) {
			tried++
			if r := sat.p.Check(fresh.Encode()); r.Accepted {
				t.Fatalf("seed %d: a proof of something false is accepted after changing %s: %v\n%s", seed, path, r, sat.query)
			}
		})
		same := *proof
		mutations(reflect.ValueOf(&same).Elem(), "", func(path string) {
			r := unsat.p.Check(same.Encode())
			if r.Accepted {
				kept++
			}
			// a proof about real arithmetic may be good enough for binary32 executions, which is another claim and said
			other := same.Semantics == 1 && r.Float32
			if header := path[:2] == ".M" || path[:2] == ".Q" || path[:2] == ".S" && !other; header && r.Accepted {
				t.Fatalf("seed %d: accepted after changing %s", seed, path)
			}
		})
		rng := rand.New(rand.NewPCG(seed, 3))
		bytes := fresh.Encode()
		for range 200 {
			b := append([]byte(nil), bytes...)
			for range 1 + rng.IntN(3) {
				b[len(kernel.Magic)+65+rng.IntN(len(b)-len(kernel.Magic)-65)] = byte(rng.IntN(256))
			}
			if r := sat.p.Check(b); r.Accepted {
				t.Fatalf("seed %d: random bytes are accepted: %v", seed, r)
			}
		}
	}
	t.Logf("%d proofs, %d mutations; %d of them leave a proof of the true claim", proofs, tried, kept)
	if proofs < int(n) || tried < 40*proofs || kept == 0 {
		t.Error("too little was tested")
	}
}

// mutations calls f once for every change of a single field below v, and undoes it.
func mutations(v reflect.Value, path string, f func(path string)) {
	try := func(change string, x any) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		v.Set(reflect.ValueOf(x).Convert(v.Type()))
		f(path + change)
		v.Set(old)
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		for _, d := range []int64{1, -1, -v.Int(), v.Int(), 40, -40, -200, 1 << 30} {
			if d != 0 {
				try(fmt.Sprintf("%+d", d), v.Int()+d)
			}
		}
	case reflect.Uint64, reflect.Uint8:
		for _, x := range []uint64{v.Uint() + 1, v.Uint() - 1, 2 * v.Uint(), 0} {
			if reflect.ValueOf(x).Convert(v.Type()).Uint() != v.Uint() {
				try(fmt.Sprintf("=%d", x), x)
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			mutations(v.Elem(), path, f)
		}
	case reflect.Array:
		mutations(v.Index(0), path+"[0]", f)
		mutations(v.Index(v.Len()-1), path+"[last]", f)
	case reflect.Struct:
		for i := range v.NumField() {
			mutations(v.Field(i), path+"."+v.Type().Field(i).Name, f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			mutations(v.Index(i), fmt.Sprintf("%s[%d]", path, i), f)
			if v.Type().Elem().Kind() == reflect.Uint8 && i > 2 {
				break
			}
		}
		if path == ".Boxes" { // their number is the question's, not the file's
			break
		}
		for i := range v.Len() {
			if v.Type() == reflect.TypeFor[[]int]() || v.Type() == reflect.TypeFor[[]int64]() {
				break // of pairs of slices
			}
			less := reflect.AppendSlice(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, 0), v.Slice(0, i)), v.Slice(i+1, v.Len()))
			try(fmt.Sprintf(" without %d", i), less.Interface())
			more := reflect.Append(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, 0), v), v.Index(i))
			try(fmt.Sprintf(" with %d twice", i), more.Interface())
			if i > 0 {
				swapped := reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, 0), v)
				reflect.Swapper(swapped.Interface())(i-1, i)
				try(fmt.Sprintf(" with %d and %d swapped", i-1, i), swapped.Interface())
			}
		}
	}
}

// passThroughNet computes y = relu(x) − relu(−x) = x.
const passThroughNet = `
node input 1
node affine 2
term 0 dense 2 1 1 -1
node relu 1
node affine 1
term 2 dense 1 2 1 -1
output 3
`

// passThrough is that network on [−1, 1] or what else the question says of X_0.
func passThrough(t testing.TB, question string) *instance {
	in, err := verifytest.ParseInstance(passThroughNet)
	if err != nil {
		t.Fatal(err)
	}
	return newInstance(t, in.Net, []byte("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 -1))"+question))
}

const (
	unitBox = "(assert (<= X_0 1))"
	low     = "(assert (<= Y_0 -0.75))"
	high    = "(assert (>= Y_0 0.75))"
)

// halves is a leaf for one row with multipliers of half the given size at both elements.
func halves(row int, first, second int64) *Node {
	return &Node{Kind: kernel.Leaf, Rows: []Weight{{row, 1}}, Nu: Nu{Mode: kernel.Explicit,
		Layers: []Layer{{Exp: 1, Elem: []int{0, 1}, Val: []int64{first, second}}}}}
}

// accepts checks a tree for the only case of an instance.
func accepts(in *instance, shared []Lemma, root *Node) bool {
	p := &Proof{Boxes: [][]Lemma{shared}, Cases: []*Node{root}}
	p.Model, p.Question = in.p.Hashes()
	return in.p.Check(p.Encode()).Accepted
}

// TestLeakedBounds is the false proof that a published checker accepts: both children of a split have the same multipliers, and
// only the first is refuted. What holds there must not reach its sibling, whether it is the split itself or a lemma.
func TestLeakedBounds(t *testing.T) {
	bare := &Node{Kind: kernel.Leaf}
	lemmas := []Lemma{{0, 0, kernel.Lower, bare}, {0, 1, kernel.Upper, bare}, {0, 0, kernel.Upper, bare}, {0, 1, kernel.Lower, bare}, {0, 0, kernel.Layer, nil}}
	half := 0
	for _, question := range []string{low, high} {
		in := passThrough(t, unitBox+question)
		root, err := in.p.Root(0)
		if err != nil {
			t.Fatal(err)
		}
		for elem := range 2 {
			for _, v := range []int64{-1, 1} {
				leaf := halves(0, v, v)
				proved := [2]bool{}
				for i := range proved {
					s, err := in.p.NewSession()
					if err != nil {
						t.Fatal(err)
					}
					_, err = s.Tree(root.SplitRelu(0, elem, i == 1), kernel.Target{Relu: -1}, appendNode(nil, leaf))
					proved[i] = err == nil
				}
				if proved[0] && proved[1] {
					t.Fatalf("%s: a leaf refutes what is true", question)
				}
				if proved[0] || proved[1] {
					half++
				}
				for _, other := range []*Node{leaf, {Kind: kernel.Empty}, {Kind: kernel.Tighten, Lemmas: lemmas, Child: []*Node{leaf}}} {
					for _, first := range []*Node{leaf, {Kind: kernel.Tighten, Lemmas: lemmas, Child: []*Node{leaf}}} {
						for _, child := range [][]*Node{{first, other}, {other, first}} {
							split := &Node{Kind: kernel.SplitRelu, Elem: elem, Child: child}
							if accepts(in, nil, split) {
								t.Errorf("%s, element %d: bounds leak to a sibling", question, elem)
							}
							// In a lemma's tree the split is sound, but it leaves nothing behind except a value.
							tree := &Node{Kind: kernel.SplitRelu, Elem: elem, Child: []*Node{bare, bare}}
							own := []Lemma{{0, 1 - elem, kernel.Lower, tree}, {0, elem, kernel.Upper, tree}}
							if accepts(in, nil, &Node{Kind: kernel.Tighten, Lemmas: own, Child: []*Node{leaf}}) || accepts(in, own, split) {
								t.Errorf("%s, element %d: bounds leak from a lemma's tree", question, elem)
							}
						}
					}
				}
			}
		}
	}
	if half != 4 {
		t.Errorf("%d splits have one child that is refuted, want 4: the test tests nothing", half)
	}
}

// TestChildren: children must be there, and in their order.
func TestChildren(t *testing.T) {
	in := passThrough(t, unitBox+low+high)
	split := &Node{Kind: kernel.SplitRelu, Child: []*Node{halves(1, 1, 1), halves(0, -1, -1)}}
	if !accepts(in, nil, split) {
		t.Fatal("a true proof is refused")
	}
	more := halves(1, 1, 1)
	more.Nu.Layers = append(more.Nu.Layers, more.Nu.Layers[0])
	if accepts(in, nil, &Node{Kind: kernel.SplitRelu, Child: []*Node{more, split.Child[1]}}) {
		t.Error("a layer of multipliers that no Relu is left for is accepted")
	}
	p := &Proof{Boxes: [][]Lemma{nil}, Cases: []*Node{split}}
	p.Model, p.Question = in.p.Hashes()
	if in.p.Check(append(p.Encode(), 0)).Accepted {
		t.Error("text after the end is accepted")
	}
	split.Child[0], split.Child[1] = split.Child[1], split.Child[0]
	if accepts(in, nil, split) {
		t.Error("swapped children are accepted")
	}
	for _, child := range [][]*Node{{halves(1, 1, 1)}, {halves(0, -1, -1)}, nil} {
		split.Child = child
		if accepts(in, nil, split) {
			t.Errorf("accepted with %d children", len(child))
		}
	}
}

// TestConditional: a lemma may lean on a row of its case, and only there.
func TestConditional(t *testing.T) {
	in := passThrough(t, unitBox+low+high)
	leaf := halves(0, 1, 1)
	// x + (0.75 − y) ≥ 0.25 by the relaxation: where y ≥ 0.75, x ≥ 0.25.
	l := []Lemma{{0, 1, kernel.Upper, halves(1, -1, 1)}}
	if accepts(in, nil, leaf) {
		t.Error("accepted without the lemma")
	}
	if !accepts(in, nil, &Node{Kind: kernel.Tighten, Lemmas: l, Child: []*Node{leaf}}) {
		t.Error("a true proof is refused")
	}
	if accepts(in, l, leaf) {
		t.Error("a lemma for all cases leans on a row of one")
	}
}

// TestWidenedBox: a proof for a box is none for a larger one that holds a counterexample, even when its hash says so.
func TestWidenedBox(t *testing.T) {
	const question = "(assert (>= Y_0 1.25))"
	in, wide := passThrough(t, unitBox+question), passThrough(t, "(assert (<= X_0 1.5))"+question)
	leaf := &Node{Kind: kernel.Leaf, Rows: []Weight{{0, 1}}}
	if !accepts(in, nil, leaf) {
		t.Fatal("a true proof is refused")
	}
	p := &Proof{Boxes: [][]Lemma{nil}, Cases: []*Node{leaf}}
	p.Model, p.Question = in.p.Hashes()
	if wide.p.Check(p.Encode()).Accepted {
		t.Error("a stale hash is accepted")
	}
	if accepts(wide, nil, leaf) {
		t.Error("a widened box is accepted")
	}
}

// FuzzProof runs the kernel on garbage for a question that has a counterexample: no panic, no acceptance.
func FuzzProof(f *testing.F) {
	unsat, sat := twins(f, 1)
	model, question := sat.p.Hashes()
	for seed := range uint64(4) {
		if proof := prove(unsat, seed, 10); proof != nil {
			proof.Model, proof.Question = model, question
			f.Add(proof.Encode())
		}
		if proof := wander(unsat, seed, map[int]int{}); proof != nil {
			proof.Model, proof.Question = model, question
			f.Add(proof.Encode())
		}
	}
	f.Add([]byte("sat\n((X_0 0))"))
	sat.p.Limit = 1 << 22
	f.Fuzz(func(t *testing.T, data []byte) {
		r := sat.p.Check(data)
		if r.Accepted && r.Claim == "unsat" || bytes.Contains([]byte(r.Reason), []byte("defect")) {
			t.Fatalf("%v", r)
		}
		if p, err := Decode(data, 1, 1); err == nil {
			if again, err := Decode(p.Encode(), 1, 1); err != nil || !reflect.DeepEqual(again, p) {
				t.Fatalf("encoding and decoding changes a proof: %v", err)
			}
		}
	})
}
