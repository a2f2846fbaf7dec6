//go:build purego || !amd64

package kernel

func detect() isa { return isaGo }

func panel[T Float](h, k int, a []T, as int, b []T, off int, idx []int32, ldb int, c []T, ldc, R int) {
	refTile(h, k, a, as, b, off, idx, ldb, c, ldc, R)
}

// The functions below return how many leading elements they handled: none, so that the reference loops do all.

func axpy[T Float](dst, x []T, f T) int                                                   { return 0 }
func absAxpy[T Float](dst, x []T, f T) int                                                { return 0 }
func signAxpy[T Float](dst, a []T, pos, neg T) int                                        { return 0 }
func gather4[T Float](dst []T, ld int, src []T, rs, d int) int                            { return 0 }
func dot[T Float](x, y []T) (sum T, done int)                                             { return 0, 0 }
func absDot[T Float](x, y []T) (sum T, done int)                                          { return 0, 0 }
func addRows[T Float](nu, a []T, idx []int32, R int) int                                  { return 0 }
func relaxSharedVec[T Float](nu, d, a, save []T, idx []int32, R int, slope, s, t []T) int { return 0 }
func relaxLanesVec[T Float](nu, d, a, save, slope []T, idx []int32, R int, s, t []T) int  { return 0 }
func relaxLinesVec[T Float](nu, d, m, a []T, R int, l Lines[T]) int                       { return 0 }
func sumRows[T Float](d, e, a []T, R int, b, S []T) int                                   { return 0 }
func primalSharedVec[T Float](v, z, a []T, idx []int32, R int, slope, s, t []T) int       { return 0 }
func primalLanesVec[T Float](v, z, a, slope []T, idx []int32, R int, s, t []T) int        { return 0 }
func primalLinesVec[T Float](v, z, a []T, R int, l Lines[T]) int                          { return 0 }
func adamRows[T Float](alpha, m, v, a, z []T, idx []int32, R int, par *[8]T) int          { return 0 }
func cornerRows[T Float](x, a []T, R int, lo, hi []T) int                                 { return 0 }
