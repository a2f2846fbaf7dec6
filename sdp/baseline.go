package sdp

import "math"

// Baselines are bounds that Raghunathan et al. 2018 compare with: on the change of a pair's difference for each unit of ε.
type Baselines struct {
	Spectral  []float64 // √d·‖W‖₂·‖v‖₂ for each of the certificate's pairs
	Frobenius []float64 // √d·‖W‖_F·‖v‖₂
}

// Baselines returns upper bounds for every pair, in the order of Pairs.
func (c *Certificate) Baselines() (*Baselines, error) {
	s := c.net
	if s == nil {
		return nil, errUnread
	}
	l := dense{in: s.d, out: s.m, w: s.w, rel: s.relW}
	var p Prover
	frob := l.frobenius()
	sigma, err := l.norm(&p)
	if err != nil {
		return nil, err
	}
	b := new(Baselines)
	root := rootUp(float64(s.d))
	for _, pair := range c.Pairs {
		v := 0.0
		for k := range s.m {
			e := (math.Abs(s.v[pair.I*s.m+k]-s.v[pair.J*s.m+k]) + (math.Abs(s.v[pair.I*s.m+k])+math.Abs(s.v[pair.J*s.m+k]))*
				float64(s.relV)*2*unit) * (1 + 4*unit)
			v += e * e
		}
		n := rootUp(v * loose)
		b.Spectral = append(b.Spectral, up(up(root*sigma)*n))
		b.Frobenius = append(b.Frobenius, up(up(root*frob)*n))
	}
	return b, nil
}

// norm returns an upper bound on ‖W‖₂: σ with diag(σ) − [[0, W], [Wᵀ, 0]] ⪰ 0.
func (l *dense) norm(p *Prover) (float64, error) {
	frob := l.frobenius()
	y, t := make([]float64, l.out), make([]float64, l.in)
	slackY, slackT := make([]float64, l.out), make([]float64, l.in)
	for i := range l.out {
		for j, w := range l.w[i*l.in : (i+1)*l.in] {
			slackY[i] += math.Abs(w) * float64(l.rel) * 2 * unit
			slackT[j] += math.Abs(w) * float64(l.rel) * 2 * unit
		}
	}
	sigma, err := repair(max(frob/16, 0x1p-300), 10, func(v float64) bool {
		for i := range y {
			y[i] = v
		}
		for i := range t {
			t[i] = v
		}
		return p.Bipartite(l.out, l.in, l.w, y, t, slackY, slackT)
	})
	return min(sigma, frob), err
}

// frobenius returns an upper bound on ‖W‖_F.
func (l *dense) frobenius() float64 { return rootUp(sumSquares(l.w) * (1 + gamma(2*l.rel+4))) }

// sumSquares returns an upper bound on Σx².
func sumSquares(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	return s*(1+gamma(len(x)+4)) + 0x1p-1000
}

// rootUp returns an upper bound on √x.
func rootUp(x float64) float64 { return up(math.Sqrt(x)) }
