package benchmarks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
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
	limit := r.limit(i)
	res := Result{Suite: i.Suite, Model: i.Model, Query: i.Query, Dir: i.Dir, Limit: limit.Seconds(), Workers: r.Workers,
		Args: r.Extra, At: time.Now().UTC().Format(time.RFC3339)}
	kill, cancel := context.WithTimeout(ctx, limit+grace)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(kill, r.Exe, r.arguments(i, limit)...)
	cmd.Args[0] = r.Argv0
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 2 * time.Second
	begin := time.Now()
	err := cmd.Start()
	var over func() bool
	if err == nil {
		over = watchMemory(cmd.Process, r.Memory)
		err = cmd.Wait()
	}
	res.Wall = time.Since(begin).Seconds()
	if over != nil && over() {
		res.Verdict, res.Reason, res.Error = "error", "memory", "killed: far over the memory budget"
	}
	if s := cmd.ProcessState; s != nil {
		res.Exit = s.ExitCode()
		res.CPU = (s.UserTime() + s.SystemTime()).Seconds()
		res.PeakMiB = float64(peak(s)) / (1 << 20)
	}
	if res.Verdict == "" {
		res.read(err, kill.Err(), out.Bytes(), errs.String())
	}
	return res
}

func (r *Runner) arguments(i *Instance, limit time.Duration) []string {
	args := slices.Concat(r.Args, r.Extra)
	args = append(args, "--timeout", strconv.FormatFloat(limit.Seconds(), 'f', -1, 64))
	if r.Memory > 0 {
		args = append(args, "--memory", strconv.FormatInt(r.Memory, 10))
	}
	if r.Workers > 0 {
		args = append(args, "--workers", strconv.Itoa(r.Workers))
	}
	return append(args, i.Path(i.Model), i.Path(i.Query))
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
	r.Phases = phases(out)
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
