package benchmarks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spai-project/certify/verify/report"
)

// grace is how long after its limit an instance may still run before it is killed; it does not extend the limit.
const grace = 5 * time.Second

// one runs an instance in a process of its own.
func (r *Runner) one(ctx context.Context, i *Instance) Result {
	limit, proof := r.limit(i), r.proofLimit(i)
	res := Result{Suite: i.Suite, Model: i.Model, Query: i.Query, Dir: i.Dir, Limit: limit.Seconds(), Workers: r.Workers,
		Args: r.Extra, ProofLimit: proof.Seconds(), At: time.Now().UTC().Format(time.RFC3339)}
	args := r.arguments(i, limit)
	var file string
	if proof > 0 {
		dir, err := os.MkdirTemp("", "certify-bench-*")
		if err != nil {
			res.Verdict, res.Error = "error", err.Error()
			return res
		}
		defer os.RemoveAll(dir)
		file = filepath.Join(dir, "proof")
		args = append(args, "--check", "auto", "--proof", file, "--proof-timeout", number(proof.Seconds()))
	}
	p := r.start(ctx, limit+proof+grace, append(args, i.Path(i.Model), i.Path(i.Query)))
	res.Wall, res.Exit, res.CPU, res.PeakMiB = p.wall, p.exit, p.cpu, p.peak
	if p.over {
		res.Verdict, res.Reason, res.Error = "error", "memory", "killed: far over the memory budget"
	} else {
		res.read(p.err, p.killed, p.out, p.errs)
	}
	if res.Certificate != nil {
		r.checkAgain(ctx, i, &res, file)
	}
	return res
}

// A process is what became of a child.
type process struct {
	out         []byte
	errs        string
	err, killed error // of waiting for it; of the context that ended it
	over        bool  // it was killed for its memory
	exit        int
	wall, cpu   float64 // seconds
	peak        float64 // MiB
}

// start runs the program with arguments until it ends, or is ended after a limit.
func (r *Runner) start(ctx context.Context, limit time.Duration, args []string) (p process) {
	kill, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(kill, r.Exe, args...)
	cmd.Args[0] = r.Argv0
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 2 * time.Second
	begin := time.Now()
	var over func() bool
	if p.err = cmd.Start(); p.err == nil {
		over = watchMemory(cmd.Process, r.Memory)
		p.err = cmd.Wait()
	}
	p.wall = time.Since(begin).Seconds()
	p.over = over != nil && over()
	if s := cmd.ProcessState; s != nil {
		p.exit, p.cpu, p.peak = s.ExitCode(), (s.UserTime() + s.SystemTime()).Seconds(), float64(peak(s))/(1<<20)
	}
	p.out, p.errs, p.killed = out.Bytes(), errs.String(), kill.Err()
	return p
}

// arguments returns those before the two files.
func (r *Runner) arguments(i *Instance, limit time.Duration) []string {
	args := slices.Concat(r.Args, r.Extra)
	args = append(args, "--timeout", number(limit.Seconds()))
	if r.Memory > 0 {
		args = append(args, "--memory", strconv.FormatInt(r.Memory, 10))
	}
	if r.Workers > 0 {
		args = append(args, "--workers", strconv.Itoa(r.Workers))
	}
	return args
}

// read fills in what the process said. Without a whole result object the verdict is "error", or "timed-out" when the
// process had to be killed after its limit.
func (r *Result) read(err, killed error, out []byte, errs string) {
	var o report.Object
	if jerr := json.Unmarshal(out, &o); jerr != nil || o.Schema != report.Schema {
		r.Verdict, r.Error = "error", firstLines(errs, 3)
		if errors.Is(killed, context.DeadlineExceeded) {
			r.Verdict, r.Reason = "timed-out", "killed after its limit"
		} else if r.Exit == exitUnsupported {
			r.Verdict, r.Error = "unsupported", firstLines(errs, 2)
		} else if r.Error == "" && err != nil {
			r.Error = err.Error()
		}
		return
	}
	r.Verdict, r.Reason, r.Margin, r.Checked = o.Verdict, o.Reason, o.Margin.Lower, o.Checked
	r.Branches, r.Open, r.Load, r.Steps, r.Version = o.Search.Branches, o.Search.Open, o.Time.Load, o.Strategy.Steps, o.Tool.Version
	r.Phases, r.Semantics = phases(out), o.Semantics
	r.certificate(&o)
	if err := r.check(); err != nil { // no line that cannot be read again
		r.Error, r.Verdict = fmt.Sprintf("the tool answered %q", r.Verdict), "error"
	}
	if o.Witness != nil {
		r.WitnessMargin, r.AnyOrder = o.Witness.Margin, o.Witness.AnyOrder
	}
}

// phases finds what a result object says about its phases, wherever it says it, and keeps it as it is; nil when it does not.
func phases(out []byte) json.RawMessage {
	type holder struct {
		Phases json.RawMessage `json:"phases"`
	}
	var o struct {
		holder
		Stats  holder `json:"stats"`
		Search holder `json:"search"`
		Time   holder `json:"time"`
	}
	if json.Unmarshal(out, &o) != nil {
		return nil
	}
	for _, p := range []json.RawMessage{o.Phases, o.Stats.Phases, o.Search.Phases, o.Time.Phases} {
		if len(p) > 0 && string(p) != "null" {
			return p
		}
	}
	return nil
}

// exitUnsupported is the exit status of certify for a model or query it does not handle.
const exitUnsupported = 3

func firstLines(s string, n int) string {
	lines := strings.SplitN(strings.TrimSpace(s), "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "\n")
}
