package defense

import (
	"fmt"
	"math"

	"github.com/spai-project/certify/attacks/access"
)

// BitDepth rounds every value in [0, 1] to bits bits (Xu, Evans and Qi, "Feature squeezing: detecting adversarial examples in
// deep neural networks", 2018; Guo et al., "Countering adversarial images using input transformations", 2018). Its derivative is
// zero almost everywhere: gradients are shattered, and the identity on the way back restores them.
func BitDepth(n, bits int) (access.Transform, error) {
	if n < 1 || bits < 1 || bits > 16 {
		return nil, fmt.Errorf("defense: BitDepth of %d inputs to %d bits: want 1 to 16", n, bits)
	}
	return &bitDepth{n, float64(int(1)<<bits - 1)}, nil
}

type bitDepth struct {
	n    int
	most float64
}

func (t *bitDepth) Dims() (inputs, outputs int) { return t.n, t.n }

func (t *bitDepth) Forward(dst, x []float64, _ uint64) {
	for i, v := range x {
		dst[i] = math.Floor(min(max(v, 0), 1)*t.most+0.5) / t.most
	}
}

func (t *bitDepth) Pull(dx, _, _ []float64, _ uint64) { clear(dx) }
