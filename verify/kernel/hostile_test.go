package kernel

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// refusedBy runs f and says what it was refused for; "" when it was not.
func refusedBy(f func()) string {
	err := func() (err error) {
		defer door(&err)
		f()
		return nil
	}()
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestConvAfterReshape: the weights of a Conv have the shape that a Reshape gives them.
func TestConvAfterReshape(t *testing.T) {
	data := []float64{1, 2, 3, 4, 5, 6}
	conv := func(shape []int, reshaped bool) node {
		w := &builder{net: &network{}, opset: 13, values: map[string]value{"x": {shape: []int{1, 1, 4, 4}}}}
		w.net.add(node{n: 16})
		w.net.add(node{n: 1})
		c := &constant{shape: shape, data: data}
		if reshaped {
			c.shape = []int{1, 1, 2, 3}
		}
		w.values["c"] = value{shape: c.shape, c: c}
		w.values["s"] = value{shape: []int{4}, c: &constant{shape: []int{4}, data: []float64{1, 1, float64(shape[2]),
			float64(shape[3])}}}
		w.operator(&operator{kind: "Reshape", in: []string{"c", "s"}, out: []string{"r"}})
		w.operator(&operator{kind: "Conv", in: []string{"x", "r"}, out: []string{"y"}})
		if got := w.values["y"].shape; !slices.Equal(got, []int{1, 1, 5 - shape[2], 5 - shape[3]}) {
			t.Errorf("the result has shape %v", got)
		}
		return w.net.nodes[2]
	}
	a, b := conv([]int{1, 1, 3, 2}, false).terms[0], conv([]int{1, 1, 3, 2}, true).terms[0]
	if !slices.Equal(a.runs, b.runs) || !slices.Equal(a.w.v, b.w.v) {
		t.Error("a Conv of reshaped weights is another one")
	}
}

// TestAttributeKinds: an attribute is read as what it is, or refused.
func TestAttributeKinds(t *testing.T) {
	for i, c := range []struct {
		a  attribute
		ok bool
	}{
		{attribute{kind: aFloat, f: 1}, true}, {attribute{kind: anInt}, true}, {attribute{kind: listOfInts,
			ints: []int{0}}, true},
		{attribute{kind: listOfInts}, false}, {attribute{kind: anInt, f: 1}, false}, {attribute{kind: aFloat, i: 1}, false},
		{attribute{kind: aTensor}, false}, {attribute{kind: anInt, ints: []int{1}}, false}, {attribute{kind: aFloat,
			s: "x"}, false},
		{attribute{kind: 6}, true}, {attribute{i: 3}, true}, {attribute{kind: aFloat, t: &constant{}}, false},
	} {
		if c.a.consistent() != c.ok {
			t.Errorf("%d: %+v", i, c.a)
		}
	}
	op := &operator{attr: map[string]attribute{"i": {kind: anInt, i: 1}, "f": {kind: aFloat, f: 1}}}
	if op.int("i", 0) != 1 || op.float("f", 0) != 1 || refusedBy(func() { op.int("f", 0) }) == "" ||
		refusedBy(func() { op.float("i", 0) }) == "" {
		t.Error("an attribute is read as what it is not")
	}
	for pads, ok := range map[[2]float64]bool{{-3, 2}: true, {-4, 5}: false, {-2, -2}: false, {5, -4}: false, {1, -1}: true} {
		w := &builder{opset: 13, net: &network{}}
		w.net.add(node{n: 3})
		w.net.add(node{n: 1})
		in := []value{{shape: []int{3}}, {shape: []int{2}, c: &constant{data: pads[:]}}}
		if why := refusedBy(func() { w.pad(&operator{kind: "Pad"}, in) }); (why == "") != ok {
			t.Errorf("pads %v: %q", pads, why)
		}
	}
	w := &builder{opset: 11}
	op = &operator{kind: "Squeeze", attr: map[string]attribute{"axes": {}}}
	if refusedBy(func() { w.param(op, nil, 1, "axes", 13) }) == "" {
		t.Error("no axes are taken for axis 0")
	}
}

// TestSmallFilesLargeWork: what a small file makes is limited before it is made.
func TestSmallFilesLargeWork(t *testing.T) {
	fresh := func() *builder {
		w := &builder{net: &network{}, opset: 13, values: map[string]value{"x": {shape: []int{1, 1, 1, 1}}}}
		w.net.add(node{n: 1})
		w.net.add(node{n: 1})
		for name, data := range map[string][]float64{"c": {1}, "p": {0, 1<<20 - 1}} {
			w.values[name] = value{shape: []int{len(data)}, c: &constant{shape: []int{len(data)}, data: data}}
		}
		return w
	}
	ints := func(n int) attribute { return attribute{ints: []int{n, n}} }
	large := map[string]attribute{"kernel_shape": ints(1 << 13), "pads": {ints: []int{1 << 13, 1 << 13, 0, 0}}}
	for name, f := range map[string]func(w *builder){
		"constants": func(w *builder) {
			for i := range 100 {
				w.operator(&operator{kind: "Pad", in: []string{"c", "p"}, out: []string{strings.Repeat("a", i+1)}})
			}
		},
		"window": func(w *builder) {
			w.operator(&operator{kind: "MaxPool", in: []string{"x"}, out: []string{"y"}, attr: large})
		},
	} {
		if why := refusedBy(func() { f(fresh()) }); why == "" || strings.Contains(why, "defect") {
			t.Errorf("%s: %q", name, why)
		}
	}
	// Bounds of all boxes together.
	n := &network{}
	n.add(node{n: 1})
	n.add(node{n: 1})
	n.output = n.add(node{kind: affine, n: maxElements - 3, terms: []term{{src: one, w: factor(1), runs: []run{{n: 1}}}}})
	p := &Problem{net: n, boxes: make([]*box, 100)}
	for i := range p.boxes {
		p.boxes[i] = &box{lo: []*big.Rat{zero}, hi: []*big.Rat{zero}}
	}
	proof := append([]byte(Magic), make([]byte, 200)...)
	if why := refusedBy(func() { p.certificate(proof) }); !strings.Contains(why, "boxes") {
		t.Errorf("boxes: %q", why)
	}
}

// TestReduceIsLimited: what a Reduce holds counts against the limit of the path, a lemma for a whole layer is work even where
// nothing is open.
func TestReduceIsLimited(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 14))
	c := newChain(r, []int{2, 3, 1}, false)
	b := c.net.root([]*big.Rat{minusOne, minusOne}, []*big.Rat{plusOne, plusOne}, false)
	e := newEvaluator(c.net, &budget{limit: 1000})
	g := refute([]row{{seeds: []seed{{c.net.output, 0, unit}}, rhs: zero}})
	if why := refusedBy(func() { e.reduce(b, g, maxLive-3) }); !strings.Contains(why, "too large") {
		t.Errorf("reduce: %q", why)
	}
	if why := refusedBy(func() { e.reduce(b, g, 0) }); why != "" {
		t.Error(why)
	}
	lemmas := append([]byte{200, 3}, slices.Repeat([]byte{0, 0, Layer}, 456)...)
	w := &walker{in: &reader{data: lemmas}, eval: newEvaluator(c.net, &budget{limit: 1000})}
	for k := range b.lo[2] {
		b.lo[2][k] = 0
	}
	if why := refusedBy(func() { w.bounds(b, nil, 0, 0) }); !strings.Contains(why, "limit of work") {
		t.Errorf("layers: %q", why)
	}
}

// TestPlaneConstant: the constant of a plane is at most that of its form, whatever its size.
func TestPlaneConstant(t *testing.T) {
	n := &network{}
	n.add(node{n: 1})
	n.add(node{n: 1})
	b := n.root([]*big.Rat{minusOne}, []*big.Rat{plusOne}, false)
	for bits := 1; bits < 240; bits += 7 {
		for _, sign := range []bool{false, true} {
			e := newEvaluator(n, &budget{limit: 1000})
			e.into = &plane{a: make([]int64, 1), fa: make([]float64, 1), lo: make([]float64, 1), hi: make([]float64, 1)}
			c := i256{1}.shift(bits).plus(i256{5})
			if sign {
				c = c.negated()
			}
			e.lower(b, sideOf(0, 0, Lower), sum{c, bits}, &chooser{next: -1})
			got, want := scaled(big128(e.into.c), e.into.cexp), scaled(c.big(), bits)
			if d, _ := new(big.Rat).Sub(want, got).Float64(); d < 0 || d > 1e-20 {
				t.Errorf("%d bits: the constant is off by %g", bits, d)
			}
		}
	}
}

// TestSessionOfAnyRow: a row whose numbers no proof could use is an error for writers of proofs, no panic.
func TestSessionOfAnyRow(t *testing.T) {
	p, err := Open(tiny(t), []byte(boxed+"(assert (<= (* 1e-300 Y_0) 1))"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.NewSession(); err == nil {
		t.Error("a coefficient of 1e-300 is taken")
	}
}

// layered adds a dense layer over node k without biases, with exact weights.
func layered(n *network, k int, rows ...[]float64) int {
	tm := term{src: k}
	var flat []float64
	for i, row := range rows {
		m := int32(len(row))
		flat = append(flat, row...)
		tm.runs = append(tm.runs, run{out: int32(i), w: int32(i) * m, n: m, si: 1, sw: 1})
	}
	tm.w = quantise(flat, false)
	return n.add(node{kind: affine, n: len(rows), terms: []term{tm}})
}

// TestReducedProof: relu(w·v − w·v + x) reaches 1 at x = 1, so that nothing refutes a row which says so. What is lost
// of w when the
// network is reduced would make it stay below 1.
func TestReducedProof(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 15))
	for range 100 {
		n := &network{}
		n.add(node{n: 2})
		n.add(node{n: 1})
		v, w := newRat(-math.Ldexp(1+r.Float64(), 20)), 1+r.Float64()
		k := layered(n, layered(n, 0, []float64{1, 0}, []float64{1, 0}, []float64{0, 1}), []float64{w, -w, 1})
		n.output = layered(n, n.add(node{kind: relu, n: 1, src: k}), []float64{1})
		whole := &box{lo: []*big.Rat{v, minusOne}, hi: []*big.Rat{v, plusOne}}
		for _, rhs := range []float64{1, 1 + 1e-6} { // Y ≥ 1 holds somewhere, Y ≥ 1 + 1e-6 nowhere
			rows := []row{{seeds: []seed{{n.output, 0, minusOne}}, rhs: newRat(-rhs)}}
			p := &Problem{net: n, boxes: []*box{whole}, cases: []conjunct{{box: 0, rows: rows}}}
			proof := append(append([]byte(Magic), make([]byte, 65)...), 0, Reduce, Leaf, 1, 0, 0, 1, Recompute)
			if res := p.Check(proof); res.Accepted != (rhs > 1) {
				t.Fatalf("Y ≥ %v: %v", rhs, res)
			}
		}
	}
}

// TestStrictness: a value of 0 refutes when a strict row has a part in it, on a reduced network too.
func TestStrictness(t *testing.T) {
	n := &network{}
	n.add(node{n: 1})
	n.add(node{n: 1})
	n.output = layered(n, 0, []float64{1})
	rows := []row{{seeds: []seed{{n.output, 0, unit}}, rhs: zero}, {seeds: []seed{{n.output, 0, unit}}, rhs: zero, strict: true}}
	b := n.root([]*big.Rat{zero}, []*big.Rat{plusOne}, false)
	e := newEvaluator(n, &budget{limit: 1000})
	for i, c := range []struct {
		leaf []byte
		ok   bool
	}{
		{[]byte{1, 0, 0, 1}, false}, {[]byte{1, 0, 1, 1}, true}, {[]byte{2, 0, 0, 1, 0, 0}, false}, {[]byte{2, 0, 0, 1,
			0, 1}, true},
		{[]byte{2, 0, 0, 0, 0, 1}, true}, {[]byte{1, 0, 1, 0}, false}, {[]byte{0}, false},
	} {
		w := &walker{in: &reader{data: append(c.leaf, Recompute)}, eval: e}
		if why := refusedBy(func() { w.leaf(b, refute(rows)) }); (why == "") != c.ok {
			t.Errorf("%d: %q", i, why)
		}
	}
	_, _, g := e.reduce(b, refute(rows), 0)
	if g.rows[0].strict || !g.rows[1].strict {
		t.Error("a row is strict on one side of a reduction only")
	}
}

// TestQuotient: what a clip leaves is never too small, and hardly too large.
func TestQuotient(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 16))
	capped := 0
	for range 20000 {
		num, den := draw(r, 200), draw(r, 120)
		if den.Sign() == 0 {
			continue
		}
		vexp, aexp, exp := r.IntN(300)-100, r.IntN(300)-100, r.IntN(120)-60
		got := quotient(sum{fromBig(num), vexp}, to128(den), aexp, exp)
		exact := new(big.Rat).Quo(scaled(num, vexp), scaled(den, aexp))
		exact.Mul(exact.Abs(exact), scaled(big.NewInt(1), -exp))
		d := new(big.Rat).Sub(new(big.Rat).SetInt64(got), exact)
		if got == 2<<boundBits && d.Sign() < 0 {
			capped++
		} else if d.Sign() < 0 || d.Cmp(unit) >= 0 {
			t.Fatalf("%v / %v: %d", num, den, got)
		}
	}
	if capped < 1000 || capped > 12000 {
		t.Errorf("%d of 20000 are capped", capped)
	}
}

// TestClipAtZero: the point at which a row's form is 0 satisfies the row and stays.
func TestClipAtZero(t *testing.T) {
	n := &network{}
	n.add(node{n: 1})
	n.add(node{n: 1})
	n.output = layered(n, 0, []float64{1})
	b := n.root([]*big.Rat{zero}, []*big.Rat{plusOne}, false)
	w := &walker{in: &reader{data: []byte{1, 0, 0, 1, Recompute}}, eval: newEvaluator(n, &budget{limit: 1000})}
	c := w.clip(b, refute([]row{{seeds: []seed{{n.output, 0, unit}}, rhs: zero}}))
	if c.empty || c.lo[0][0] != 0 || c.hi[0][0] != 0 || b.hi[0][0] == 0 {
		t.Errorf("empty %v, [%d, %d]", c.empty, c.lo[0][0], c.hi[0][0])
	}
}

// TestSpread: a sum of terms of very different sizes has valid bounds or is refused.
func TestSpread(t *testing.T) {
	refused, valid := 0, 0
	for top := -120; top <= 1000; top += 7 {
		for _, small := range []float64{1, 0x1p-60, 0x1p-100, 0x1.8p-109} {
			n := &network{}
			n.add(node{n: 1})
			n.add(node{n: 1})
			x := scaled(big.NewInt(3), -top)
			n.output = n.add(node{kind: affine, n: 1, terms: []term{
				{w: factor(1), runs: []run{{n: 1}}}, {src: one, w: quantise([]float64{small}, false), runs: []run{{n: 1}}}}})
			n.output = n.add(node{kind: affine, n: 1, terms: []term{
				{src: n.output, w: factor(1), runs: []run{{n: 1}}}, {src: one, w: quantise([]float64{small}, false),
					runs: []run{{n: 1}}}}})
			want := new(big.Rat).Add(x, new(big.Rat).Mul(newRat(2), newRat(small)))
			var b *Bounds
			if why := refusedBy(func() { b = n.root([]*big.Rat{x}, []*big.Rat{x}, false) }); why != "" {
				refused++
				continue
			}
			valid++
			k := n.output
			l, u := scaled(big.NewInt(b.lo[k][0]), b.fr.exp[k]), scaled(big.NewInt(b.hi[k][0]), b.fr.exp[k])
			if l.Cmp(want) > 0 || u.Cmp(want) < 0 {
				t.Fatalf("3·2^%d + 2·%g lies outside its bounds", top, small)
			}
			v := newEvaluator(n, &budget{limit: 1000}).lower(b, sideOf(k, 0, Lower), sum{}, &chooser{next: -1})
			if scaled(v.v.big(), v.exp).Cmp(want) > 0 {
				t.Fatalf("3·2^%d + 2·%g lies below its bound", top, small)
			}
		}
	}
	if refused < 100 || valid < 100 {
		t.Errorf("%d refused, %d valid", refused, valid)
	}
}

// TestFan: sums of too many products are refused, forward and backward, and so are too many operands.
func TestFan(t *testing.T) {
	const most = 1<<fanBits - 1
	for _, c := range []struct {
		r        run
		operands int
		ok       bool
	}{
		{run{n: most, so: 1}, 1, true}, {run{n: most, si: 1}, 1, true}, {run{n: most + 1, so: 1}, 1, false},
		{run{n: most + 1, si: 1}, 1, false},
		{run{n: 1}, 64, true}, {run{n: 1}, 65, false},
	} {
		n := &network{}
		n.add(node{n: most + 1})
		n.add(node{n: 1})
		nd := node{kind: affine, n: most + 1}
		for range c.operands {
			nd.terms = append(nd.terms, term{w: factor(1), runs: []run{c.r}})
		}
		if why := refusedBy(func() { n.add(nd) }); (why == "") != c.ok {
			t.Errorf("%+v, %d operands: %q", c.r, c.operands, why)
		}
	}
}

// TestSum: a sum is never more than the exact one, and less by little; so are its units.
func TestSum(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 17))
	inexact, beyond := 0, 0
	for range 20000 {
		var s sum
		exact, most := new(big.Rat), new(big.Rat)
		exp := r.IntN(400) - 200
		for range 1 + r.IntN(6) {
			v := draw(r, sumBits-1)
			if r.IntN(2) == 0 {
				exp += r.IntN(240) - 120
			}
			s.add(fromBig(v), exp)
			x := scaled(v, exp)
			exact.Add(exact, x)
			if x.Abs(x).Cmp(most) > 0 {
				most = x
			}
		}
		d := new(big.Rat).Sub(exact, scaled(s.v.big(), s.exp))
		if d.Sign() < 0 || d.Cmp(most.Mul(most, scaled(unit.Num(), 240))) > 0 {
			t.Fatalf("%v off by %v", exact.FloatString(20), d.FloatString(20))
		}
		if d.Sign() > 0 {
			inexact++
		}
		e := r.IntN(300) - 150
		u, want := s.units(e), floorRat(scaled(s.v.big(), s.exp), e)
		if want.BitLen() < boundBits {
			if u != want.Int64() {
				t.Fatalf("%d units, want %v", u, want)
			}
		} else if beyond++; u != int64(want.Sign())*2<<boundBits && want.BitLen() > boundBits {
			t.Fatalf("%d units where %v are beyond all bounds", u, want)
		}
	}
	if inexact < 1000 || beyond < 1000 {
		t.Errorf("%d sums are rounded, %d beyond bounds", inexact, beyond)
	}
}

// TestWitnessAtEnds: a witness at the end of an interval counts only where the end belongs to it, and never in a case
// that is false.
func TestWitnessAtEnds(t *testing.T) {
	const free = "(assert (<= Y_0 1000))"
	box := func(extra string) string {
		return declared + "(assert (>= X_0 0))(assert (<= X_0 1))(assert (>= X_1 0))(assert (<= X_1 1))" + free + extra
	}
	for i, c := range []struct {
		question, x0 string
		ok           bool
	}{
		{box(""), "1", true}, {box(""), "0", true}, {box(""), "1.0000001192092896", false}, {box(""), "-1", false},
		{box("(assert (< X_0 1))"), "1", false}, {box("(assert (< X_0 1))"), "0.5", true}, {box("(assert (> X_0 0))"),
			"0", false},
		{strings.Replace(box("(assert (<= X_0 1))"), "(<= X_0 1)", "(< X_0 1)", 1), "1", false},
		{strings.Replace(box("(assert (>= X_0 0))"), "(>= X_0 0)", "(> X_0 0)", 1), "0", false},
		{box("(assert (< 0 0))"), "0", false}, {box("(assert (<= 0 0))"), "0", true}, {box("(assert (< X_0 X_0))"), "0", false},
		{box("(assert (or))"), "0", false}, {box("(assert (and))"), "0", true}, {box("(assert (or (< 1 0) (<= 0 1)))"),
			"0", true},
		{box("(assert (< (- X_0 X_1) 0))"), "0", false}, {box("(assert (<= (- X_0 X_1) 0))"), "0", true},
		{box("(assert (= X_0 0.5))"), "0.5", true}, {box("(assert (= X_0 0.5))"), "0", false},
		{box("(assert (<= X_0 -1))"), "0", false}, {box("(assert (> (* -2 X_0) -1))"), "0.5", false},
		{box("(assert (> (* -2 X_0) -1))"), "0.25", true}, {box("(assert (>= (- 3 X_0 1) (+ X_0 1)))"), "0.5", true},
		{box("(assert (>= (- 3 X_0 1) (+ X_0 1)))"), "0.75", false},
	} {
		p, err := Open(tiny(t), []byte(c.question))
		if err != nil {
			t.Fatal(i, err)
		}
		for semantics := range byte(2) {
			p.Semantics = semantics
			if r := p.Check([]byte("sat\n((X_0 " + c.x0 + ")(X_1 0))")); r.Accepted != c.ok {
				t.Errorf("%d, X_0 = %s: %v", i, c.x0, r)
			}
		}
	}
}

// TestDepth: a tree that is nested too deeply, or whose path holds too much, is refused.
func TestDepth(t *testing.T) {
	n := &network{}
	n.add(node{n: 1})
	n.add(node{n: 1})
	n.output = layered(n, 0, []float64{1})
	b := n.root([]*big.Rat{zero}, []*big.Rat{plusOne}, false)
	g := refute([]row{{seeds: []seed{{n.output, 0, unit}}, rhs: minusOne}})
	for _, c := range []struct {
		depth, live int
		ok          bool
	}{{maxDepth, 0, true}, {maxDepth + 1, 0, false}, {4, maxLive - 4*n.size, true}, {4, maxLive - 4*n.size + 1, false}} {
		for _, inner := range [][]byte{{Tighten, 0}, {Clip, 0, Recompute}, {Lean, 0, Recompute, 0}} {
			data := append(slices.Repeat(inner, c.depth), Leaf, 1, 0, 0, 1, Recompute)
			w := &walker{in: &reader{data: data}, eval: newEvaluator(n, &budget{limit: 1 << 30})}
			if why := refusedBy(func() {
				w.tree(b, g, 0,
					c.live)
			}); (why == "") != c.ok || !c.ok && !strings.Contains(why, "deep") {
				t.Errorf("depth %d, live %d: %q", c.depth, c.live, why)
			}
		}
	}
}

// TestOneStep: bounds that lie one step beside 0 are of an open element, and a split leaves nothing out.
func TestOneStep(t *testing.T) {
	for _, sign := range []int64{-1, 1} {
		n := &network{}
		n.add(node{n: 1})
		n.add(node{n: 1})
		k := layered(n, 0, []float64{1})
		n.output = n.add(node{kind: relu, n: 1, src: k})
		b := n.root([]*big.Rat{minusOne}, []*big.Rat{plusOne}, false)
		if off, on := b.SplitRelu(0, 0, false), b.SplitRelu(0, 0, true); off.hi[k][0] != 0 || on.lo[k][0] != 0 {
			t.Errorf("children up to %d and from %d", off.hi[k][0], on.lo[k][0])
		}
		b = b.copy(k).copy(0)
		far := b.hi[k][0]
		b.lo[k][0], b.hi[k][0] = min(sign, sign*-far), max(sign, sign*-far)
		x := sign << (b.fr.exp[0] - b.fr.exp[k])
		b.lo[0][0], b.hi[0][0] = x, x
		// −relu(x) with the multiplier −2 where x is −1, 1 where it is 1.
		choose := newChooser(&reader{data: binary.AppendVarint([]byte{Explicit, 1, 0, 0, 1, 0}, min(1, 3*sign+1))}, 1)
		v := newEvaluator(n, &budget{limit: 1000}).lower(b, []start{{node: n.output, v: -1}}, sum{}, choose)
		want := scaled(big.NewInt(-max(sign, 0)), b.fr.exp[k])
		if scaled(v.v.big(), v.exp).Cmp(want) > 0 {
			t.Errorf("one step %+d: the bound %v exceeds %v", sign, v.float(), want)
		}
	}
}
