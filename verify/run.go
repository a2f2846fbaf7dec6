package verify

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spai-project/certify/attacks"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/bab"
	"github.com/spai-project/certify/verify/trace"
)

// methods are the values of Options.Method.
var methods = []string{"", "attack", "ibp", "crown", "alpha", "input-split", "relu-split", methodReluplex, methodSMT, methodLift}

// Verify decides p on g. An error means bad input or unsupported operators (*nn.UnsupportedError), never "not decided".
//
// Steps: a short attack; interval bounds of every box at once; then box by box root bounds (CROWN or forward mode, α), and
// branch and bound on the inputs or on the ReLUs, chosen by the number of varying inputs. Between searches on the ReLUs inner
// bounds are refined.
func Verify(ctx context.Context, g *nn.Graph, p *spec.Problem, opt Options) (*Result, error) {
	start := time.Now()
	full, res, err := Lower(g, opt.Semantics)
	if err != nil || res != nil {
		return res, err
	}
	lower := time.Since(start)
	if res, err = Program(ctx, full, p, opt); err == nil {
		res.Stats.Wall += lower
		res.Stats.Phases[phaseLower] += lower.Seconds()
	}
	return res, err
}

// Program is Verify for a lowered network; semantics other than real need one of Graph.Lower32.
func Program(ctx context.Context, full *prog.Program, p *spec.Problem, opt Options) (*Result, error) {
	if n := full.Nodes[0].N; n != p.NumInputs {
		return nil, fmt.Errorf("verify: the query has %d inputs, the network %d: %w", p.NumInputs, n, ErrMismatch)
	}
	if n := full.Nodes[full.Output].N; n != p.NumOutputs {
		return nil, fmt.Errorf("verify: the query has %d outputs, the network %d: %w", p.NumOutputs, n, ErrMismatch)
	}
	if !slices.Contains(methods, opt.Method) {
		return nil, fmt.Errorf("verify: unknown method %q", opt.Method)
	}
	if opt.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, opt.Timeout)
		defer cancel()
	}
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	if opt.Memory <= 0 {
		opt.Memory = 4 << 30
	}
	r := &run{ctx: ctx, full: full, p: p, opt: opt, start: time.Now(), clock: newClock(time.Now), res: &Result{Margin: math.Inf(-1)}}
	r.decide()
	if r.res.Verdict == Holds {
		r.res.Stats.Volume = 1
	}
	r.res.Stats.Wall, r.res.Stats.Phases = time.Since(r.start), r.clock.seconds
	return r.res, nil
}

// run is one verification in progress.
type run struct {
	ctx   context.Context // carries the profiler labels of the present phase
	full  *prog.Program   // every output; witnesses are confirmed on it
	prog  *prog.Program   // simplified to the property's cone; bounds are computed and counterexamples looked for on it
	net   *relax.Net
	pool  *relax.Pool
	cone  []prog.Window // per node: the part the property depends on
	p     *spec.Problem
	bound *spec.Problem // p as bounds see it: an equivalent question, perhaps about an earlier node
	opt   Options
	start time.Time
	clock *clock
	res   *Result
	tryer *tryer
	// boxes counts the boxes of the question, proved those that are done with, and the proved fractions of those left open.
	boxes  int
	proved float64
	// rounds counts the rounds of branch and bound, seed the attacks between them.
	rounds int
	seed   uint64
	// attacker is kept between the slices of the attack; attacked is set once the full attack ran.
	attacker *attacks.Searcher
	attacked bool
	thin     atomic.Bool // a witness was found that the semantics does not accept
}

func (r *run) note(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	r.res.Strategy = append(r.res.Strategy, s)
	r.emit(trace.Event{Phase: "strategy", Text: s})
}

func (r *run) emit(e trace.Event) {
	if r.opt.Trace != nil {
		e.Time = time.Since(r.start)
		r.opt.Trace.Trace(e)
	}
}

// progress emits an event of the search in one box, with the proved fraction of all boxes.
func (r *run) progress(e trace.Event) {
	e.Volume = r.volume(e.Volume)
	r.emit(e)
}

// volume is the fraction that is proved with the given one of the box being searched.
func (r *run) volume(present float64) float64 {
	if r.boxes == 0 {
		return 0
	}
	return (r.proved + present) / float64(r.boxes)
}

func (r *run) decide() {
	res := r.res
	if len(r.p.Cases) == 0 {
		res.Verdict, res.Vacuous, res.Reason = Holds, true, "no input satisfies the input constraints"
		return
	}
	unfit := ""
	if r.in(phaseLower, func() { unfit = r.unfit() }); unfit != "" {
		r.undecided(unfit)
		return
	}
	if r.in(phaseLower, r.simplify); len(r.bound.Cases) == 0 {
		res.Verdict, res.Margin = Holds, 0 // no output of a ReLU is below 0
		return
	}
	if r.opt.Method == "attack" {
		work := int64(0)
		if _, ok := r.ctx.Deadline(); ok { // then that is the limit
			work = math.MaxInt64 / 2
		}
		if !r.attack(false, func() attacks.Options { return attacks.Options{Seed: r.opt.Seed, Work: work} }) {
			r.undecided("incomplete")
		}
		return
	}
	if !r.opt.NoAttack && r.attack(false, func() attacks.Options {
		return attacks.Options{Seed: r.opt.Seed, Work: r.evaluations(2000, 1e8), Time: r.attackTime()}
	}) {
		return
	}
	r.in(phaseLower, r.prepare)
	var groups []*group
	var witness *spec.Witness
	if r.in(phaseScreen, func() { groups, witness = r.screen() }); witness != nil {
		r.violated(witness)
		return
	}
	res.Margin = math.Inf(1)
	reason := ""
	for _, g := range groups {
		if r.thin.Load() && (r.attacked || r.opt.NoAttack || !r.secondAttack(false)) {
			reason = reasonThin
			break
		}
		if res.Verdict == Violated {
			return
		}
		out := r.solve(g, len(groups))
		res.Stats.Branches += out.Branches
		res.Stats.Open += out.Open
		res.Stats.PeakBytes = max(res.Stats.PeakBytes, out.Peak)
		switch out.Status {
		case bab.Found:
			r.violated(out.Witness)
			return
		case bab.Closed:
			r.proved++
		case bab.Open:
			r.proved += out.Volume
			if reason == "" {
				reason = out.Reason
			}
			res.Margin = min(res.Margin, out.Bound)
		}
		if r.ctx.Err() != nil {
			break
		}
	}
	if reason == "" && r.ctx.Err() == nil {
		res.Verdict = Holds
		res.Margin = 0
		return
	}
	r.undecided(reason)
}

// simplify restates the question before a final activation and simplifies the network to what is asked. The restated question may have no
// case left: then no input satisfies it, and there is no network.
func (r *run) simplify() {
	r.bound = r.p
	whole := r.full
	if inner, q := spec.Peel(r.full, r.p); inner != nil {
		r.bound, whole = q, inner
		r.note("final activation: the question is restated before it")
		if len(q.Cases) == 0 {
			return
		}
	}
	r.prog = prog.CentreQuotients(prog.Simplify(whole, neededOutputs(r.bound)), centre(&r.bound.Boxes[r.bound.Cases[0].Box]))
	r.tryer = newTryer(r)
	for i := range r.prog.Nodes {
		if r.prog.Nodes[i].Kind == prog.Relu {
			r.res.Stats.Relus += r.prog.Nodes[i].N
		}
	}
}

// prepare makes what bounds need of the simplified network.
func (r *run) prepare() {
	r.net = relax.NewNet(r.prog)
	r.cone = r.net.Cone(listed(neededOutputs(r.bound)))
	r.pool = relax.NewPool(r.net, r.opt.Workers)
	for _, w := range r.pool.W {
		w.Stop = r.stopped
	}
}

// stopped is what workers ask between layers.
func (r *run) stopped() bool { return r.ctx.Err() != nil }

// evaluations is a budget of n evaluations of the network, at most limit multiply-adds. Attacks come in slices: a glance before
// any bound, which finds what is easy to find; a longer look after the root bounds, which settle most of what holds; then ever
// longer ones between the rounds of branch and bound.
func (r *run) evaluations(n, limit int64) int64 {
	if !r.searcher() {
		return 1
	}
	return max(min(n*r.attacker.Cost(), limit), 1)
}

// searcher makes the attacker: it searches on the simplified network, which is the cheapest form of the question, and confirms on
// the given one.
func (r *run) searcher() bool {
	if r.attacker == nil {
		s, err := attacks.NewSearcher(r.prog, r.bound)
		if err != nil || s.ConfirmOn(r.full, r.p) != nil {
			return false
		}
		r.attacker = s
	}
	return true
}

// attackTime is the slice of the deadline that the first attack may use.
func (r *run) attackTime() time.Duration {
	d, ok := r.ctx.Deadline()
	if !ok {
		return 2 * time.Second
	}
	return min(max(time.Until(d)/20, 50*time.Millisecond), 2*time.Second)
}

// attack searches for a counterexample and reports whether it ended the run. The options are asked for within the attack's time:
// budgets need its buffers. An attack beside a search runs while other goroutines do, so it is no phase of its own.
func (r *run) attack(beside bool, o func() attacks.Options) bool {
	t := time.Now()
	var w *spec.Witness
	search := func() {
		if r.searcher() {
			w = r.attacker.Search(r.ctx, o())
		}
	}
	if beside {
		search()
	} else {
		r.in(phaseAttack, search)
	}
	if w != nil && !r.accept(w) {
		r.note("attack: %s", reasonThin)
		return false
	}
	if w != nil {
		r.note("attack: counterexample after %v", time.Since(t).Round(time.Millisecond))
		r.violated(w)
		return true
	}
	r.note("attack: nothing found in %v", time.Since(t).Round(time.Millisecond))
	return false
}

func (r *run) violated(w *spec.Witness) {
	r.res.Verdict, r.res.Witness, r.res.Margin, r.res.Reason = Violated, w, -w.Margin, ""
}

// undecided sets Timeout or Unknown. A deadline is a verdict of its own; a cancelled context is "interrupted".
func (r *run) undecided(reason string) {
	if r.thin.Load() {
		reason = reasonThin
	}
	r.res.Verdict, r.res.Reason, r.res.Stats.Volume = Unknown, reason, r.volume(0)
	if err := r.ctx.Err(); err != nil {
		if err == context.DeadlineExceeded {
			r.res.Verdict, r.res.Reason = Timeout, "deadline"
		} else {
			r.res.Reason = "interrupted"
		}
	}
	if math.IsInf(r.res.Margin, 1) {
		r.res.Margin = math.Inf(-1)
	}
}

// centre returns the middle of a box.
func centre(b *spec.Box) []float64 {
	x := make([]float64, len(b.Lower))
	for i, lo := range b.Lower {
		x[i] = lo + (b.Upper[i]-lo)/2
	}
	return x
}

// neededOutputs marks the outputs that some row reads.
func neededOutputs(p *spec.Problem) []bool {
	need := make([]bool, p.NumOutputs)
	for i := range p.Cases {
		for j := range p.Cases[i].Rows {
			for _, c := range p.Cases[i].Rows[j].Y {
				need[c.Index] = true
			}
		}
	}
	return need
}

// listed returns the indices of the set marks.
func listed(marks []bool) []int32 {
	var out []int32
	for i, m := range marks {
		if m {
			out = append(out, int32(i))
		}
	}
	return out
}

// byBox groups the cases' indices by box, in order of first appearance.
func byBox(p *spec.Problem) [][]int {
	at := map[int]int{}
	var out [][]int
	for c := range p.Cases {
		b := p.Cases[c].Box
		i, ok := at[b]
		if !ok {
			i = len(out)
			at[b] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], c)
	}
	return out
}
