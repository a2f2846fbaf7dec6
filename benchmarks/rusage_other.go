//go:build !unix

package benchmarks

import "os"

// peak is not available on this system.
func peak(*os.ProcessState) int64 { return 0 }
