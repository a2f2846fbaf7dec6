package sdp

import "math"

// Baselines are bounds that Raghunathan et al. 2018 compare with: on the change of a pair's difference for each unit of ε.
type Baselines struct {
	Spectral  []float64 // √d·‖W‖₂·‖v‖₂ for each of the certificate's pairs
	Frobenius []float64 // √d·‖W‖_F·‖v‖₂
}

// Baselines returns upper bounds for every pair, in the order of Pairs. ‖W‖₂ ≤ σ is proved as a matrix is in Prover.Bipartite.
func (c *Certificate) Baselines() (*Baselines, error) {
	s := c.net
	frob := rootUp(sumSquares(s.w) * (1 + gamma(2*s.relW+4)))
	var p Prover
	y, t := make([]float64, s.m), make([]float64, s.d)
	slackY, slackT := make([]float64, s.m), make([]float64, s.d)
	for k := range s.m {
		for l, w := range s.w[k*s.d : (k+1)*s.d] {
			slackY[k] += math.Abs(w) * float64(s.relW) * 2 * unit
			slackT[l] += math.Abs(w) * float64(s.relW) * 2 * unit
		}
	}
	sigma, err := repair(max(frob/16, 0x1p-400), 8, func(v float64) bool {
		for i := range y {
			y[i] = v
		}
		for i := range t {
			t[i] = v
		}
		return p.Bipartite(s.m, s.d, s.w, y, t, slackY, slackT)
	})
	if err != nil {
		return nil, err
	}
	sigma = min(sigma, frob) // ‖W‖₂ ≤ ‖W‖_F
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
