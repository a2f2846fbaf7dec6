package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"
)

// A tick says how far a task is: its name, a note that may change, what else goes into JSON, and the parts done.
type tick func(task, note string, fields map[string]any, done, total int)

// ticker returns what shows the progress of countable work in a --progress mode, and what ends it.
func (a *app) ticker(mode string) (tick, func(), error) {
	live := mode == "auto" && terminal(a.err) && !a.quiet
	enc := json.NewEncoder(a.err)
	last, width, current, start := time.Now(), 0, "", time.Now()
	lock := make(chan struct{}, 1)
	show := func(task, note string, fields map[string]any, done, total int) {
		lock <- struct{}{}
		defer func() { <-lock }()
		if task != current {
			current, start = task, time.Now()
		}
		every := 10 * time.Second
		if live {
			every = 100 * time.Millisecond
		}
		if time.Since(last) < every && done < total {
			return
		}
		last = time.Now()
		left := time.Duration(float64(time.Since(start)) / float64(done) * float64(total-done)).Round(time.Second)
		text := fmt.Sprintf("%s: %d/%d   ~%v left%s", task, done, total, left, note)
		switch {
		case live:
			fmt.Fprintf(a.err, "\r%s%s", text, strings.Repeat(" ", max(0, width-len(text))))
			width = len(text)
		case mode == "plain":
			fmt.Fprintln(a.err, text)
		case mode == "json":
			object := map[string]any{"done": done, "total": total, "left": left.Seconds()}
			maps.Copy(object, fields)
			_ = enc.Encode(object)
		}
	}
	end := func() {
		if live && width > 0 {
			fmt.Fprintf(a.err, "\r%s\r", strings.Repeat(" ", width))
		}
	}
	switch mode {
	case "auto", "plain", "json", "none":
		return show, end, nil
	}
	return nil, nil, usagef("", "--progress: %q is not one of auto, plain, json, none", mode)
}
