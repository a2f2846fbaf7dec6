package defense

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/attacks/access"
)

// Noise adds Gaussian noise of standard deviation sigma to every input (as in Zantedeschi, Nicolae and Rawat, "Efficient defenses
// against adversarial attacks", 2017, at inference time). The gradient of one draw is that of a neighbour; EOT averages it out.
func Noise(n int, sigma float64) (access.Transform, error) {
	if n < 1 || !(sigma >= 0) || math.IsInf(sigma, 1) {
		return nil, fmt.Errorf("defense: Noise of deviation %v on %d inputs", sigma, n)
	}
	return &noise{n, sigma}, nil
}

type noise struct {
	n     int
	sigma float64
}

func (t *noise) Dims() (inputs, outputs int) { return t.n, t.n }

func (t *noise) Forward(dst, x []float64, draw uint64) {
	rng := random(draw)
	for i, v := range x {
		dst[i] = v + t.sigma*rng.NormFloat64()
	}
}

func (t *noise) Pull(dx, _, dy []float64, _ uint64) { copy(dx, dy) }
