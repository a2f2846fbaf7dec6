//go:build openblas

// Package openblas calls OpenBLAS with one thread, for the comparison in the benchmarks of internal/kernel. It needs cgo and
// the library, so it exists only under the build tag openblas; nothing but those benchmarks may import it. It is a package of
// its own because a package with Go assembly cannot use cgo.
package openblas

/*
#cgo LDFLAGS: -lopenblas
#include <stdlib.h>

enum { rowMajor = 101, noTrans = 111, trans = 112 };
void cblas_sgemm(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
void cblas_dgemm(int, int, int, int, int, int, double, const double*, int, const double*, int, double, double*, int);
void openblas_set_num_threads(int);
char *openblas_get_config(void);
char *openblas_get_corename(void);

// The loops are in C, so that the price of a call from Go is not OpenBLAS's.
static void sgemmLoop(int count, int tb, int m, int n, int k, const float *a, const float *b, int ldb, float *c) {
	for (int i = 0; i < count; i++)
		cblas_sgemm(rowMajor, noTrans, tb ? trans : noTrans, m, n, k, 1, a, k, b, ldb, 1, c, n);
}
static void dgemmLoop(int count, int tb, int m, int n, int k, const double *a, const double *b, int ldb, double *c) {
	for (int i = 0; i < count; i++)
		cblas_dgemm(rowMajor, noTrans, tb ? trans : noTrans, m, n, k, 1, a, k, b, ldb, 1, c, n);
}
*/
import "C"

import "unsafe"

func init() { C.openblas_set_num_threads(1) }

// Config returns the version and the kernels in use.
func Config() string {
	return C.GoString(C.openblas_get_config()) + " " + C.GoString(C.openblas_get_corename())
}

// Gemm computes C[m×n] += A[m×k]·B count times, all row-major; B is k×n, or n×k transposed if transB is set.
func Gemm[T float32 | float64](count int, transB bool, m, n, k int, a, b, c []T) {
	tb, ldb := C.int(0), n
	if transB {
		tb, ldb = 1, k
	}
	pa, pb, pc := unsafe.Pointer(&a[0]), unsafe.Pointer(&b[0]), unsafe.Pointer(&c[0])
	if unsafe.Sizeof(a[0]) == 4 {
		C.sgemmLoop(C.int(count), tb, C.int(m), C.int(n), C.int(k), (*C.float)(pa), (*C.float)(pb), C.int(ldb), (*C.float)(pc))
		return
	}
	C.dgemmLoop(C.int(count), tb, C.int(m), C.int(n), C.int(k), (*C.double)(pa), (*C.double)(pb), C.int(ldb), (*C.double)(pc))
}
