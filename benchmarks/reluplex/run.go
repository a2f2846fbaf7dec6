package reluplex

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
)

// A Runner asks all questions, one after the other.
type Runner struct {
	Data string        // folder of the networks
	Cap  time.Duration // time for each question, 0: none
	// Slack, a decimal: comparisons of scores in the questions of the tables hold up to this. Empty: exact.
	Slack string
	// CPU returns the processor time of the process so far; nil when it is not to be measured.
	CPU func() time.Duration
	// Report is told each answer as it comes; may be nil.
	Report func(what string, o Outcome)

	networks map[Network]*nn.Graph
}

// An Outcome is the answer to one or several questions: the sums of wall and processor time and of sub-problems bounded.
type Outcome struct {
	Verdict verify.Verdict
	Reason  string // for unknown and timed-out
	Wall    time.Duration
	CPU     time.Duration
	Bounded int
}

// add takes over the verdict of a further question and adds up what it took.
func (o *Outcome) add(more Outcome) {
	o.Verdict, o.Reason = more.Verdict, more.Reason
	o.Wall += more.Wall
	o.CPU += more.CPU
	o.Bounded += more.Bounded
}

// An Instance is a property asked of one network.
type Instance struct {
	Network Network
	Outcome
}

// A Cell is one cell of Table 3: the answer, and how many of its questions, one for each other advisory, were asked to get it.
type Cell struct {
	Asked int
	Outcome
}

// Answers holds what Run found, in the order of Properties and Points.
type Answers struct {
	Instances  [][]Instance
	Advisories []int // the one with the lowest score at each point
	Cells      [][]Cell
}

// Run asks everything. The error is about unreadable files, or the context's cause: an answer that was not found within the cap
// is no error.
func (r *Runner) Run(ctx context.Context) (*Answers, error) {
	a := &Answers{}
	for _, p := range Properties() {
		all, err := r.property(ctx, &p)
		if err != nil {
			return nil, err
		}
		a.Instances = append(a.Instances, all)
	}
	for i, p := range Points() {
		best, err := r.Advisory(ctx, &p)
		if err != nil {
			return nil, fmt.Errorf("reluplex: point %d: %w", i+1, err)
		}
		a.Advisories = append(a.Advisories, best)
		var row []Cell
		for _, radius := range Radii {
			c, err := r.Cell(ctx, &p, radius, best)
			if err != nil {
				return nil, err
			}
			r.report(fmt.Sprintf("point %d, δ = %s", i+1, radius), c.Outcome)
			row = append(row, c)
		}
		a.Cells = append(a.Cells, row)
	}
	return a, nil
}

func (r *Runner) report(what string, o Outcome) {
	if r.Report != nil {
		r.Report(what, o)
	}
}

func (r *Runner) slack() string {
	if r.Slack == "" {
		return "0"
	}
	return r.Slack
}

// property asks one property of its networks.
func (r *Runner) property(ctx context.Context, p *Property) ([]Instance, error) {
	q, err := p.Problem(r.slack())
	if err != nil {
		return nil, err
	}
	var all []Instance
	for _, n := range p.Networks {
		o, err := r.decide(ctx, n, q)
		if err != nil {
			return nil, err
		}
		r.report(fmt.Sprintf("property %d, %v", p.Number, n), o)
		all = append(all, Instance{n, o})
	}
	return all, nil
}

// Advisory returns the output with the lowest score at the point itself. That no other score is as low there is proved, not
// evaluated; it is an error when it is not so.
func (r *Runner) Advisory(ctx context.Context, p *Point) (int, error) {
	g, err := r.network(Robust)
	if err != nil {
		return 0, err
	}
	y, err := g.EvalFlat(p.Value())
	if err != nil {
		return 0, err
	}
	if len(y) != numOutputs || math.IsNaN(slices.Min(y)) {
		return 0, fmt.Errorf("%v has the scores %v, want %d numbers", Robust, y, numOutputs)
	}
	best := slices.Index(y, slices.Min(y))
	q, err := p.Problem("0", "0", best, others(best)...)
	if err != nil {
		return 0, err
	}
	o, err := r.decide(ctx, Robust, q)
	if err == nil && o.Verdict != verify.Holds {
		err = fmt.Errorf("the advisory at the point is not clear: %v", o.Verdict)
	}
	return best, err
}

// Cell asks about the other advisories in turn, up to the first that can be reached, as the paper's program did. Its verdict is
// that of the last question, or, when that is no counterexample, what stayed undecided before.
func (r *Runner) Cell(ctx context.Context, p *Point, radius string, advisory int) (Cell, error) {
	var c Cell
	open := Outcome{Verdict: verify.Holds}
	for _, j := range others(advisory) {
		q, err := p.Problem(radius, r.slack(), advisory, j)
		if err != nil {
			return c, err
		}
		o, err := r.decide(ctx, Robust, q)
		if err != nil {
			return c, err
		}
		c.Asked++
		c.add(o)
		if o.Verdict == verify.Violated {
			return c, nil
		}
		if o.Verdict != verify.Holds {
			open = o
		}
	}
	c.Verdict, c.Reason = open.Verdict, open.Reason
	return c, nil
}

// decide answers one question with the options a caller of the library gets who asks for nothing.
func (r *Runner) decide(ctx context.Context, n Network, q *spec.Problem) (Outcome, error) {
	g, err := r.network(n)
	if err != nil {
		return Outcome{}, err
	}
	cpu := r.cpu()
	res, err := verify.Verify(ctx, g, q, verify.Options{Timeout: r.Cap})
	if err != nil {
		return Outcome{}, fmt.Errorf("reluplex: %v: %w", n, err)
	}
	if ctx.Err() != nil {
		return Outcome{}, context.Cause(ctx)
	}
	return Outcome{res.Verdict, res.Reason, res.Stats.Wall, r.cpu() - cpu, res.Stats.Branches}, nil
}

func (r *Runner) cpu() time.Duration {
	if r.CPU == nil {
		return 0
	}
	return r.CPU()
}

// network reads a network, plain or compressed, once.
func (r *Runner) network(n Network) (*nn.Graph, error) {
	if g := r.networks[n]; g != nil {
		return g, nil
	}
	g, err := onnx.ReadFile(filepath.Join(r.Data, n.File()))
	if err != nil {
		return nil, fmt.Errorf("reluplex: %w", err)
	}
	if r.networks == nil {
		r.networks = map[Network]*nn.Graph{}
	}
	r.networks[n] = g
	return g, nil
}
