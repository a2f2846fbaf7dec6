package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/report"
	"github.com/spai-project/certify/verify/trace"
)

// A job is one verification as the command line asked for it.
type job struct {
	model, query string
	limit        time.Duration // 0: none; counted from the start of the process
	memory       int64         // 0: no budget of ours
	opt          verify.Options
	// realGiven: --semantics real was typed, so a query over float32 may be answered over the reals.
	realGiven    bool
	allowVacuous bool
	proof        string        // file for the certificate of unsat, "" for none
	check        string        // auto, always or never; "" is never
	proofLimit   time.Duration // of making and checking a proof that was asked for, 0: what limit leaves
	showWarnings func(format string, args ...any)
	// decided takes the answer as the search gave it, before the kernel checks it.
	decided chan decision
	// loaded is set once both files are read within the budget: before that there is nothing to answer from.
	loaded atomic.Bool
}

// An interrupt is the cause of a cancellation by a signal.
type interrupt struct{ sig os.Signal }

func (i *interrupt) Error() string { return i.sig.String() }

// code returns the exit status the signal has by convention.
func (i *interrupt) code() int {
	if i.sig == syscall.SIGTERM {
		return exitTerminated
	}
	return exitInterrupted
}

// margin is how long before a limit the search is told to stop: the time to unwind and to write the answer.
func margin(limit time.Duration) time.Duration {
	return min(max(500*time.Millisecond, limit/50), limit/2)
}

// signals cancels the context when the user or the system asks to stop. A second signal kills as usual.
func signals(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-ch:
			signal.Stop(ch)
			cancel(&interrupt{s})
		case <-done:
		}
	}()
	var once sync.Once
	return ctx, func() { once.Do(func() { signal.Stop(ch); close(done); cancel(nil) }) }
}

// answer is what the working goroutine hands back.
type answer struct {
	run *report.Run
	err error
}

// decide reads the files and verifies. The answer is there before the limit even when the search does not stop: then it
// is timed-out, and the abandoned goroutine dies with the process. The interrupt, if one came, is returned beside it.
func (a *app) decide(ctx context.Context, j *job) (*report.Run, *interrupt, error) {
	ctx, stop := signals(ctx)
	defer stop()
	ctx, freed := a.guardMemory(ctx, j.memory)
	defer freed()
	last := &lastSeen{next: j.opt.Trace, bound: math.Inf(-1)}
	j.opt.Trace, j.decided = last, make(chan decision, 1)
	ch := make(chan answer, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				ch <- answer{nil, &failure{code: exitInternal, kind: "internal", msg: fmt.Sprint(p), detail: []string{string(debug.Stack())},
					hint: "this is a defect of certify: please report it with the command line and the output of `certify doctor`"}}
			}
		}()
		r, err := a.work(ctx, j)
		ch <- answer{r, err}
	}()
	ans := a.await(ctx, j, ch, last)
	var sig *interrupt
	errors.As(context.Cause(ctx), &sig)
	if ans.err != nil {
		return nil, sig, ans.err
	}
	if errors.Is(context.Cause(ctx), errMemory) && ans.run.Result.Verdict == verify.Unknown && ans.run.Unchecked == "" {
		ans.run.Result.Reason = "memory"
	}
	ans.run.Wall = time.Since(a.start)
	ans.run.CPU, ans.run.PeakRSS = usage()
	return ans.run, sig, nil
}

// await waits for the answer, but not beyond the limit, and not long after a cancellation. Nor does it wait for the kernel beyond
// the time that has: then the answer is what the search gave.
func (a *app) await(ctx context.Context, j *job, ch <-chan answer, last *lastSeen) answer {
	var late, gone <-chan time.Time
	if j.limit > 0 {
		late = time.After(time.Until(a.start.Add(j.limit - margin(j.limit)/2)))
	}
	cancelled := ctx.Done()
	var found *report.Run // by the search
	unchecked := func(why string) answer {
		j.unchecked(found, why)
		return answer{run: found}
	}
	for {
		select {
		case ans := <-ch:
			return ans
		case d := <-j.decided:
			found, late = d.run, nil
			if !d.until.IsZero() {
				late = time.After(time.Until(d.until))
			}
		case <-cancelled:
			grace := 2 * time.Second
			if errors.Is(context.Cause(ctx), errMemory) {
				grace = 100 * time.Millisecond // it would grow on
			}
			cancelled, gone = nil, time.After(grace)
		case <-late:
			if found != nil {
				return unchecked(j.overdue())
			}
			return answer{run: j.abandoned(verify.Timeout, "the limit came before the search stopped", last)}
		case <-gone:
			if found != nil {
				return unchecked(explainUnchecked(ctx, context.Cause(ctx)))
			}
			reason := "interrupted"
			if errors.Is(context.Cause(ctx), errMemory) {
				if !j.loaded.Load() {
					return answer{err: tooLarge(j.memory)}
				}
				reason = "memory"
			}
			return answer{run: j.abandoned(verify.Unknown, reason, last)}
		}
	}
}

// abandoned makes the answer of a search that did not come back.
func (j *job) abandoned(v verify.Verdict, reason string, last *lastSeen) *report.Run {
	r := &verify.Result{Verdict: v, Reason: reason}
	r.Margin, r.Stats.Volume = last.get()
	return &report.Run{Model: report.File{Path: j.model}, Query: report.File{Path: j.query}, Semantics: j.opt.Semantics.String(),
		Seed: j.opt.Seed, Tool: tool(), Result: r}
}

// sparedParams is the number of weights from which the memory of the file and of the graph is collected before the search, which
// then works in it: first touches of fresh memory cost more than the collection.
const sparedParams = 1 << 20

// work reads both files, checks what can be refused without a search, and searches.
func (a *app) work(ctx context.Context, j *job) (*report.Run, error) {
	g, p, err := j.read()
	if err != nil {
		return nil, err
	}
	load := time.Since(a.start)
	if j.limit > 0 {
		j.opt.Timeout = max(j.limit-margin(j.limit)-load, time.Millisecond)
	}
	if j.memory > 0 {
		if j.opt.Memory, err = remaining(j.memory); err != nil {
			return nil, err
		}
	}
	j.loaded.Store(true)
	params, hash := int(g.Params), g.Hash
	lowering := time.Now()
	full, res, err := verify.Lower(g, j.opt.Semantics)
	if err != nil {
		return nil, modelError(j.model, err)
	}
	lowered := time.Since(lowering)
	if g = nil; params > sparedParams {
		runtime.GC()
	}
	if res == nil {
		if res, err = verify.Program(ctx, full, p, j.opt); err != nil {
			return nil, modelError(j.model, err)
		}
	}
	res.Stats.Params = params
	res.Stats.Phases["read"] = load.Seconds()
	res.Stats.Phases["lower"] += lowered.Seconds()
	res.Stats.Wall += lowered
	r := &report.Run{Model: report.File{Path: j.model, SHA256: hash}, Query: report.File{Path: j.query, SHA256: p.Hash},
		Semantics: j.opt.Semantics.String(), Problem: p, Result: res, Load: load, Seed: j.opt.Seed, Tool: tool()}
	a.check(ctx, j, full, r)
	return r, nil
}

// read loads model and query and refuses what must not be answered.
func (j *job) read() (*nn.Graph, *spec.Problem, error) {
	g, err := loadModel(j.model)
	if err != nil {
		return nil, nil, err
	}
	p, err := loadQuery(j.query, g)
	if err != nil {
		return nil, nil, err
	}
	if err := j.refuse(p); err != nil {
		return nil, nil, err
	}
	return g, p, nil
}

// lastSeen remembers the best bound and the last proved fraction seen, for answers given without the search's own result.
type lastSeen struct {
	next          trace.Tracer
	mu            sync.Mutex
	bound, volume float64
}

// Trace implements trace.Tracer. Events of phases without a global bound, or without a search, carry zero and are not remembered.
func (l *lastSeen) Trace(e trace.Event) {
	l.mu.Lock()
	if e.Bound != 0 {
		l.bound = max(l.bound, e.Bound)
	}
	if e.Volume != 0 {
		l.volume = e.Volume
	}
	l.mu.Unlock()
	if l.next != nil {
		l.next.Trace(e)
	}
}

func (l *lastSeen) get() (bound, volume float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bound, l.volume
}
