package sdp

import (
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/spai-project/certify/nn"
)

// CheckCertificate accepts a certificate for a network or says in an error that wraps ErrCertificate why not (ErrShape: the network is
// none that certificates are made for). It shares with the search only the reading of the network: the matrix is formed here, entry by
// entry with its error, and factored whole, by plain loops.
func CheckCertificate(c *Certificate, g *nn.Graph) error {
	s, err := readShallow(g)
	if err != nil {
		return err
	}
	refuse := func(why string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrCertificate, fmt.Sprintf(why, args...))
	}
	switch {
	case c.Format != Format:
		return refuse("its format is %q, not %q", c.Format, Format)
	case c.Network != s.hash:
		return refuse("it is about the network %s, not %s", c.Network, s.hash)
	case c.Inputs != s.d || c.Hidden != s.m || c.Classes != s.k:
		return refuse("it is about %d inputs, %d hidden units and %d classes", c.Inputs, c.Hidden, c.Classes)
	case len(c.Pairs) != s.k*(s.k-1)/2:
		return refuse("%d pairs of classes", len(c.Pairs))
	}
	for n, p := range c.Pairs {
		if p.I <= p.J || p.J < 0 || p.I >= s.k || p.I*(p.I-1)/2+p.J != n {
			return refuse("pair %d is of the classes %d and %d", n, p.I, p.J)
		}
		if len(p.C) != 1+s.m+s.d {
			return refuse("pair %d has %d numbers", n, len(p.C))
		}
	}
	bad := make([]bool, len(c.Pairs))
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), len(bad))
	for w := range workers {
		wg.Go(func() {
			for n := w; n < len(bad); n += workers {
				bad[n] = !checkPair(s, &c.Pairs[n])
			}
		})
	}
	wg.Wait()
	for n, b := range bad {
		if b {
			return refuse("the bound of the classes %d and %d does not follow", c.Pairs[n].I, c.Pairs[n].J)
		}
	}
	return nil
}

// checkPair reports whether diag(C) − M is positive semidefinite for the true M, and Bound no less than ΣC/4.
//
// Sound by the argument of Prover.Semidefinite, on the matrix with the inputs first, whose entries' errors are charged to their rows.
// With the inputs first their block stays diagonal, and factoring starts behind it.
func checkPair(s *shallow, p *Pair) bool {
	sum := 0.0
	for _, v := range p.C {
		if !(v >= 0) || !(v <= 0x1p300) {
			return false
		}
		sum = math.Nextafter(sum+v, math.Inf(1))
	}
	if !(p.Bound >= sum/4) {
		return false
	}
	d, h, n := s.d, s.m+1, s.d+s.m+1
	const u = 0x1p-52 // twice the unit roundoff, for errors of second order
	diag := make([]float64, n)
	copy(diag, p.C[h:])
	copy(diag[d:], p.C[:h])
	low := make([][]float64, h) // rows d…n−1 of the lower triangle
	for i := range low {
		low[i] = make([]float64, d+i+1)
	}
	units := float64(s.relW+s.relV+8) * u
	slack := make([]float64, n)
	for k := range s.m {
		vi, vj := s.v[p.I*s.m+k], s.v[p.J*s.m+k]
		for l := range d {
			w := s.w[k*d+l]
			b, e := (vi-vj)*w, (math.Abs(vi)+math.Abs(vj))*math.Abs(w)
			low[k+1][l] = -b
			low[0][l] -= b
			first := e * (units + float64(s.m)*u)
			slack[l] += first + e*units
			slack[d] += first
			slack[d+k+1] += e * units
		}
	}
	trace := 0.0
	for _, v := range diag {
		trace += v
	}
	g := float64(n+16) * u
	shift := g / (1 - g) * trace * 1.001
	for i := range diag {
		diag[i] -= slack[i]*1.001 + shift + 0x1p-700
		diag[i] -= math.Abs(diag[i]) * 2 * u
	}
	return factorWhole(d, diag, low)
}

// factorWhole reports whether the Cholesky factorisation of the matrix with this diagonal and these last rows, whose first d rows are
// diagonal, has positive pivots only.
func factorWhole(d int, diag []float64, low [][]float64) bool {
	root := make([]float64, d)
	for l, v := range diag[:d] {
		if v <= 0 || math.IsNaN(v) {
			return false
		}
		root[l] = math.Sqrt(v)
	}
	for i, row := range low {
		for l, r := range root {
			row[l] /= r
		}
		for j := range i {
			row[d+j] = (row[d+j] - dotPlain(row[:d+j], low[j])) / low[j][d+j]
		}
		v := diag[d+i] - dotPlain(row[:d+i], row)
		if v <= 0 || math.IsNaN(v) {
			return false
		}
		row[d+i] = math.Sqrt(v)
	}
	return true
}

// dotPlain sums in four parts, an order that the bound allows.
func dotPlain(x, y []float64) float64 {
	var a, b, c, e float64
	y = y[:len(x)]
	i := 0
	for ; i+4 <= len(x); i += 4 {
		a += x[i] * y[i]
		b += x[i+1] * y[i+1]
		c += x[i+2] * y[i+2]
		e += x[i+3] * y[i+3]
	}
	for ; i < len(x); i++ {
		a += x[i] * y[i]
	}
	return a + b + (c + e)
}
