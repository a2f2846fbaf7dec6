package main

import (
	"context"
	"errors"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// errMemory is the cause of a cancellation because the memory budget is used up.
var errMemory = errors.New("memory budget reached")

const heapObjects = "/memory/classes/heap/objects:bytes"

// inUse returns the bytes of the heap in objects, dead ones included that are not swept yet. Near the memory limit the
// collector runs all the time, so there it is close to what is alive.
func inUse() int64 {
	s := []metrics.Sample{{Name: heapObjects}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

// guardMemory makes the collector respect the budget and cancels the context when the heap outgrows it all the same; the
// search keeps its own account and normally stops before. A budget of 0 leaves everything as it is.
func (a *app) guardMemory(ctx context.Context, budget int64) (context.Context, func()) {
	if budget <= 0 {
		return ctx, func() {}
	}
	old := debug.SetMemoryLimit(budget * 9 / 10)
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		t := time.NewTicker(5 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				if inUse() > budget*95/100 {
					cancel(errMemory)
					return
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() { close(done); cancel(nil); debug.SetMemoryLimit(old) }
}

// remaining returns what the budget leaves for the search after the model and the query were read.
func remaining(budget int64) (int64, error) {
	left := budget*9/10 - inUse()
	if left < budget/10 {
		return 0, tooLarge(budget)
	}
	return left, nil
}

// tooLarge is the failure of a budget that reading the model and the query exceeds.
func tooLarge(budget int64) error {
	return &failure{code: exitResources, kind: "memory", msg: "the model alone uses up the memory budget of " + formatBytes(budget),
		hint: "give a larger --memory"}
}
