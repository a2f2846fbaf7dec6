package main

import (
	"os"
	"runtime/pprof"
)

// profile starts a CPU profile into a file and returns what ends it; without a file both do nothing.
func profile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	w, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(w); err != nil {
		w.Close()
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		return w.Close()
	}, nil
}
