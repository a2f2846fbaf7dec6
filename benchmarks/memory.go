package benchmarks

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// watchMemory kills a process whose resident memory exceeds its budget by more than a quarter, where the system shows it
// (/proc). The function it returns ends the watch and reports whether the process was killed. A budget of 0 watches nothing.
func watchMemory(p *os.Process, budget int64) (over func() bool) {
	if budget <= 0 {
		return func() bool { return false }
	}
	var killed atomic.Bool
	done := make(chan struct{})
	go func() {
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				if resident(p.Pid) > budget+budget/4 {
					killed.Store(true)
					_ = p.Kill() // it may have ended by itself
					return
				}
			}
		}
	}()
	return func() bool { close(done); return killed.Load() }
}

// resident returns the resident bytes of a process, 0 where unknown.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
