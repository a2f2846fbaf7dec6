package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/kernel"
	"github.com/spai-project/certify/verify/prove"
	"github.com/spai-project/certify/verify/report"
	"github.com/spai-project/certify/verify/trace"
)

// The values of --check.
const (
	checkAuto   = "auto"
	checkAlways = "always"
	checkNever  = "never"
)

// autoShare is the part of the time spent so far that --check auto may take.
const autoShare = 0.2

// checks reports whether the kernel is to check an answer, and whether it was asked for in so many words.
func (j *job) checks() (wanted, asked bool) {
	asked = j.check == checkAlways || j.proof != ""
	return asked || j.check == checkAuto, asked
}

// A decision is an answer that the kernel is yet to check. It stands, unchecked, if that takes longer than until (zero: it may).
type decision struct {
	run   *report.Run
	until time.Time
}

// check has the kernel check the answer: the witness of sat, or a certificate of unsat, which is made first. Without --check
// always an answer that the kernel does not accept, or not in time, stays what it is, unchecked.
func (a *app) check(ctx context.Context, j *job, full *prog.Program, r *report.Run) {
	if wanted, _ := j.checks(); !wanted || r.Result.Verdict != verify.Holds && r.Result.Verdict != verify.Violated {
		return
	}
	cpu, peak := usage()
	r.Decided = &report.Usage{Wall: time.Since(a.start), CPU: cpu, PeakRSS: peak}
	soft, hard := a.allowance(j)
	j.decided <- decision{snapshot(r), hard}
	if !soft.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, soft)
		defer cancel()
	}
	start := time.Now()
	err := a.convince(ctx, j, full, r)
	r.Result.Stats.Wall += time.Since(start)
	if r.Result.Checked = err == nil; err != nil {
		j.unchecked(r, explainUnchecked(ctx, err))
	}
}

// snapshot copies what the check goes on to change.
func snapshot(r *report.Run) *report.Run {
	c, res := *r, *r.Result
	res.Stats.Phases = maps.Clone(res.Stats.Phases)
	c.Result = &res
	return &c
}

// unchecked makes r an answer that the kernel did not accept.
func (j *job) unchecked(r *report.Run, why string) {
	r.Unchecked, r.Certificate = why, nil
	if j.check == checkAlways {
		r.Result.Verdict, r.Result.Witness, r.Result.Reason = verify.Unknown, nil, "the answer was not checked: "+why
	}
}

// allowance returns when the check of an answer that is there now is told to stop, and when it is not waited for any longer; zero
// times are none.
func (a *app) allowance(j *job) (soft, hard time.Time) {
	now := time.Now()
	_, asked := j.checks()
	if asked && j.proofLimit > 0 {
		return now.Add(j.proofLimit - margin(j.proofLimit)), now.Add(j.proofLimit - margin(j.proofLimit)/2)
	}
	if j.limit > 0 {
		soft, hard = a.start.Add(j.limit-margin(j.limit)), a.start.Add(j.limit-margin(j.limit)/2)
	}
	if end := now.Add(time.Duration(autoShare * float64(now.Sub(a.start)))); !asked && (hard.IsZero() || end.Before(hard)) {
		soft, hard = end, end
	}
	return soft, hard
}

// overdue says why an answer is not checked when the time for that is over.
func (j *job) overdue() string {
	if _, asked := j.checks(); !asked {
		return "no proof within a fifth of the time spent; --check always takes the time it needs"
	}
	return "the time for a proof is over; give a longer --timeout or --proof-timeout"
}

// explainUnchecked says why an answer is not checked.
func explainUnchecked(ctx context.Context, err error) string {
	var sig *interrupt
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &sig):
		return "interrupted"
	case errors.Is(cause, errMemory):
		return "the memory budget is used up: try a larger --memory"
	}
	return err.Error()
}

// convince returns nil if the kernel accepts the answer, and sets r.Certificate where that is unsat.
func (a *app) convince(ctx context.Context, j *job, full *prog.Program, r *report.Run) error {
	k, err := openKernel(j, r)
	if err != nil {
		return err
	}
	if r.Result.Verdict == verify.Violated {
		var b bytes.Buffer
		if err := report.Strict(&b, r); err != nil {
			return err
		}
		v := k.Check(b.Bytes())
		r.Result.Stats.Phases["check"] = v.Time.Seconds()
		if !v.Accepted { // so may a point outside the box, where that holds no float32 number
			return errors.New("the kernel refuses the witness: " + v.Reason)
		}
		return nil
	}
	quiet := a.showProof(j, "making a certificate")
	start := time.Now()
	p, err := prove.Unsat(ctx, k, full, r.Problem, prove.Options{Workers: j.opt.Workers, Memory: j.opt.Memory})
	made := time.Since(start)
	quiet()
	r.Result.Stats.Phases["proof"] = made.Seconds()
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New(j.overdue())
	} else if err != nil {
		return err
	}
	data := p.Encode()
	quiet = a.showProof(j, "checking a certificate of "+formatBytes(int64(len(data))))
	v := k.Check(data)
	quiet()
	r.Result.Stats.Phases["check"] = v.Time.Seconds()
	r.Certificate = &report.Certificate{Data: data, Leaves: v.Leaves, Make: made, Check: v.Time}
	if !v.Accepted {
		return errors.New("the kernel refuses the certificate, a defect of certify, please report it: " + v.Reason)
	}
	return nil
}

// openKernel has the kernel read both files anew.
func openKernel(j *job, r *report.Run) (*kernel.Problem, error) {
	var files [2][]byte
	for i, path := range []string{j.model, j.query} {
		var err error
		if files[i], err = kernel.ReadFile(path); err != nil {
			return nil, err
		}
	}
	k, err := kernel.Open(files[0], files[1])
	if err != nil {
		return nil, fmt.Errorf("the kernel cannot read this: %w; docs/design/0009-certificates.md says what it reads", err)
	}
	model, query := k.Hashes()
	if hex.EncodeToString(model[:]) != r.Model.SHA256 || hex.EncodeToString(query[:]) != r.Query.SHA256 {
		return nil, errors.New("the files changed since they were read; run this again")
	}
	if j.opt.Semantics != verify.Real { // bounds of binary32 executions hold for exact ones too
		k.Semantics = 1
	}
	return k, nil
}

// showProof reports every now and then that a proof is worked on until the returned function is called.
func (a *app) showProof(j *job, text string) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(200 * time.Millisecond)
		defer t.Stop()
		for {
			j.opt.Trace.Trace(trace.Event{Time: time.Since(a.start), Phase: "proof", Text: text, Memory: inUse()})
			select {
			case <-t.C:
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}
