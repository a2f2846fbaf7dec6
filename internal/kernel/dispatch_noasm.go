//go:build purego || !amd64

package kernel

func detect() isa { return isaGo }

func panel(h, k int, a []float64, as int, b []float64, off int, idx []int32, ldb int, c []float64, ldc, R int) {
	refTile(h, k, a, as, b, off, idx, ldb, c, ldc, R)
}

// The functions below return how many leading elements they handled: none, so that the reference loops do all.

func axpy(n int, dst, x []float64, f float64) int                        { return 0 }
func absAxpy(n int, dst, x []float64, f float64) int                     { return 0 }
func signAxpy(n int, dst, a []float64, pos, neg float64) int             { return 0 }
func relax(n int, nu, d, e, a []float64, alpha, slope, t, S float64) int { return 0 }
func relaxLanes(n int, nu, d, e, a, alpha, slope, t, S []float64) int    { return 0 }
func dot(n int, x, y []float64) (sum float64, done int)                  { return 0, 0 }
func absDot(n int, x, y []float64) (sum float64, done int)               { return 0, 0 }
