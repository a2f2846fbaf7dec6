package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/kernel"
	"github.com/spai-project/certify/verify/prove"
	"github.com/spai-project/certify/verify/report"
)

// The values of --check.
const (
	checkAuto   = "auto"
	checkAlways = "always"
	checkNever  = "never"
)

// autoShare is the part of the time spent so far that --check auto may take.
const autoShare = 0.2

// check has the kernel check the answer: the witness of sat, or a proof of unsat, which is made first, and written to j.proof if
// that is set. Without --check always an answer without a proof stays what it is, unchecked.
func (a *app) check(ctx context.Context, j *job, full *prog.Program, r *report.Run) error {
	res := r.Result
	if (j.check == checkNever || j.check == "") && j.proof == "" || res.Verdict != verify.Holds && res.Verdict != verify.Violated {
		return nil
	}
	start := time.Now()
	limit := time.Duration(float64(time.Since(a.start)) * autoShare)
	if must := j.check == checkAlways || j.proof != ""; must {
		limit = time.Hour * 1e4
		if j.limit > 0 {
			limit = max(j.limit-margin(j.limit)-time.Since(a.start), time.Millisecond)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	data, why := a.checked(ctx, j, full, r)
	res.Stats.Phases["check"] = time.Since(start).Seconds()
	res.Stats.Wall += time.Since(start)
	res.Checked = why == nil
	if why == nil {
		if j.proof != "" && data != nil {
			return writeAtomic(j.proof, func(w *os.File) error { _, err := w.Write(data); return err })
		}
		return nil
	}
	if j.check == checkAlways {
		res.Verdict, res.Witness, res.Reason = verify.Unknown, nil, "not checked: "+why.Error()
	}
	if j.check == checkAlways || j.proof != "" {
		j.showWarnings("warning[unchecked]: %v", why)
	}
	return nil
}

// checked returns nil if the kernel accepts the answer, and the certificate of unsat.
func (a *app) checked(ctx context.Context, j *job, full *prog.Program, r *report.Run) ([]byte, error) {
	var files [2][]byte
	for i, path := range []string{j.model, j.query} {
		path, err := locate(path)
		if err != nil {
			return nil, err
		}
		if files[i], err = kernel.ReadFile(path); err != nil {
			return nil, err
		}
	}
	k, err := kernel.Open(files[0], files[1])
	if err != nil {
		return nil, fmt.Errorf("the kernel cannot read this: %w", err)
	}
	if j.opt.Semantics != verify.Real { // bounds of binary32 executions hold for exact ones too
		k.Semantics = 1
	}
	var data []byte
	if r.Result.Verdict == verify.Violated {
		var b bytes.Buffer
		if err := report.Strict(&b, r); err != nil {
			return nil, err
		}
		if v := k.Check(b.Bytes()); !v.Accepted {
			return nil, errors.New(v.String())
		}
		return nil, nil
	}
	p, err := prove.Unsat(ctx, k, full, r.Problem, prove.Options{Workers: j.opt.Workers, Memory: j.opt.Memory})
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("no proof was found in time")
		}
		return nil, err
	}
	data = p.Encode()
	if v := k.Check(data); !v.Accepted {
		return nil, errors.New(v.String())
	} else {
		r.Result.Strategy = append(r.Result.Strategy, fmt.Sprintf("proof: %v", v))
	}
	return data, nil
}
