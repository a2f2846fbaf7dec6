package robust

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/data"
)

// RadiusSchema names the records of Radii.
const RadiusSchema = "certify.radius/1"

// A Bracket encloses the largest radius at which an input is robust: proved up to Proved, broken from Broken on.
type Bracket struct {
	Proved float64 // 0: nothing is proved
	Broken float64 // the distance of the closest counterexample, +Inf: none was found
	// Witness is that counterexample. By says what found it.
	Witness *Witness
	By      string
	// Open is the smallest radius above Proved at which the verifier was asked and gave no answer in its time; +Inf: none.
	Open       float64
	Steps      int // questions asked of attacks and of the verifier
	Wall       time.Duration
	Incomplete bool // the time was over before the bracket was tight
}

// Radius narrows the bracket of one input within opt.Timeout (0: 60 s). Radii asked about are decimal numbers of three digits, so
// that what is proved reads exactly as it was; the numbers in the balls are these, rounded up. At most is the largest radius of
// interest, 0: the width of the valid range.
func (m *Model) Radius(ctx context.Context, x []float64, label int, most float64, opt Options) (*Bracket, error) {
	s, err := m.solver(opt)
	if err != nil {
		return nil, err
	}
	if err := s.checkItem(x, label); err != nil {
		return nil, err
	}
	return s.bracket(ctx, x, label, most, seed.Derive(opt.Seed, "radius"))
}

// defaultRadiusTime is the time for one bracket when none is given.
const defaultRadiusTime = time.Minute

func (s *solver) bracket(ctx context.Context, x []float64, label int, most float64, root uint64) (*Bracket, error) {
	start := time.Now()
	b := &Bracket{Broken: math.Inf(1), Open: math.Inf(1)}
	defer func() { b.Wall = time.Since(start) }()
	if w := s.clean(x, label); w != nil {
		b.Broken, b.Witness, b.By = 0, w, "input"
		return b, nil
	}
	limit := s.opt.Timeout
	if limit <= 0 {
		limit = defaultRadiusTime
	}
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if most <= 0 {
		most = s.opt.Domain.width(x)
	}
	if err := s.breakDown(inner, b, x, label, most, root); err != nil || ctx.Err() != nil {
		return b, err
	}
	if ok, _ := s.verifies(); ok {
		return b, s.proveUp(inner, b, x, label, most, root, start.Add(limit))
	}
	return b, nil
}

// width is the widest valid range in units of the radius; without one, the largest value of the input, and 1 at least.
func (d *Domain) width(x []float64) float64 {
	most := 0.0
	for i, v := range x {
		w := (at(d.Upper, i, math.Inf(1)) - at(d.Lower, i, math.Inf(-1))) / at(d.Unit, i, 1)
		if math.IsInf(w, 1) {
			w = max(1, math.Abs(v)) / at(d.Unit, i, 1)
		}
		most = max(most, w)
	}
	return most
}

// breakDown shrinks Broken by attacks: an attack that minimises where there is one, then attacks at radii between the largest
// that failed and the smallest that did not.
func (s *solver) breakDown(ctx context.Context, b *Bracket, x []float64, label int, most float64, root uint64) error {
	if len(s.a.methods) == 0 {
		return nil
	}
	failed, eps := 0.0, most
	if m, ok := s.minimiser(); ok {
		b.Steps++
		w, err := s.a.attack(ctx, m, x, label, math.Inf(1), root, s.opt.Workers)
		switch {
		case w != nil:
			b.broken(w, "attack "+m.name())
			eps = between(0, b.Broken)
		case err != nil && ctx.Err() == nil:
			return err
		}
	}
	for ctx.Err() == nil && eps > 0 {
		b.Steps++
		w, name, err := s.a.run(ctx, x, label, eps, seed.Derive(root, strconv.FormatFloat(eps, 'g', -1, 64)), s.opt.Workers)
		if w == nil && err != nil && ctx.Err() == nil {
			return err
		}
		if w != nil {
			b.broken(w, "attack "+name)
		} else if failed = eps; eps == most {
			return nil
		}
		if eps = between(failed, b.Broken); b.Broken-failed <= 0.02*b.Broken {
			return nil
		}
	}
	return nil
}

// minimiser is the attack that makes perturbations small, if there is one for the norm and it is not asked for others.
func (s *solver) minimiser() (*method, bool) {
	m, ok := evasion.Lookup("fab")
	if !ok || !m.Minimal || !slices.Contains(m.Norms, s.opt.Norm) || s.m.replay == nil || len(s.opt.Attacks) > 0 {
		return nil, false
	}
	if _, uniform := constant(s.opt.Domain.Unit, 1); !uniform {
		return nil, false // it would minimise another distance
	}
	return &method{text: m.Name, m: m}, true
}

// smallest is the least radius of interest: below it a bracket is not narrowed.
const smallest = 1e-6

// broken takes a counterexample.
func (b *Bracket) broken(w *Witness, by string) {
	if w.Distance < b.Broken {
		b.Broken, b.Witness, b.By = w.Distance, w, by
	}
}

// proveUp raises Proved: first towards the broken radius, then between what is proved and what was not. A question gets at most a
// third of the time that is left, so that a hard one does not use it all.
func (s *solver) proveUp(ctx context.Context, b *Bracket, x []float64, label int, most float64, root uint64,
	end time.Time) error {
	for ctx.Err() == nil {
		top := min(b.Broken, b.Open)
		if math.IsInf(top, 1) {
			if top = 2 * most; b.Proved >= most {
				return nil
			}
		}
		eps := between(b.Proved, top)
		if eps <= b.Proved || eps >= top || top-b.Proved <= 0.02*top {
			return nil
		}
		b.Steps++
		question := s.opt
		question.Timeout = max(time.Until(end)/3, 20*time.Millisecond)
		t := &solver{m: s.m, opt: question, a: &attacker{m: s.m, d: s.opt.Domain, norm: s.opt.Norm}} // the attacks had their turn
		ans, err := t.decide(ctx, x, label, eps, root)
		if err != nil {
			return err
		}
		switch ans.Verdict {
		case Holds:
			b.Proved = eps
		case Violated:
			b.broken(ans.Witness, ans.By)
		default:
			if ctx.Err() == nil || eps < b.Open {
				b.Open = min(b.Open, eps)
			}
		}
	}
	b.Incomplete = true
	return nil
}

// between returns a decimal number of at most three digits between lo and hi, rounded up to a float64: the middle, or far below
// hi the geometric mean, as long as it lies strictly between them.
func between(lo, hi float64) float64 {
	mid := lo + (hi-lo)/2
	if lo < hi/8 {
		mid = math.Sqrt(max(lo, hi/16) * hi)
	}
	if mid < smallest {
		return lo
	}
	text := strconv.FormatFloat(mid, 'e', 2, 64)
	eps, err := ParseEps(text)
	if err != nil || !(eps > lo && eps < hi) {
		return lo
	}
	return eps
}

// A RadiusRecord is the bracket of one item: one line of a results file.
type RadiusRecord struct {
	Index      int      `json:"index"`
	Name       string   `json:"name"`
	Label      int      `json:"label"`
	Pred       int      `json:"pred"`
	Clean      bool     `json:"clean"`
	Proved     float64  `json:"proved"`
	Broken     *float64 `json:"broken"` // null: no counterexample was found
	By         string   `json:"by,omitempty"`
	Class      *int     `json:"class,omitempty"`
	Steps      int      `json:"steps"`
	Incomplete bool     `json:"incomplete,omitempty"`
	Seconds    float64  `json:"seconds"`
}

func (r *RadiusRecord) index() int { return r.Index }

// RadiiOptions steer Radii; see EvalOptions.
type RadiiOptions struct {
	Options         // Timeout is for one item
	Most    float64 // the largest radius of interest, 0: the width of the valid range
	Log     *Log
	Done    func(*RadiusRecord)
	Earlier func([]*RadiusRecord)
}

// Radii narrows the bracket of every item of a set and returns the records by index; see Evaluate.
func (m *Model) Radii(ctx context.Context, set *data.Set, opt RadiiOptions) ([]*RadiusRecord, error) {
	s, err := m.checked(set, opt.Options)
	if err != nil {
		return nil, err
	}
	return each(ctx, set, opt.Log, opt.Workers, opt.Earlier, opt.Done, func(ctx context.Context, i int) (*RadiusRecord, error) {
		x, label := set.Item(i), set.Labels[i]
		y, err := s.m.Scores(x)
		if err == nil {
			var b *Bracket
			if b, err = s.bracket(ctx, x, label, opt.Most, seed.Derive(opt.Seed, "radius", strconv.Itoa(i))); err == nil {
				return radiusRecord(b, i, set, y), nil
			}
		}
		return nil, fmt.Errorf("item %d (%s): %w", i, set.Names[i], err)
	})
}

func radiusRecord(b *Bracket, i int, set *data.Set, y []float64) *RadiusRecord {
	_, margin := rival(y, set.Labels[i])
	r := &RadiusRecord{Index: i, Name: set.Names[i], Label: set.Labels[i], Pred: access.Argmax(y), Clean: margin > 0,
		Proved: b.Proved,
		By:     b.By, Steps: b.Steps, Incomplete: b.Incomplete, Seconds: b.Wall.Seconds()}
	if b.Witness != nil {
		r.Broken, r.Class = &b.Broken, &b.Witness.Class
	}
	return r
}
