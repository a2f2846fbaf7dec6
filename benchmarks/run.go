package benchmarks

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"
)

// A Runner runs instances one after another (or Parallel at a time) and appends their results to a file.
type Runner struct {
	// Exe and Argv0 start the program; Args, then Extra, are put before the arguments that the runner adds. Extra is recorded
	// with every result.
	Exe, Argv0  string
	Args, Extra []string
	Out         string                   // results file, appended to; "" keeps nothing
	Cap         time.Duration            // upper limit on every instance's time limit, 0: none
	Caps        map[string]time.Duration // the same by suite, as well as Cap
	Memory      int64                    // bytes per instance, 0: the program's default and no kill
	Workers     int                      // threads of each instance, 0: the program's default
	ProofFactor float64                  // above 0: certificates are made, in so many times the limit, and checked by "check"
	Parallel    int                      // instances at a time, 0: 1
	Retry       bool                     // run instances again whose recorded verdict is "error"
	Fresh       bool                     // drop what the results file holds
	Report      func(Progress)
}

// limit returns the time an instance gets.
func (r *Runner) limit(i *Instance) time.Duration {
	limit := i.Timeout
	if r.Cap > 0 {
		limit = min(limit, r.Cap)
	}
	if c := r.Caps[i.Suite]; c > 0 {
		limit = min(limit, c)
	}
	return limit
}

// proofLimit returns the time to make a certificate, 0 for none.
func (r *Runner) proofLimit(i *Instance) time.Duration {
	return time.Duration(r.ProofFactor * float64(r.limit(i)))
}

// Foreign counts the results of these instances that were made under other conditions than this runner's: another limit,
// time for proofs, number of workers or extra arguments. Resuming over them mixes two measurements.
func (r *Runner) Foreign(all []Instance, results []Result) (n int) {
	want := map[string]*Instance{}
	for i := range all {
		want[all[i].Key()] = &all[i]
	}
	for _, have := range Latest(results) {
		i := want[have.Key()]
		if i != nil && (have.Limit != r.limit(i).Seconds() || have.ProofLimit != r.proofLimit(i).Seconds() ||
			have.Workers != r.Workers || !slices.Equal(have.Args, r.Extra)) {
			n++
		}
	}
	return n
}

// Progress is told after every instance.
type Progress struct {
	Done, Total, Skipped int
	Left                 time.Duration // estimate
	Last                 Result
}

// Filter keeps the instances whose "model query" matches re (nil: all), at most limit of them (0: all).
func Filter(all []Instance, re *regexp.Regexp, limit int) []Instance {
	var kept []Instance
	for _, i := range all {
		if limit > 0 && len(kept) == limit {
			break
		}
		if re == nil || re.MatchString(i.Model+" "+i.Query) {
			kept = append(kept, i)
		}
	}
	return kept
}

// Run runs the instances that the results file does not hold yet and returns their results. When ctx is cancelled the
// running instances are stopped and not recorded; what was finished stays, and the error is the context's cause.
func (r *Runner) Run(ctx context.Context, all []Instance) ([]Result, error) {
	todo, sink, err := r.open(all)
	if err != nil {
		return nil, err
	}
	if sink != nil {
		defer sink.Close()
	}
	truth := newTruths()
	jobs := make(chan Instance)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		done []Result
		fail error
	)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now()
	for range max(r.Parallel, 1) {
		wg.Go(func() {
			for i := range jobs {
				res := r.one(ctx, &i)
				if ctx.Err() != nil {
					return
				}
				mu.Lock()
				if res.Truth, err = truth.answer(&i); err != nil && fail == nil {
					fail = err
				}
				if sink != nil && fail == nil {
					fail = record(sink, &res)
				}
				if fail != nil {
					cancel(fail)
				}
				done = append(done, res)
				if r.Report != nil {
					left := time.Duration(float64(time.Since(begin)) / float64(len(done)) * float64(len(todo)-len(done)))
					r.Report(Progress{len(done), len(todo), len(all) - len(todo), left, res})
				}
				mu.Unlock()
			}
		})
	}
feed:
	for _, i := range todo {
		select {
		case jobs <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(jobs)
	wg.Wait()
	if fail != nil {
		return done, fail
	}
	return done, context.Cause(ctx)
}

// sink is a results file.
type sink interface {
	Write([]byte) (int, error)
	Sync() error
	Close() error
}

// open drops the instances whose results are there already.
func (r *Runner) open(all []Instance) (todo []Instance, s sink, err error) {
	have := map[string]bool{}
	if r.Out != "" {
		old, whole, err := ReadResults(r.Out)
		if err != nil && !r.Fresh {
			return nil, nil, err
		}
		if r.Fresh {
			old, whole = nil, 0
		}
		for i := range old {
			have[old[i].Key()] = old[i].Verdict != "error" || !r.Retry
		}
		f, err := appendTo(r.Out, whole)
		if err != nil {
			return nil, nil, err
		}
		s = f
	}
	for i := range all {
		if !have[all[i].Key()] {
			todo = append(todo, all[i])
		}
	}
	return todo, s, nil
}

// record appends one line and waits until it is on the disk.
func record(s sink, r *Result) error {
	b, err := json.Marshal(r)
	if err == nil {
		_, err = s.Write(append(b, '\n'))
	}
	if err == nil {
		err = s.Sync()
	}
	if err != nil {
		return fmt.Errorf("benchmarks: %w", err)
	}
	return nil
}

// truths reads every folder's known answers once.
type truths struct{ dirs map[string]map[string]Truth }

func newTruths() *truths { return &truths{map[string]map[string]Truth{}} }

func (t *truths) answer(i *Instance) (string, error) {
	m, ok := t.dirs[i.Dir]
	if !ok {
		var err error
		if m, err = LoadTruth(i.Dir); err != nil {
			return "", err
		}
		t.dirs[i.Dir] = m
	}
	return m[i.Key()].Answer, nil
}
