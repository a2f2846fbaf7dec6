package evasion

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/internal/seed"
)

// A Task is one input to attack.
type Task struct {
	X            []float64 // float32 numbers inside the box
	Lower, Upper []float64 // the valid inputs; nil: every finite float32
	Goal         *Goal
	// Start, if not nil, is a point to begin from that is known to reach the goal, such as an input of the class to reach or what
	// another attack found. Attacks that walk along the decision boundary read it.
	Start []float64
}

// Options steer a run. Norm and Eps say what counts; the rest may be zero.
type Options struct {
	Norm    Norm
	Eps     float64            // the radius to stay within, +Inf: find the smallest
	Params  map[string]float64 // as from Parse; others have their defaults
	Seed    uint64             // results are a function of model, tasks, options and seed, and of nothing else
	Workers int                // 0: the processors
	Queries int                // per input, evaluations without gradient or label queries; 0: no limit
	// Gradients is the same limit for evaluations with gradient.
	Gradients int
	Shape     []int // of the input, for attacks that know pictures; nil: a vector
	// Surrogate, if not nil, answers questions for gradients; every point is then also shown to the model, which alone decides. This
	// is how an attack is transferred.
	Surrogate access.Gradients
	// Judge, if not nil, has the last word on what reaches the goal, such as a rigorous evaluation or fresh draws of a randomised
	// model. It is called with the task's index, from several goroutines.
	Judge func(task int, x []float64) bool
	// Done, if not nil, is called when a task has its result, from several goroutines, in no order.
	Done func(task int, r *Result)
}

// Status says how an attack on one input ended.
type Status uint8

// The ends of an attack.
const (
	Failed  Status = iota // nothing found: this proves nothing
	Found                 // X reaches the goal
	Already               // the input itself reaches the goal
	Stopped               // cancelled before it could end, nothing found
)

func (s Status) String() string { return [...]string{"failed", "found", "already", "stopped"}[s] }

// A Result is what an attack found for one task.
type Result struct {
	Status             Status
	X                  []float64 // nil unless Found or Already
	Y                  []float64 // the model's outputs at X, nil when only labels are seen
	Distance           float64   // of X in the norm of the options, rounded up; +Inf without X
	Margin             float64   // of the goal at X, −Inf without X; best margin seen at any point in Best
	Best               float64   // the largest margin seen, −Inf when only labels are seen
	Queries, Gradients int       // points evaluated without and with gradient
}

// Run attacks every task. The model is an access.Gradients, access.Scores or access.Labels, whichever it is; an attack that needs
// more than it offers is an error, as are tasks that do not fit. On cancellation of ctx it returns what was found and ctx's error.
func (m *Method) Run(ctx context.Context, model any, tasks []Task, opt Options) ([]Result, error) {
	e, err := m.engine(model, opt)
	if err != nil {
		return nil, err
	}
	for i := range tasks {
		if err := e.check(i, &tasks[i]); err != nil {
			return nil, err
		}
	}
	e.tasks, e.results = tasks, make([]Result, len(tasks))
	workers := opt.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = max(1, min(workers, len(tasks)))
	e.batch = max(1, min(32, (len(tasks)+workers-1)/workers))
	var wg sync.WaitGroup
	errs := make([]error, workers)
	defects := make([]string, workers)
	for w := range workers {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil { // it goes on in the caller, who may be prepared for it
					defects[w] = fmt.Sprintf("evasion: %v\n%s", p, debug.Stack())
					e.failed.Store(true)
				}
			}()
			errs[w] = e.work(ctx)
		})
	}
	wg.Wait()
	for _, d := range defects {
		if d != "" {
			panic(d)
		}
	}
	for i := range e.results {
		if e.results[i].X == nil && e.results[i].Distance == 0 { // never ended
			e.results[i] = Result{Status: Stopped, Distance: math.Inf(1), Margin: math.Inf(-1), Best: math.Inf(-1)}
		}
	}
	return e.results, errors.Join(errs...)
}

// engine is one Run.
type engine struct {
	m         *Method
	opt       Options
	params    map[string]float64
	labels    access.Labels
	scores    access.Scores
	gradients access.Gradients
	level     access.Level
	in, out   int
	tasks     []Task
	results   []Result
	batch     int // coroutines of a worker
	next      atomic.Int64
	failed    atomic.Bool
}

func (m *Method) engine(model any, opt Options) (*engine, error) {
	e := &engine{m: m, opt: opt, params: map[string]float64{}}
	var dims func() (int, int)
	switch v := model.(type) {
	case access.Gradients:
		e.gradients, e.scores, e.level, dims = v, v, access.NeedGradients, v.Dims
	case access.Scores:
		e.scores, e.level, dims = v, access.NeedScores, v.Dims
	case access.Labels:
		e.labels, e.level, dims = v, access.NeedLabels, v.Dims
	default:
		return nil, fmt.Errorf("evasion: a model of type %T offers no access", model)
	}
	e.in, e.out = dims()
	if opt.Surrogate != nil {
		if in, out := opt.Surrogate.Dims(); in != e.in || out != e.out {
			return nil, fmt.Errorf("evasion: the surrogate has %d inputs and %d outputs, the model %d and %d", in, out, e.in, e.out)
		}
	} else if m.Needs > e.level {
		return nil, fmt.Errorf("evasion: %s needs %v, the model gives %v only", m.Name, m.Needs, e.level)
	}
	switch {
	case !slices.Contains(m.Norms, opt.Norm):
		return nil, fmt.Errorf("evasion: %s does not work in the norm %v", m.Name, opt.Norm)
	case !(opt.Eps >= 0):
		return nil, fmt.Errorf("evasion: a radius of %v", opt.Eps)
	case math.IsInf(opt.Eps, 1) && !m.Minimal:
		return nil, fmt.Errorf("evasion: %s needs a radius; attacks that look for the smallest are those marked minimal", m.Name)
	}
	for _, p := range m.Params {
		e.params[p.Name] = p.Default
	}
	for k, v := range opt.Params {
		if _, ok := e.params[k]; !ok {
			return nil, fmt.Errorf("evasion: %s has no parameter %q; it has %s", m.Name, k, m.paramNames())
		}
		e.params[k] = v
	}
	if size := 1; len(opt.Shape) > 0 {
		for _, n := range opt.Shape {
			size *= n
		}
		if size != e.in {
			return nil, fmt.Errorf("evasion: an input of shape %v for a model with %d inputs", opt.Shape, e.in)
		}
	} else {
		e.opt.Shape = []int{e.in}
	}
	return e, nil
}

// check refuses tasks that do not fit the model.
func (e *engine) check(i int, t *Task) error {
	switch {
	case len(t.X) != e.in || t.Lower != nil && (len(t.Lower) != e.in || len(t.Upper) != e.in):
		return fmt.Errorf("evasion: task %d has %d inputs and a box of %d, the model has %d", i, len(t.X), len(t.Lower), e.in)
	case t.Start != nil && len(t.Start) != e.in:
		return fmt.Errorf("evasion: task %d starts at a point of %d inputs, the model has %d", i, len(t.Start), e.in)
	case t.Goal == nil || t.Goal.outputs != e.out:
		return fmt.Errorf("evasion: the goal of task %d is not for %d outputs", i, e.out)
	case (e.m.ClassesOnly || e.level == access.NeedLabels) && !t.Goal.Classes():
		return fmt.Errorf("evasion: task %d: %s needs a goal about classes", i, e.m.Name)
	}
	for k, x := range t.X {
		if t.Lower != nil && !(t.Lower[k] <= x && x <= t.Upper[k]) || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("evasion: task %d: input %d is %v, outside the valid range", i, k, x)
		}
	}
	return nil
}

// running is a task and its coroutine.
type running struct {
	e     *engine
	index int
	probe *Probe
	next  func() (*request, bool)
	stop  func()
	wait  *request // what it waits for
	best  found
	kept  []found // Minimal: earlier bests, in case the judge refuses the last
	used  Result
	fail  float64 // margin of the last point the judge refused
	draws uint64
	ended bool // within Eps, judged
	// settled is true when the judge accepted the best.
	settled bool
}

type found struct {
	x, y             []float64
	distance, margin float64
}

// work runs tasks until there are none left.
func (e *engine) work(ctx context.Context) error {
	var active []*running
	defer func() {
		for _, t := range active {
			t.stop()
		}
	}()
	b := &gather{e: e}
	for {
		for len(active) < e.batch {
			i := int(e.next.Add(1)) - 1
			if i >= len(e.tasks) || ctx.Err() != nil || e.failed.Load() {
				break
			}
			t := e.start(i)
			if t.advance() {
				active = append(active, t)
			}
		}
		if len(active) == 0 {
			return ctx.Err()
		}
		if err := b.answer(ctx, active); err != nil {
			e.failed.Store(true)
			for _, t := range active { // what they have is kept
				t.finish(Stopped)
			}
			return err
		}
		rest := active[:0]
		for _, t := range active {
			if t.advance() {
				rest = append(rest, t)
			}
		}
		active = rest
	}
}

// start makes the coroutine of a task; it first evaluates the input itself.
func (e *engine) start(i int) *running {
	t := &e.tasks[i]
	s := seed.Derive(e.opt.Seed, "evasion", e.m.Name)
	r := &running{e: e, index: i, fail: math.Inf(-1), draws: s ^ uint64(i)*0x9e3779b97f4a7c15,
		used: Result{Distance: math.Inf(1), Margin: math.Inf(-1), Best: math.Inf(-1)}, best: found{distance: math.Inf(1)}}
	p := &Probe{X0: t.X, Start: t.Start, Goal: t.Goal, Norm: e.opt.Norm, Eps: e.opt.Eps, Level: e.level, Shape: e.opt.Shape,
		params: e.params, task: r, Rng: rand.New(rand.NewPCG(s, uint64(i)))}
	p.ballLo, p.ballHi = region(t, e.opt.Norm, e.opt.Eps)
	p.rangeLo, p.rangeHi = p.ballLo, p.ballHi
	if e.opt.Norm == Linf && !math.IsInf(e.opt.Eps, 1) {
		p.rangeLo, p.rangeHi = region(t, Linf, math.Inf(1))
	}
	p.confine(e.m)
	if e.opt.Surrogate != nil {
		p.Level = access.NeedGradients
	}
	r.probe = p
	r.next, r.stop = iter.Pull(func(yield func(*request) bool) {
		p.yield = yield
		if p.clean() {
			e.m.run(p)
			r.settle(p)
		}
	})
	return r
}

// confine sets the box in which an attack moves: attacks that make the perturbation small come to the ball from outside, the others stay
// in it.
func (p *Probe) confine(m *Method) {
	if p.Lo, p.Hi = p.ballLo, p.ballHi; m.Minimal {
		p.Lo, p.Hi = p.rangeLo, p.rangeHi
	}
}

// region returns the box of a task on the float32 grid, cut with the ball of radius eps for Linf.
func region(t *Task, n Norm, eps float64) (lo, hi []float64) {
	lo, hi = make([]float64, len(t.X)), make([]float64, len(t.X))
	for i, x := range t.X {
		lo[i], hi[i] = -math.MaxFloat32, math.MaxFloat32
		if t.Lower != nil {
			lo[i], hi[i] = t.Lower[i], t.Upper[i]
		}
		if n == Linf && !math.IsInf(eps, 1) {
			lo[i], hi[i] = max(lo[i], upward(x, -eps)), min(hi[i], -upward(-x, -eps))
		}
		lo[i], hi[i] = ceil32(lo[i]), -ceil32(-hi[i])
		if lo[i] > hi[i] { // no float32 number inside: the input is not one; it stays
			lo[i], hi[i] = x, x
		}
	}
	return lo, hi
}

// upward returns a + b rounded up.
func upward(a, b float64) float64 {
	s := a + b
	if t := s - a; (a-(s-t))+(b-t) > 0 {
		return math.Nextafter(s, math.Inf(1))
	}
	return s
}

// ceil32 returns the least float32 number ≥ v.
func ceil32(v float64) float64 {
	f := float32(v)
	if float64(f) < v {
		f = math.Nextafter32(f, float32(math.Inf(1)))
	}
	return float64(f)
}

// clean evaluates the input itself; it returns false when nothing is left to do.
func (p *Probe) clean() bool {
	x := slices.Clone(p.X0)
	level := min(p.task.e.level, access.NeedScores)
	if !p.ask(level, nil, x) {
		return false
	}
	if level == access.NeedLabels {
		p.Label0 = p.req.label[0]
	} else {
		p.Y0 = slices.Clone(p.req.y)
		p.Label0 = access.Argmax(p.Y0)
	}
	return p.task.best.x == nil
}

// advance runs the coroutine to its next question and reports whether there is one; when not, the result is stored.
func (t *running) advance() bool {
	r, ok := t.next()
	if ok {
		t.wait = r
		return true
	}
	t.stop()
	t.finish(Failed)
	return false
}

// finish stores the result; without anything found, its status is the given one.
func (t *running) finish(otherwise Status) {
	res := &t.e.results[t.index]
	*res = t.used
	res.Status = otherwise
	if t.settle(nil) {
		b := &t.best
		res.X, res.Y, res.Distance, res.Margin, res.Status = b.x, b.y, b.distance, b.margin, Found
		if b.distance == 0 {
			res.Status = Already
		}
	}
	if t.e.opt.Done != nil {
		t.e.opt.Done(t.index, res)
	}
}
