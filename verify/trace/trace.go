// Package trace carries typed progress events from the engines to whoever shows them.
package trace

import "time"

// An Event is one observation of a running verification. Fields that do not apply are zero.
type Event struct {
	Time   time.Duration // since Verify was called
	Phase  string        // "load", "attack", "bounds", "bab", "leaf", "done"
	Text   string        // a short human sentence, may be empty
	Bound  float64       // best global lower bound on the margin so far (> 0 means proved)
	Open   int           // open branches
	Closed int           // closed branches
	Volume float64       // fraction of the input set (or of the tree) proved, 0..1
	Memory int64         // bytes in use
}

// A Tracer receives events; it must be quick and safe for concurrent use.
type Tracer interface{ Trace(Event) }

// Func makes a Tracer of a function.
type Func func(Event)

// Trace implements Tracer.
func (f Func) Trace(e Event) { f(e) }
