package spec

import (
	"fmt"
	"math"
	"math/big"
)

// LinfBall returns the robustness query around x0 (flattened, in the units of the network's input): is there an input within
// eps of x0 in every coordinate, and within [clipLo, clipHi] (±Inf: no clipping), on which some class other than label has a
// score ≥ that of label? The network has classes outputs; the numbers are exactly the given float64. A ball that clipping
// empties gives no cases and is named in Vacuous. It panics on an empty x0, NaN or infinite x0 or eps, eps < 0, fewer than
// two classes, and a label outside [0, classes).
func LinfBall(x0 []float64, eps float64, clipLo, clipHi float64, label, classes int) *Problem {
	if !(eps >= 0) || math.IsInf(eps, 0) || math.IsNaN(clipLo) || math.IsNaN(clipHi) || classes < 2 || label < 0 ||
		label >= classes {
		panic(fmt.Sprintf("spec: LinfBall(eps %v, clip [%v, %v], label %d of %d)", eps, clipLo, clipHi, label, classes))
	}
	ends := make([]interval, len(x0))
	for i, x := range x0 {
		ends[i] = interval{lower: sum(x, -eps), upper: sum(x, eps)}
		if v := ends[i].lower; v.near < clipLo || v.near == clipLo && v.dir < 0 {
			ends[i].lower = exactly(clipLo)
		}
		if v := ends[i].upper; v.near > clipHi || v.near == clipHi && v.dir > 0 {
			ends[i].upper = exactly(clipHi)
		}
	}
	var cases [][]Row
	for j := range classes {
		if j == label {
			continue
		}
		row := Row{Y: []Coef{{Index: label, Value: 1}, {Index: j, Value: -1}}}
		if j < label {
			row.Y[0], row.Y[1] = row.Y[1], row.Y[0]
		}
		cases = append(cases, []Row{row})
	}
	return build(ends, cases, classes)
}

// FromBox returns the query over the box [lower, upper], whose numbers are exactly the given float64, and one case for every
// list of rows; the rows are kept, not copied. A box with lower > upper somewhere gives no cases and is named in Vacuous. It
// panics on lengths that differ, an empty box, NaN or infinite ends, and rows with an index out of range.
func FromBox(lower, upper []float64, cases [][]Row, numOutputs int) *Problem {
	if len(lower) != len(upper) {
		panic(fmt.Sprintf("spec: FromBox with %d lower and %d upper ends", len(lower), len(upper)))
	}
	for _, rows := range cases {
		for _, r := range rows {
			checkCoefs(r.X, len(lower))
			checkCoefs(r.Y, numOutputs)
		}
	}
	ends := make([]interval, len(lower))
	for i := range lower {
		ends[i] = interval{lower: exactly(lower[i]), upper: exactly(upper[i])}
	}
	return build(ends, cases, numOutputs)
}

func checkCoefs(coefs []Coef, n int) {
	for _, c := range coefs {
		if c.Index < 0 || c.Index >= n {
			panic(fmt.Sprintf("spec: coefficient of variable %d of %d", c.Index, n))
		}
	}
}

func build(ends []interval, cases [][]Row, numOutputs int) *Problem {
	if len(ends) == 0 {
		panic("spec: a query without inputs")
	}
	p := &Problem{NumInputs: len(ends), NumOutputs: numOutputs, Vars: []Var{
		{Name: "X", Type: "Real", Shape: []int{len(ends)}},
		{Name: "Y", Type: "Real", Shape: []int{numOutputs}, Output: true},
	}}
	b := newBox(len(ends))
	for i, iv := range ends {
		lo, hi := iv.lower, iv.upper
		if math.IsNaN(lo.near) || math.IsNaN(hi.near) || math.IsInf(lo.near, 0) || math.IsInf(hi.near, 0) {
			panic(fmt.Sprintf("spec: input %d lies in [%v, %v]", i, lo.near, hi.near))
		}
		if lo.near > hi.near || lo.near == hi.near && lo.dir > hi.dir {
			p.Vacuous = append(p.Vacuous, fmt.Sprintf("X_%d ≥ %v and X_%d ≤ %v", i, lo.near, i, hi.near))
		}
		iv.store(&b, i)
	}
	if len(p.Vacuous) > 0 {
		return p
	}
	p.Boxes = []Box{b}
	for _, rows := range cases {
		p.Cases = append(p.Cases, Case{Rows: rows})
	}
	return p
}

// sum returns a + b exactly: the rounded sum and, by Knuth's TwoSum, the sign of what rounding took away. Its nearest float32
// is that of the rounded sum unless the sum lies at, or too low to tell from, the middle of two float32.
func sum(a, b float64) value {
	s := a + b
	t := s - a
	err := (a - (s - t)) + (b - t)
	if err == 0 && !math.IsInf(s, 0) {
		return exactly(s)
	}
	v := value{near: s, near32: float32(s)}
	if err > 0 {
		v.dir = 1
	} else {
		v.dir = -1
	}
	if math.Float64bits(s)&(1<<29-1) == 1<<28 || math.Abs(s) < 0x1p-120 {
		r := new(big.Rat).SetFloat64(a)
		v.near32, _ = r.Add(r, new(big.Rat).SetFloat64(b)).Float32()
	}
	return v
}
