package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spai-project/certify/verify/trace"
)

// progress returns the tracer of a --progress mode and what ends it. Auto is a moving line on a terminal, else nothing.
func (a *app) progress(mode string) (trace.Tracer, func(), error) {
	nothing := func() {}
	switch mode {
	case "auto":
		if a.quiet || !terminal(a.err) {
			return nil, nothing, nil
		}
		p := &liveLine{w: a.err, every: 200 * time.Millisecond, start: a.start, live: true}
		return p, p.end, nil
	case "plain":
		return &liveLine{w: a.err, every: 10 * time.Second, start: a.start}, nothing, nil
	case "json":
		return jsonEvents(a.err), nothing, nil
	case "none":
		return nil, nothing, nil
	}
	return nil, nil, usagef("", "--progress: %q is not one of auto, plain, json, none", mode)
}

// liveLine shows the latest event: rewritten in place on a terminal, else one line every now and then.
type liveLine struct {
	w     io.Writer
	every time.Duration
	start time.Time
	live  bool

	mu    sync.Mutex
	last  time.Time
	width int
}

// Trace implements trace.Tracer.
func (p *liveLine) Trace(e trace.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.last) < p.every {
		return
	}
	p.last = now
	s := p.text(e, now.Sub(p.start))
	if !p.live {
		fmt.Fprintln(p.w, s)
		return
	}
	pad := max(p.width-len(s), 0)
	p.width = len(s)
	fmt.Fprintf(p.w, "\r%s%s", s, strings.Repeat(" ", pad))
}

// end wipes the line.
func (p *liveLine) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.width))
	}
	p.width = 0
	p.last = time.Now().Add(time.Hour)
}

func (p *liveLine) text(e trace.Event, at time.Duration) string {
	s := fmt.Sprintf("%-7s %6.1fs", e.Phase, at.Seconds())
	if e.Bound != 0 && !math.IsInf(e.Bound, 0) {
		s += fmt.Sprintf("   bound %.4g", e.Bound)
	}
	if e.Volume > 0 {
		s += fmt.Sprintf("   proved %.1f %%", 100*e.Volume)
	}
	if e.Open+e.Closed > 0 {
		s += fmt.Sprintf("   open %d   closed %d   %.0f/s", e.Open, e.Closed, float64(e.Closed)/max(e.Time.Seconds(), 1e-3))
	}
	if e.Memory > 0 {
		s += "   mem " + formatBytes(e.Memory)
	}
	if e.Text != "" {
		s += "   " + e.Text
	}
	return s
}

// jsonEvents writes every event as one JSON line.
func jsonEvents(w io.Writer) trace.Tracer {
	var mu sync.Mutex
	enc := json.NewEncoder(w)
	return trace.Func(func(e trace.Event) {
		if math.IsInf(e.Bound, 0) || math.IsNaN(e.Bound) {
			e.Bound = 0
		}
		mu.Lock()
		defer mu.Unlock()
		_ = enc.Encode(struct { // progress is best effort: a closed pipe must not end the search
			T      float64 `json:"t"`
			Phase  string  `json:"phase"`
			Text   string  `json:"text,omitempty"`
			Bound  float64 `json:"bound,omitempty"`
			Open   int     `json:"open"`
			Closed int     `json:"closed"`
			Volume float64 `json:"volume"`
			Memory int64   `json:"memory"`
		}{e.Time.Seconds(), e.Phase, e.Text, e.Bound, e.Open, e.Closed, e.Volume, e.Memory})
	})
}

// terminal reports whether w is a character device other than the null device.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(st, null)
}
