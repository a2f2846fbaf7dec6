package sdp

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// singular returns an integer matrix BᵀB of which (1, …, 1) is in the kernel; B has entries up to size.
func singular(r *rand.Rand, n, size int) []float64 {
	rows := max(n-1, 1)
	b := make([]float64, rows*n)
	for i := range rows {
		sum := 0.0
		for j := range n - 1 {
			b[i*n+j] = float64(r.IntN(2*size+1) - size)
			sum += b[i*n+j]
		}
		b[i*n+n-1] = -sum
	}
	a := make([]float64, n*n)
	for i := range n {
		for j := range n {
			for k := range rows {
				a[i*n+j] += b[k*n+i] * b[k*n+j]
			}
		}
	}
	return a
}

func shifted(n int, a []float64, v float64) []float64 {
	a = slices.Clone(a)
	for i := range n {
		a[i*n+i] += v
	}
	return a
}

// TestSemidefiniteEdge: matrices whose smallest eigenvalue is known exactly are refused when it is negative or 0, and accepted when it
// is a little larger than the rounding allows for.
func TestSemidefiniteEdge(t *testing.T) {
	var p Prover
	for _, n := range []int{1, 2, 3, 7, 63, 64, 65, 129, 200, 333} {
		r := rand.New(rand.NewPCG(uint64(n), 5))
		a := singular(r, n, 3)
		for _, e := range []float64{0, -0x1p-40, -0x1p-35, -0x1p-20, -1} {
			if b := shifted(n, a, e); b[0]-a[0] != e {
				t.Fatal("the shift is not exact")
			} else if p.Semidefinite(n, b, nil) {
				t.Errorf("n = %d: accepted with the eigenvalue %g", n, e)
			}
		}
		trace := 1.0
		for i := range n {
			trace += a[i*n+i]
		}
		small := math.Ldexp(1, math.Ilogb(trace*float64(n+10)*0x1p-49)+1)
		if !p.Semidefinite(n, shifted(n, a, small), nil) {
			t.Errorf("n = %d: refused with the eigenvalue %g", n, small)
		}
		slack := make([]float64, n)
		for i := range slack {
			slack[i] = 0x1p-10
		}
		if p.Semidefinite(n, shifted(n, a, 0x1p-10), slack) {
			t.Errorf("n = %d: accepted with slack as large as the eigenvalue", n)
		}
		if !p.Semidefinite(n, shifted(n, a, 0x1p-9), slack) {
			t.Errorf("n = %d: refused with slack of half the eigenvalue", n)
		}
	}
}

// TestSemidefiniteSingular: singular matrices are refused, also where rounding makes the last pivot positive.
func TestSemidefiniteSingular(t *testing.T) {
	var p Prover
	for n := range cases(400) {
		r := rand.New(rand.NewPCG(uint64(n), 21))
		k := 2 + r.IntN(80)
		if p.Semidefinite(k, singular(r, k, 3000), nil) {
			t.Errorf("case %d: accepted", n)
		}
	}
}

// TestSemidefiniteHostile: what is no number is never accepted.
func TestSemidefiniteHostile(t *testing.T) {
	var p Prover
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300} {
		for k := range 6 {
			i, j := []int{0, 1, 1, 2, 2, 2}[k], []int{0, 0, 1, 0, 1, 2}[k]
			a := []float64{3, 0, 0, 0, 3, 0, 0, 0, 3}
			a[i*3+j] = bad
			if p.Semidefinite(3, a, nil) {
				t.Errorf("accepted %g at %d, %d", bad, i, j)
			}
			if p.Bipartite(1, 3, []float64{1, bad, 0}, []float64{9}, []float64{9, 9, 9}, nil, nil) {
				t.Errorf("accepted %g", bad)
			}
		}
	}
	if p.Semidefinite(1, []float64{1}, []float64{math.NaN()}) || p.Semidefinite(1, []float64{1}, []float64{-1}) {
		t.Error("accepted a slack that is none")
	}
}

// TestSemidefiniteExact: what is accepted is semidefinite in rationals, near the edge, where a good part is not.
func TestSemidefiniteExact(t *testing.T) {
	var p Prover
	accepted, wrong := 0, 0
	for n := range cases(3000) {
		r := rand.New(rand.NewPCG(uint64(n), 6))
		k := 1 + r.IntN(4)
		a := singular(r, k, 3)
		for i := range k {
			for j := range i {
				a[i*k+j] += float64(r.IntN(3)-1) * math.Ldexp(1, -44-r.IntN(6))
				a[j*k+i] = a[i*k+j]
			}
			a[i*k+i] += float64(r.IntN(5)-1) * math.Ldexp(1, -44-r.IntN(6))
		}
		truth := semidefinite(rational(k, a, nil))
		if p.Semidefinite(k, slices.Clone(a), nil) {
			accepted++
			if !truth {
				t.Errorf("%d: accepted %v", n, a)
			}
		} else if !truth {
			wrong++
		}
	}
	if accepted < cases(3000)/20 || wrong < cases(3000)/20 {
		t.Errorf("%d accepted, %d refused rightly: the test does not test", accepted, wrong)
	}
}

// TestSchurExact: the same for matrices with a diagonal block, with slack.
func TestSchurExact(t *testing.T) {
	var q Prover
	accepted, wrong := 0, 0
	for n := range cases(3000) {
		r := rand.New(rand.NewPCG(uint64(n), 7))
		p, d := 1+r.IntN(3), 1+r.IntN(3)
		b := dyadic(r, p*d)
		t1 := make([]float64, d)
		for j := range t1 {
			t1[j] = float64(1 + r.IntN(8))
			if r.IntN(8) == 0 {
				t1[j] = 0
				if r.IntN(4) > 0 {
					for i := range p {
						b[i*d+j] = 0
					}
				}
			}
		}
		res := make([]float64, p*p) // close to B·diag(t)⁻¹·Bᵀ
		for i := range p {
			for j := range p {
				for k := range d {
					if t1[k] > 0 {
						res[i*p+j] += b[i*d+k] * b[j*d+k] / t1[k]
					}
				}
			}
		}
		rr := shifted(p, res, (r.Float64()-0.3)*math.Ldexp(1, -36-r.IntN(18)))
		slackR, slackT := make([]float64, p), make([]float64, d)
		if r.IntN(2) == 0 {
			slackR[r.IntN(p)], slackT[r.IntN(d)] = r.Float64()*0x1p-42, r.Float64()*0x1p-42
		}
		size := p + d
		full, slack := make([]float64, size*size), append(slices.Clone(slackR), slackT...)
		for i := range p {
			for j := range p {
				full[i*size+j] = rr[max(i, j)*p+min(i, j)]
			}
			for j := range d {
				full[i*size+p+j], full[(p+j)*size+i] = b[i*d+j], b[i*d+j]
			}
		}
		for j, v := range t1 {
			full[(p+j)*size+p+j] = v
		}
		truth := semidefinite(rational(size, full, slack))
		if q.Schur(p, d, rr, b, t1, slackR, slackT) {
			accepted++
			if !truth {
				t.Errorf("%d: accepted %v %v %v", n, rr, b, t1)
			}
		} else if !truth {
			wrong++
		}
	}
	if accepted < cases(3000)/20 || wrong < cases(3000)/20 {
		t.Errorf("%d accepted, %d refused rightly: the test does not test", accepted, wrong)
	}
}

// TestSchurLarge: a bipartite matrix of full size is accepted a little above its largest singular value and refused below.
func TestSchurLarge(t *testing.T) {
	const p, d = 150, 200
	r := rand.New(rand.NewPCG(1, 1))
	u, v := make([]float64, p), make([]float64, d)
	nu, nv := 0.0, 0.0
	for i := range u {
		u[i] = float64(r.IntN(9) - 4)
		nu += u[i] * u[i]
	}
	for i := range v {
		v[i] = float64(r.IntN(9) - 4)
		nv += v[i] * v[i]
	}
	a := make([]float64, p*d) // rank one: the singular value is √(nu·nv)
	for i := range u {
		for j := range v {
			a[i*d+j] = u[i] * v[j]
		}
	}
	var q Prover
	try := func(f float64) bool {
		y, z := make([]float64, p), make([]float64, d)
		for i := range y {
			y[i] = nu * f // diag(nu, nv) is above the matrix exactly for f ≥ 1
		}
		for i := range z {
			z[i] = nv
		}
		return q.Bipartite(p, d, a, y, z, nil, nil)
	}
	if try(1) || try(1-1e-12) || !try(1+1e-9) {
		t.Error(try(1), try(1-1e-12), try(1+1e-9))
	}
}
