//go:build unix

package main

import (
	"runtime"
	"syscall"
	"time"
)

// usage returns the processor time used so far and the peak of the resident memory in bytes.
func usage() (cpu time.Duration, peak int64) {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0, 0
	}
	peak = int64(r.Maxrss)
	if runtime.GOOS != "darwin" && runtime.GOOS != "ios" { // kibibytes everywhere else
		peak *= 1024
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), peak
}
