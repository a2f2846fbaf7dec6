package main

import (
	"testing"
	"time"
)

func TestSeconds(t *testing.T) {
	for _, c := range []struct {
		in   string
		want time.Duration
		ok   bool
	}{
		{"60", time.Minute, true}, {"0.5", 500 * time.Millisecond, true}, {"60s", time.Minute, true}, {"2m", 2 * time.Minute, true},
		{"1e3", 1000 * time.Second, true},
		{"0", 0, false}, {"-1", 0, false}, {"NaN", 0, false}, {"Inf", 0, false}, {"1e300", 0, false}, {"", 0, false}, {"soon", 0, false},
	} {
		var s seconds
		err := s.Set(c.in)
		if (err == nil) != c.ok || time.Duration(s) != c.want {
			t.Errorf("%q: %v, %v; want %v, ok %v", c.in, time.Duration(s), err, c.want, c.ok)
		}
	}
}

func TestByteSize(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"8GiB", 8 << 30, true}, {"500MB", 500e6, true}, {"1.5G", 3 << 29, true}, {"200", 200, true}, {"10 kb", 10000, true}, {"7b", 7, true},
		{"", 0, false}, {"GiB", 0, false}, {"-1", 0, false}, {"0", 0, false}, {"NaN", 0, false}, {"1e30", 0, false}, {"8 XiB", 0, false},
	} {
		var b byteSize
		err := b.Set(c.in)
		if (err == nil) != c.ok || int64(b) != c.want {
			t.Errorf("%q: %d, %v; want %d, ok %v", c.in, int64(b), err, c.want, c.ok)
		}
	}
}

// TestMargin: the time kept back is at least 0.5 s and 2 %, and never more than half of the limit.
func TestMargin(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{
		100 * time.Millisecond: 50 * time.Millisecond, time.Second: 500 * time.Millisecond, 10 * time.Second: 500 * time.Millisecond,
		100 * time.Second: 2 * time.Second,
	} {
		if got := margin(limit); got != want {
			t.Errorf("margin(%v) = %v, want %v", limit, got, want)
		}
	}
}

func TestSelfTest(t *testing.T) {
	for _, c := range selfTest() {
		if c.err != nil {
			t.Errorf("%s: %v", c.name, c.err)
		}
	}
}
