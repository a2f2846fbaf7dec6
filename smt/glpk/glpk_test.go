//go:build glpk

package glpk

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/spai-project/certify/smt/simplex"
)

// draw returns a random program: boxed, half-bounded, free and fixed columns; ranges, inequalities, equations.
func draw(r *rand.Rand) (rows []simplex.Row, lo, hi, c []float64) {
	n, m := 1+r.IntN(12), r.IntN(12)
	point := make([]float64, n)
	bounds := func(at, size float64) {
		l, h := at-size*r.Float64(), at+size*r.Float64()
		switch r.IntN(8) {
		case 0:
			l = math.Inf(-1)
		case 1:
			h = math.Inf(1)
		case 2:
			l, h = math.Inf(-1), math.Inf(1)
		case 3:
			h = l
		}
		lo, hi = append(lo, l), append(hi, h)
	}
	integer := r.IntN(2) == 0
	num := func() float64 {
		if integer {
			return float64(r.IntN(9) - 4)
		}
		return r.NormFloat64()
	}
	for j := range n {
		point[j] = num()
		bounds(point[j], 3)
		c = append(c, num())
	}
	for range m {
		var row simplex.Row
		at, size := num()*float64(r.IntN(2)), 1.0 // half of the rows hold at the point or near it
		for j := range n {
			if v := num(); v != 0 && r.IntN(3) > 0 {
				row.Idx, row.Val = append(row.Idx, int32(j)), append(row.Val, v)
				at += v * point[j]
				size += math.Abs(v)
			}
		}
		rows = append(rows, row)
		bounds(at, size)
	}
	return rows, lo, hi, c
}

// TestSimplexAgainstGLPK: the same status and the same minimum on 3,000 programs.
func TestSimplexAgainstGLPK(t *testing.T) {
	r := rand.New(rand.NewPCG(61, 62))
	agree, differ := map[simplex.Status]int{}, 0
	for k := range 3000 {
		rows, lo, hi, c := draw(r)
		s, err := simplex.NewSystem(len(c), rows)
		if err != nil {
			t.Fatal(err)
		}
		for v := range lo {
			s.SetLower(v, lo[v])
			s.SetUpper(v, hi[v])
		}
		ours, err := s.Minimize(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		status, value, err := Minimize(rows, lo, hi, c)
		if err != nil {
			t.Fatal(err)
		}
		least := 0.0
		for j := range c {
			least += c[j] * s.Value(j)
		}
		switch {
		case ours.Status != status:
			differ++
			t.Logf("program %d: %v, GLPK %v", k, ours.Status, status)
		case status == simplex.Optimal && math.Abs(least-value) > 1e-6*(1+math.Abs(value)):
			t.Errorf("program %d: %v, GLPK %v", k, least, value)
		default:
			agree[status]++
		}
	}
	t.Logf("agree on %v, differ on %d", agree, differ)
	if agree[simplex.Optimal] < 1000 || agree[simplex.Infeasible] < 300 || agree[simplex.Unbounded] < 100 || differ > 3 {
		t.Errorf("agree on %v, differ on %d", agree, differ)
	}
}
