//go:build openblas

package kernel

import "github.com/spai-project/certify/internal/kernel/openblas"

func init() {
	peerName = openblas.Config()
	peer64, peer32 = openblas.Gemm[float64], openblas.Gemm[float32]
}
