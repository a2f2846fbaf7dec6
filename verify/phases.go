package verify

import (
	"context"
	"runtime/pprof"
	"sync"
	"time"
)

// The phases of a verification: keys of Stats.Phases and values of the profiler label "phase".
const (
	phaseLower      = "lower"       // lowering, restating and simplifying the network
	phaseAttack     = "attack"      // looking for counterexamples, confirming them included
	phaseScreen     = "screen"      // intervals of every box, and the first pass over many boxes
	phaseRoot       = "root bounds" // inner bounds of a whole box, and the rows' first bounds
	phaseAlpha      = "alpha"       // ascending the inner bounds of a whole box
	phaseInputSplit = "input split"
	phaseRefine     = "refine" // searching for the bounds of inner neurons one by one
	phaseReluSplit  = "relu split"
	phaseLift       = "semidefinite" // semidefinite bounds and the search on them
	phaseReluplex   = "reluplex"
	phaseSMT        = "smt"
	phaseConfirm    = "confirm" // confirming candidates that bounds came by
)

// A clock divides wall time among phases. The phase entered last has the time; but while goroutines confirm candidates, it is
// the confirmation's. So the seconds of all phases are disjoint, whatever runs side by side.
type clock struct {
	now     func() time.Time
	mu      sync.Mutex
	last    time.Time
	inside  []string // the phases entered and not left
	confirm int      // goroutines that confirm
	seconds map[string]float64
}

func newClock(now func() time.Time) *clock {
	return &clock{now: now, seconds: map[string]float64{}}
}

// charge gives the time since the last change to the present phase; c.mu is held.
func (c *clock) charge() {
	now := c.now()
	if n := len(c.inside); c.confirm > 0 {
		c.seconds[phaseConfirm] += now.Sub(c.last).Seconds()
	} else if n > 0 {
		c.seconds[c.inside[n-1]] += now.Sub(c.last).Seconds()
	}
	c.last = now
}

func (c *clock) enter(phase string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.charge()
	c.inside = append(c.inside, phase)
}

func (c *clock) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.charge()
	c.inside = c.inside[:len(c.inside)-1]
}

// confirming adds n to the number of goroutines that confirm.
func (c *clock) confirming(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.charge()
	c.confirm += n
}

// in runs f as a phase: its wall time is counted and CPU samples in it are labelled, also those of goroutines it starts. Only the
// goroutine that runs the verification may call it, and only while no other goroutine of it runs.
func (r *run) in(phase string, f func()) {
	outer := r.ctx
	r.clock.enter(phase)
	defer func() {
		r.ctx = outer
		r.clock.leave()
	}()
	pprof.Do(outer, pprof.Labels("phase", phase), func(ctx context.Context) {
		r.ctx = ctx // what is below sets labels of its own and must come back to these
		f()
	})
}

// confirming runs f as a confirmation; any goroutine may call it.
func (r *run) confirming(f func()) {
	r.clock.confirming(1)
	defer r.clock.confirming(-1)
	pprof.Do(r.ctx, pprof.Labels("phase", phaseConfirm), func(context.Context) { f() })
}
