package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A seconds value is a duration flag that also takes a bare number of seconds, as the VNN-LIB standard writes it.
type seconds time.Duration

func (s *seconds) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

// seconds returns the value as a number.
func (s seconds) seconds() float64 { return time.Duration(s).Seconds() }

func (s *seconds) Type() string { return "time" }

// Set parses 60, 0.5, 60s or 2m; the value must be positive.
func (s *seconds) Set(v string) error {
	d, err := parseSeconds(v)
	if err == nil {
		*s = seconds(d)
	}
	return err
}

func parseSeconds(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if f, ferr := strconv.ParseFloat(v, 64); ferr == nil {
		d, err = time.Duration(math.Round(f*1e9)), nil
		if !(f < 1e9) {
			return 0, fmt.Errorf("%q is too long", v)
		}
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a positive time: write 60, 60s or 2m", v)
	}
	return d, nil
}

// A byteSize value is a memory size flag.
type byteSize int64

func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	return formatBytes(int64(*b))
}
func (b *byteSize) Type() string { return "size" }

var byteUnits = []struct {
	suffix string
	factor float64
}{ // longest first
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"t", 1 << 40}, {"b", 1}, {"", 1},
}

// Set parses 8GiB, 500MB, 1.5G or a plain number of bytes.
func (b *byteSize) Set(v string) error {
	low := strings.ToLower(strings.TrimSpace(v))
	for _, u := range byteUnits {
		num, ok := strings.CutSuffix(low, u.suffix)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil || !(f > 0) || f*u.factor > 1<<60 {
			break
		}
		*b = byteSize(f * u.factor)
		return nil
	}
	return fmt.Errorf("%q is not a memory size: write 8GiB, 500MB or a number of bytes", v)
}

// formatBytes writes a size with a binary unit.
func formatBytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
