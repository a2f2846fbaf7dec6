package reluplex

import (
	"math/big"
	"strconv"
	"testing"

	"github.com/spai-project/certify/nn/spec"
)

// ends are what the VNN-LIB files of the suite print, to 9 decimals, for each box: lower and upper ends in turn. Where the
// paper's domain leaves an angle open they print ±0.5, which is ±π; the paper's program has ±3.141593. Property 10 has no file.
var ends = map[int][][]string{
	1: {{"0.600000000 0.679857769", angle, angle, "0.450000000 0.500000000", "-0.500000000 -0.450000000"}},
	2: {{"0.600000000 0.679857769", angle, angle, "0.450000000 0.500000000", "-0.500000000 -0.450000000"}},
	3: {{"-0.303531156 -0.298552812", "-0.009549297 0.009549297", "0.493380324 0.500000055", "0.300000000 0.500000000",
		"0.300000000 0.500000000"}},
	4: {{"-0.303531156 -0.298552812", "-0.009549297 0.009549297", "0.000000000 0.000000000", "0.318181818 0.500000000",
		"0.083333333 0.166666667"}},
	5: {{"-0.324274257 -0.321785085", "0.031830989 0.063661977", "-0.499999896 -0.499204121", "-0.500000000 -0.227272727",
		"-0.500000000 -0.166666667"}},
	6: {{"-0.129289109 0.700434925", "0.111408460 0.499999896", "-0.499999896 -0.499204121", "-0.500000000 0.500000000",
		"-0.500000000 0.500000000"}, {"-0.129289109 0.700434925", "-0.499999896 -0.111408460", "-0.499999896 -0.499204121",
		"-0.500000000 0.500000000", "-0.500000000 0.500000000"}},
	7: {{"-0.328422877 0.679857769", "-0.499999896 0.499999896", "-0.499999896 0.499999896", "-0.500000000 0.500000000",
		"-0.500000000 0.500000000"}},
	8: {{"-0.328422877 0.679857769", "-0.499999896 -0.374999922", "-0.015915494 0.015915494", "-0.045454545 0.500000000",
		"0.000000000 0.500000000"}},
	9: {{"-0.295233916 -0.212261512", "-0.063661977 -0.022281692", "-0.499999896 -0.498408347", "-0.500000000 -0.454545455",
		"-0.500000000 -0.375000000"}},
	10: {{"0.268978427 0.679857769", "0.111408460 0.499999896", "-0.499999896 -0.498408347", "0.227272727 0.500000000",
		"0.000000000 0.500000000"}},
}

const angle = "-0.500000055 0.500000055"

func ask(t *testing.T, p *Property, slack string) *spec.Problem {
	t.Helper()
	q, err := p.Problem(slack)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// exact is (v − mean) / span of input i, computed beside the reader.
func exact(t *testing.T, v string, i int) *big.Rat {
	t.Helper()
	num := func(s string) *big.Rat {
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("%q is no number", s)
		}
		return r
	}
	x := num(v)
	return x.Sub(x, num(inputs[i].mean)).Quo(x, num(inputs[i].span))
}

// TestBoxes: the exact ends are the suite's to its nine decimals, and the boxes asked about hold them, no more than rounding
// wider.
func TestBoxes(t *testing.T) {
	for _, p := range Properties() {
		q := ask(t, &p, "0")
		if len(q.Boxes) != len(ends[p.Number]) || len(q.Vacuous) > 0 || q.NumInputs != numInputs || q.NumOutputs != numOutputs {
			t.Fatalf("φ%d: %+v", p.Number, q)
		}
		for k, b := range q.Boxes {
			for i := range numInputs {
				lo, hi := exactEnds(t, &p, k, i)
				if got := lo.FloatString(9) + " " + hi.FloatString(9); got != ends[p.Number][k][i] {
					t.Errorf("φ%d, box %d, input %d: %s, want %s", p.Number, k, i, got, ends[p.Number][k][i])
				}
				holdsTightly(t, b.Lower[i], b.Upper[i], lo, hi)
			}
		}
	}
}

// exactEnds returns the ends of input i in box k, computed beside the reader.
func exactEnds(t *testing.T, p *Property, k, i int) (lo, hi *big.Rat) {
	t.Helper()
	ends := p.boxes[k][i]
	if ends.lo == "" {
		ends.lo = inputs[i].lo
	}
	if ends.hi == "" {
		ends.hi = inputs[i].hi
	}
	return exact(t, ends.lo, i), exact(t, ends.hi, i)
}

// holdsTightly checks that [lower, upper] holds [lo, hi] and is at most half a unit of float32 near 1 wider on each side.
func holdsTightly(t *testing.T, lower, upper float64, lo, hi *big.Rat) {
	t.Helper()
	below, _ := new(big.Rat).Sub(lo, new(big.Rat).SetFloat64(lower)).Float64()
	above, _ := new(big.Rat).Sub(new(big.Rat).SetFloat64(upper), hi).Float64()
	if !(0 <= below && below <= 0x1p-25 && 0 <= above && above <= 0x1p-25) {
		t.Errorf("[%v, %v] exceeds [%s, %s] by %g and %g", lower, upper, lo.FloatString(12), hi.FloatString(12), below, above)
	}
}

// TestScoreLimit: property 1 compares with 1500 scaled, and slack moves the right-hand side the generous way.
func TestScoreLimit(t *testing.T) {
	p := Properties()[0]
	for slack, want := range map[string]string{"0": "-3.991125645861615", "0.001": "-3.990125645861615"} {
		q := ask(t, &p, slack)
		if len(q.Cases) != 1 || len(q.Cases[0].Rows) != 1 {
			t.Fatalf("%+v", q.Cases)
		}
		r := q.Cases[0].Rows[0]
		got := strconv.FormatFloat(r.RHSUpper, 'f', 15, 64)
		if got != want || len(r.Y) != 1 || r.Y[0].Index != clear || r.Y[0].Value != -1 {
			t.Errorf("slack %s: %+v, want −y0 ≤ %s", slack, r, want)
		}
	}
}

// TestBall: a ball has exact ends and is cut off at the domain; each rival is a case.
func TestBall(t *testing.T) {
	p := Points()[3]
	q, err := p.Problem("0.1", "0.001", clear, weakLeft, strongRight)
	if err != nil {
		t.Fatal(err)
	}
	want := [numInputs][2]*big.Rat{
		{big.NewRat(-3, 10), big.NewRat(-1, 10)}, {big.NewRat(-35, 100), big.NewRat(-15, 100)},
		{exact(t, "-3.141593", 2), big.NewRat(-4, 10)},
		{big.NewRat(-4, 10), big.NewRat(-2, 10)}, {big.NewRat(-1, 2), big.NewRat(-34, 100)},
	}
	if len(q.Boxes) != 1 || len(q.Cases) != 2 {
		t.Fatalf("%d boxes, %d cases", len(q.Boxes), len(q.Cases))
	}
	for i, w := range want {
		holdsTightly(t, q.Boxes[0].Lower[i], q.Boxes[0].Upper[i], w[0], w[1])
	}
	for k, rival := range []int{weakLeft, strongRight} {
		y := []float64{0, 1, 1, 1, 1}
		for _, c := range []struct {
			score float64
			meets bool
		}{{0.0009, true}, {0.0011, false}, {-1, true}} {
			if y[rival] = c.score; holds(&q.Cases[k], y) != c.meets {
				t.Errorf("case %d at %v: %v", k, y, !c.meets)
			}
		}
	}
	if x := p.Value(); x[0] != -0.2 || x[4] != -0.44 {
		t.Error(x)
	}
}

// holds reports whether an output satisfies every row of a case.
func holds(c *spec.Case, y []float64) bool {
	for _, r := range c.Rows {
		sum := 0.0
		for _, t := range r.Y {
			sum += t.Value * y[t.Index]
		}
		if sum > r.RHSUpper {
			return false
		}
	}
	return true
}

// TestPublished: the published rows count every network once, and the sums of Table 3 are the paper's.
func TestPublished(t *testing.T) {
	count := []int{45, 36, 42, 42, 1, 1, 1, 1, 1, 1}
	for i, p := range Properties() {
		n := 0
		for _, r := range p.Published {
			n += r.Networks
		}
		if p.Number != i+1 || len(p.Networks) != count[i] || n != count[i] {
			t.Errorf("φ%d: %d networks, %d published, want %d", p.Number, len(p.Networks), n, count[i])
		}
		seen := map[Network]bool{}
		for _, n := range p.Networks {
			if seen[n] || n.Previous < 1 || n.Previous > 5 || n.Time < 1 || n.Time > 9 {
				t.Errorf("φ%d: %v", p.Number, n)
			}
			seen[n] = true
		}
		if i == 2 || i == 3 {
			for _, n := range []Network{{1, 7}, {1, 8}, {1, 9}} {
				if seen[n] {
					t.Errorf("φ%d is not asked of %v", p.Number, n)
				}
			}
		}
	}
	for i, want := range []int{1064, 7394, 1452, 2810, 20462} {
		sum := 0
		for _, c := range Points()[i].Published {
			sum += c.Seconds
		}
		if sum != want {
			t.Errorf("point %d: %d s, want %d", i+1, sum, want)
		}
	}
}
