package verify

import (
	"maps"
	"testing"
	"time"
)

// TestClock: the phase entered last has the time, except while something is confirmed, by however many.
func TestClock(t *testing.T) {
	at := time.Unix(1000, 0)
	c := newClock(func() time.Time { return at })
	after := func(s int, f func()) {
		at = at.Add(time.Duration(s) * time.Second)
		f()
	}
	confirming := func(n int) func() { return func() { c.confirming(n) } }
	after(0, func() { c.enter("search") })
	after(1, confirming(1)) // search: 1
	after(2, confirming(1))
	after(4, confirming(-1))
	after(8, confirming(-1)) // confirm: 14, though two took 18
	after(16, func() { c.enter("attack") })
	after(32, c.leave)                      // attack: 32
	after(64, c.leave)                      // search: 1+16+64
	after(128, func() { c.enter("again") }) // nobody's
	after(256, c.leave)
	want := map[string]float64{"search": 81, "confirm": 14, "attack": 32, "again": 256}
	if !maps.Equal(c.seconds, want) {
		t.Errorf("seconds = %v, want %v", c.seconds, want)
	}
}
