package benchmarks

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// CompareSchema names the JSON form of a Comparison.
const CompareSchema = "certify.compare/1"

// ErrNothingInCommon is returned for two sides without a common instance.
var ErrNothingInCommon = errors.New("no instance in common")

// CompareOptions say how two sides are compared.
type CompareOptions struct {
	// Floor replaces shorter times (seconds) in ratios: below it a time is the start of a process, not work. 0: 10 ms.
	Floor float64
	// CPU takes ratios of processor times, which other work on the machine disturbs less. Whether an instance is solved, and
	// PAR-2, remain matters of wall time. An instance whose processor time one side does not know has no ratio.
	CPU bool
	// Top bounds the lists Slower and Faster; 0: 5, negative: no lists.
	Top int
}

// A Comparison is two sides on the instances they have in common. B is measured against A: "gained" is what only B solved.
type Comparison struct {
	Schema         string    `json:"schema"`
	A              string    `json:"a"`
	B              string    `json:"b"`
	Measure        string    `json:"measure"` // of the ratios and pairings: "wall" or "cpu"
	Contradictions []string  `json:"contradictions"`
	Notes          []string  `json:"notes"` // what limits the comparison, in sentences
	Rows           []PairRow `json:"rows"`  // by suite, the total last unless there is one suite
	Gained         []Pairing `json:"gained"`
	Lost           []Pairing `json:"lost"`
	Slower         []Pairing `json:"slower"` // solved by both, by the seconds B took longer
	Faster         []Pairing `json:"faster"` // solved by both, by the seconds B took less
}

// A PairRow compares two sides on one suite, or on all when Suite is "total".
type PairRow struct {
	Suite  string  `json:"suite"`
	Common int     `json:"common"`
	A      Tally   `json:"a"`
	B      Tally   `json:"b"`
	Gained int     `json:"gained"` // solved by B only
	Lost   int     `json:"lost"`   // solved by A only
	Ratios *Ratios `json:"ratios"` // nil when no instance was solved by both
}

// A Tally is one side's part of a PairRow. PAR2 is the mean of the penalised times over the common instances, each with the
// limit that this side had.
type Tally struct {
	Solved int     `json:"solved"`
	Sat    int     `json:"sat"`
	Unsat  int     `json:"unsat"`
	PAR2   float64 `json:"par2_s"`
}

func (t *Tally) add(a *Answer) {
	if a.Solved() {
		t.Solved++
		if a.Verdict == "sat" {
			t.Sat++
		} else {
			t.Unsat++
		}
	}
	t.PAR2 += a.PAR2() // the sum for now; row divides
}

// A Pairing is one instance as both sides saw it. Seconds are of the comparison's measure, as recorded; Ratio is that of the floored times, 0
// when one side did not solve it.
type Pairing struct {
	Suite    string  `json:"suite"`
	Model    string  `json:"onnx"`
	Query    string  `json:"vnnlib"`
	VerdictA string  `json:"verdict_a"`
	VerdictB string  `json:"verdict_b"`
	SecondsA float64 `json:"seconds_a"`
	SecondsB float64 `json:"seconds_b"`
	Ratio    float64 `json:"ratio,omitempty"`
}

// Compare compares two sides on their common instances; without one it returns ErrNothingInCommon, wrapped.
func Compare(a, b *Side, o CompareOptions) (*Comparison, error) {
	keys := Common(a, b)
	if len(keys) == 0 {
		return nil, fmt.Errorf("benchmarks: %s and %s: %w (suites %s and %s)", a.Name, b.Name, ErrNothingInCommon,
			suitesOf(a), suitesOf(b))
	}
	o = o.defaults()
	c := &Comparison{Schema: CompareSchema, A: a.Name, B: b.Name, Measure: "wall", Contradictions: []string{}, Notes: notes(a, b, keys),
		Gained: []Pairing{}, Lost: []Pairing{}}
	if o.CPU {
		c.Measure = "cpu"
	}
	var both []Pairing
	total, suites := newRow("total"), []*row{}
	for _, key := range keys {
		x, y := a.Answers[key], b.Answers[key]
		if len(suites) == 0 || suites[len(suites)-1].Suite != x.Suite { // keys are sorted by suite
			suites = append(suites, newRow(x.Suite))
		}
		if s := contradiction(a, b, &x, &y); s != "" {
			c.Contradictions = append(c.Contradictions, s)
		}
		p := o.pair(&x, &y)
		switch {
		case p.Ratio > 0:
			both = append(both, p)
		case y.Solved() && !x.Solved():
			c.Gained = append(c.Gained, p)
		case x.Solved() && !y.Solved():
			c.Lost = append(c.Lost, p)
		}
		for _, r := range []*row{suites[len(suites)-1], total} {
			r.add(&x, &y, p.Ratio)
		}
	}
	if len(suites) != 1 {
		suites = append(suites, total)
	}
	for _, r := range suites {
		c.Rows = append(c.Rows, r.finish())
	}
	c.Slower = extremes(both, o.Top, func(p *Pairing) float64 { return p.SecondsB - p.SecondsA })
	c.Faster = extremes(both, o.Top, func(p *Pairing) float64 { return p.SecondsA - p.SecondsB })
	return c, nil
}

func (o CompareOptions) defaults() CompareOptions {
	if o.Floor <= 0 {
		o.Floor = 0.01
	}
	if o.Top == 0 {
		o.Top = 5
	}
	o.Top = max(o.Top, 0)
	return o
}

// pair puts two answers side by side; without a ratio unless both solved the instance in the same way and took a known time.
func (o CompareOptions) pair(x, y *Answer) Pairing {
	p := Pairing{x.Suite, x.Model, x.Query, x.Verdict, y.Verdict, x.Seconds, y.Seconds, 0}
	if o.CPU {
		p.SecondsA, p.SecondsB = x.CPU, y.CPU
	}
	if x.Solved() && y.Solved() && x.Verdict == y.Verdict && !(o.CPU && (x.CPU == 0 || y.CPU == 0)) {
		p.Ratio = max(p.SecondsB, o.Floor) / max(p.SecondsA, o.Floor)
	}
	return p
}

// row gathers a PairRow.
type row struct {
	PairRow
	ratios []float64
}

func newRow(suite string) *row { return &row{PairRow: PairRow{Suite: suite}} }

func (r *row) add(x, y *Answer, ratio float64) {
	r.Common++
	r.A.add(x)
	r.B.add(y)
	if ratio > 0 {
		r.ratios = append(r.ratios, ratio)
	}
	if y.Solved() && !x.Solved() {
		r.Gained++
	}
	if x.Solved() && !y.Solved() {
		r.Lost++
	}
}

func (r *row) finish() PairRow {
	r.A.PAR2 /= float64(r.Common)
	r.B.PAR2 /= float64(r.Common)
	r.Ratios = newRatios(r.ratios)
	return r.PairRow
}

// extremes returns the pairings with the largest positive cost among those whose ratio is not 1, largest first.
func extremes(all []Pairing, top int, cost func(*Pairing) float64) []Pairing {
	kept := []Pairing{}
	for i := range all {
		if cost(&all[i]) > 0 && all[i].Ratio != 1 {
			kept = append(kept, all[i])
		}
	}
	slices.SortStableFunc(kept, func(p, q Pairing) int { return cmp.Compare(cost(&q), cost(&p)) })
	return kept[:min(top, len(kept))]
}

// contradiction describes two claims that exclude each other, in time or late: those of the sides, or one of a side that we
// measured and the known answer. A peer that is wrong on its own is not ours to report.
func contradiction(a, b *Side, x, y *Answer) string {
	opposite := func(p, q string) bool { return decides(p) && decides(q) && p != q }
	truth := cmp.Or(x.Truth, y.Truth)
	if !opposite(x.Verdict, y.Verdict) && (a.Peer || !opposite(x.Verdict, truth)) && (b.Peer || !opposite(y.Verdict, truth)) {
		return ""
	}
	s := fmt.Sprintf("%s: %s %s: %s answered %s, %s answered %s", x.Suite, x.Model, x.Query, a.Name, x.Verdict, b.Name, y.Verdict)
	if decides(truth) {
		s += ", known to be " + truth
	}
	return s
}

// coverage says what one side holds and the other lacks.
func coverage(a, b *Side, common int) (list []string) {
	for _, p := range [][2]*Side{{a, b}, {b, a}} {
		if p[0].Peer {
			continue
		}
		if only := onlyIn(p[0], p[1]); len(only) > 0 {
			list = append(list, fmt.Sprintf("%s holds suites that %s does not: %s", p[0].Name, p[1].Name, strings.Join(only, ", ")))
		}
		if n := len(p[0].Answers) - common; n > 0 {
			list = append(list, fmt.Sprintf("%d of the %d instances of %s are not in %s", n, len(p[0].Answers), p[0].Name, p[1].Name))
		}
	}
	return list
}

// notes says what limits the comparison.
func notes(a, b *Side, keys []string) []string {
	list := append([]string{}, coverage(a, b, len(keys))...)
	limits, late, folders := 0, map[*Side]int{}, map[string]bool{}
	example := ""
	for _, key := range keys {
		x, y := a.Answers[key], b.Answers[key]
		if math.Abs(x.Limit-y.Limit) > 1e-6 {
			if limits++; limits == 1 {
				example = fmt.Sprintf("%s %s: %g s and %g s", x.Suite, x.Query, x.Limit, y.Limit)
			}
		}
		if x.Dir != y.Dir && x.Dir != "" && y.Dir != "" && !folders[x.Suite] {
			folders[x.Suite] = true
			list = append(list, fmt.Sprintf("suite %s was run from different folders: %s and %s", x.Suite, x.Dir, y.Dir))
		}
		for s, v := range map[*Side]*Answer{a: &x, b: &y} {
			if decides(v.Verdict) && v.late() {
				late[s]++
			}
		}
	}
	if limits > 0 {
		list = append(list, fmt.Sprintf("%d of the %d common instances had different limits (%s); each side is held to its own", limits,
			len(keys), example))
	}
	for _, s := range []*Side{a, b} {
		if late[s] > 0 {
			list = append(list, fmt.Sprintf("%d answers of %s came after the limit and do not count", late[s], s.Name))
		}
		if s.Peer {
			list = append(list, fmt.Sprintf("the times of %s are those of the competition, on another machine and with its own start-up", s.Name))
		}
	}
	return list
}

// onlyIn lists the suites of s that t lacks.
func onlyIn(s, t *Side) (only []string) {
	have := map[string]bool{}
	for _, v := range t.Answers {
		have[v.Suite] = true
	}
	for _, v := range s.Answers {
		if !have[v.Suite] {
			have[v.Suite] = true
			only = append(only, v.Suite)
		}
	}
	slices.Sort(only)
	return only
}

// suitesOf names the suites of a side.
func suitesOf(s *Side) string {
	if only := onlyIn(s, &Side{}); len(only) > 0 {
		return strings.Join(only, ", ")
	}
	return "none"
}
