package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spai-project/certify/verify/robust"
)

// evalSchema names the object of `certify eval --json`.
const evalSchema = "certify.evalsummary/1"

// encodeEval writes what was run and the counts as one object.
func encodeEval(w io.Writer, h *robust.Header, rows []robust.Row) error {
	type row struct {
		robust.Row
		EpsText           string   `json:"eps_text"`
		CleanErrors       int      `json:"clean_errors"`
		NotCertified      *int     `json:"not_certified"` // clean errors included; null: not attempted
		CleanAccuracy     float64  `json:"clean_accuracy"`
		AttackedAccuracy  float64  `json:"attacked_accuracy"`
		CertifiedAccuracy *float64 `json:"certified_accuracy"` // null: not attempted
	}
	o := struct {
		Schema string         `json:"schema"`
		Run    *robust.Header `json:"run"`
		Rows   []row          `json:"rows"`
	}{evalSchema, h, nil}
	for k, r := range rows {
		x := row{Row: r, EpsText: epsText(h, k, r.Eps), CleanErrors: r.Items - r.Clean, CleanAccuracy: r.CleanAccuracy(),
			AttackedAccuracy: r.Attacked()}
		if h.Proves() {
			c, n := r.CertifiedAccuracy(), r.Items-r.Certified
			x.CertifiedAccuracy, x.NotCertified = &c, &n
		}
		o.Rows = append(o.Rows, x)
	}
	return json.NewEncoder(w).Encode(o)
}

// An evalTally counts finished items for the progress line.
type evalTally struct {
	total, before int
	records       []*robust.Record
	start         time.Time
	show          func(*evalTally)
}

func newEvalTally(total int, show func(*evalTally)) *evalTally {
	return &evalTally{total: total, start: time.Now(), show: show}
}

func (t *evalTally) earlier(r []*robust.Record) {
	t.records, t.before = append(t.records, r...), len(r)
}

func (t *evalTally) done(r *robust.Record) {
	t.records = append(t.records, r)
	t.show(t)
}

// rate is the number of items a second, and left the time for the rest at that rate.
func (t *evalTally) rate() (rate float64, left time.Duration) {
	n := len(t.records) - t.before
	rate = float64(n) / max(time.Since(t.start).Seconds(), 1e-3)
	return rate, time.Duration(float64(t.total-len(t.records)) / max(rate, 1e-9) * 1e9)
}

// text is the progress line: numbers of the largest radius, where least is certified.
func (t *evalTally) text() string {
	rows := robust.Summary(t.records)
	last := &rows[len(rows)-1]
	rate, left := t.rate()
	return fmt.Sprintf("%d/%d   clean %s   at ε %.4g: attacked %s   certified %s   undecided %d   %.3g/s   ~%s left",
		len(t.records), t.total,
		percent(last.Clean, last.Items), last.Eps, percent(last.Items-last.Broken, last.Items), percent(last.Certified, last.Items),
		last.Undecided, rate, left.Round(time.Second))
}

// evalProgress returns what shows the progress of a run in a --progress mode, and what ends it.
func (a *app) evalProgress(mode string) (show func(*evalTally), end func(), err error) {
	nothing := func() {}
	live := terminal(a.err) && !a.quiet
	var last time.Time
	due := func(every time.Duration) bool {
		if time.Since(last) < every {
			return false
		}
		last = time.Now()
		return true
	}
	switch mode {
	case "auto":
		if !live {
			return func(*evalTally) {}, nothing, nil
		}
		width := 0
		return func(t *evalTally) {
				if due(100*time.Millisecond) || len(t.records) == t.total {
					s := t.text()
					fmt.Fprintf(a.err, "\r%s%s", s, strings.Repeat(" ", max(0, width-len(s))))
					width = len(s)
				}
			}, func() {
				if width > 0 {
					fmt.Fprintf(a.err, "\r%s\r", strings.Repeat(" ", width))
				}
			}, nil
	case "plain":
		last = time.Now()
		return func(t *evalTally) {
			if due(10*time.Second) || len(t.records) == t.total {
				fmt.Fprintln(a.err, t.text())
			}
		}, nothing, nil
	case "json":
		enc := json.NewEncoder(a.err)
		return func(t *evalTally) {
			rate, left := t.rate()
			_ = enc.Encode(struct { // progress is best effort: a closed pipe must not end the run
				T     float64      `json:"t"`
				Done  int          `json:"done"`
				Total int          `json:"total"`
				Rate  float64      `json:"rate"`
				Left  float64      `json:"left"`
				Rows  []robust.Row `json:"rows"`
			}{time.Since(a.start).Seconds(), len(t.records), t.total, rate, left.Seconds(), robust.Summary(t.records)})
		}, nothing, nil
	case "none":
		return func(*evalTally) {}, nothing, nil
	}
	return nil, nil, usagef("", "--progress: %q is not one of auto, plain, json, none", mode)
}
