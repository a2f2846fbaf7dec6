package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"path"
	"sort"
	"strconv"
	"strings"

	"github.com/spai-project/certify/verify/robust"
)

//go:embed page.html
var source string

var tmpl = template.Must(template.New("page").Parse(source))

// A Run is one results file of robust.Evaluate.
type Run struct {
	Path    string
	Header  *robust.Header
	Records []*robust.Record
}

// Write writes a page about the runs: counts in words, tables, curves, examples, what was not decided, times, and how to repeat
// it. The page holds no script and refers to nothing outside itself.
func Write(w io.Writer, runs []Run, tool string) error {
	v := struct {
		Title, Tool string
		Style       template.CSS
		Runs        []*view
	}{Title: "Robustness report", Tool: tool, Style: template.CSS(svgStyle)}
	for i := range runs {
		r, err := newView(&runs[i])
		if err != nil {
			return err
		}
		r.Number, r.Several = i+1, len(runs) > 1
		v.Runs = append(v.Runs, r)
	}
	if len(runs) == 1 {
		v.Title += ": " + v.Runs[0].Model + " on " + v.Runs[0].Data
	}
	return tmpl.Execute(w, v)
}

// A view is what the template shows of a run.
type view struct {
	Number       int
	Several      bool
	Model, Data  string
	Path         string
	H            *robust.Header
	Items, Total int // in the file; in the data
	Verified     bool
	Norm         string
	Domain       string
	Main         row // the radius of the headline
	Rows         []row
	Lead         string
	Chart        template.HTML
	Examples     []example
	Closest      []example
	Open         []open
	MoreOpen     int
	Times        []bar
	Spent        string
	Deciders     []decider
	Timeout      string
	Replayed     int
	Thin, Broken int
}

type row struct {
	robust.Row
	Text                                    string
	CleanPct, AttackedPct, CertPct          string
	OpenPct, BrokenPct                      string
	WProved, WOpen, WBroken, XOpen, XBroken string // widths and places in a bar of 100
	Time                                    string
}

type open struct {
	Name, Eps, Verdict, Why, Bound string
	Label                          int
}

type bar struct {
	Name  string
	Count int
	Width string
}

type decider struct {
	Name  string
	Count int
}

func newView(r *Run) (*view, error) {
	h := r.Header
	v := &view{Model: path.Base(h.Model.Path), Data: h.Data.Spec, Path: path.Base(r.Path), H: h, Items: len(r.Records),
		Total:    h.Data.Items,
		Verified: h.Proves(), Norm: normName(h.Options.Norm),
		Domain: domainWords(h)}
	sort.Slice(r.Records, func(i, j int) bool { return r.Records[i].Index < r.Records[j].Index })
	for k, s := range robust.Summary(r.Records) {
		v.Rows = append(v.Rows, newRow(s, epsText(h, k)))
	}
	if len(v.Rows) == 0 {
		return nil, fmt.Errorf("page: %s holds no records", r.Path)
	}
	v.Main = headline(v.Rows, v.Verified)
	v.Lead = lead(v)
	v.Chart = template.HTML(accuracyChart(v).svg(false))
	if err := v.examples(r); err != nil {
		return nil, err
	}
	v.undecided(r)
	v.times(r)
	if v.Timeout = "no time limit"; h.Options.Timeout > 0 {
		v.Timeout = seconds(h.Options.Timeout)
	}
	return v, nil
}

func newRow(s robust.Row, text string) row {
	r := row{Row: s, Text: text, CleanPct: pct(s.Clean, s.Items), AttackedPct: pct(s.Items-s.Broken, s.Items),
		CertPct: pct(s.Certified, s.Items),
		OpenPct: pct(s.Undecided, s.Items), BrokenPct: pct(s.Broken, s.Items), Time: seconds(s.Seconds)}
	width := func(n int) string { return strconv.FormatFloat(100*float64(n)/float64(s.Items), 'f', 2, 64) }
	r.WProved, r.WOpen, r.WBroken = width(s.Certified), width(s.Undecided), width(s.Broken)
	r.XOpen, r.XBroken = r.WProved, width(s.Certified+s.Undecided)
	return r
}

// headline chooses the radius that says most: the largest at which at least half of the items are proved; without proofs, not
// broken.
func headline(rows []row, verified bool) row {
	best := rows[0]
	for _, r := range rows {
		n := r.Certified
		if !verified {
			n = r.Items - r.Broken
		}
		if 2*n >= r.Items {
			best = r
		}
	}
	return best
}

// lead says the result in a few plain sentences.
func lead(v *view) string {
	m := &v.Main
	var b strings.Builder
	fmt.Fprintf(&b, "Of %s, the network classifies %d as labelled (%s). ", count(m.Items, "input", "inputs"), m.Clean, m.CleanPct)
	fmt.Fprintf(&b, "When every input may be changed by up to ε = %s (%s), ", m.Text, normWords(v.H.Options.Norm))
	if v.Verified {
		fmt.Fprintf(&b, "%d of them provably stay right whatever the change (%s), ", m.Certified, m.CertPct)
	}
	fmt.Fprintf(&b, "for %d a wrong answer is known (%s)", m.Broken, m.BrokenPct)
	switch {
	case !v.Verified:
		fmt.Fprintf(&b, ", and nothing is known about the other %d: no proof was attempted. The accuracy under attack is at most "+
			"%s.", m.Undecided, m.AttackedPct)
	case m.Undecided == 0:
		fmt.Fprintf(&b, ", and none is left open. The accuracy under the worst such change is %s exactly.", m.CertPct)
	default:
		fmt.Fprintf(&b, ", and %d could not be decided. The accuracy under the worst such change lies between %s and %s.",
			m.Undecided, m.CertPct, m.AttackedPct)
	}
	return b.String()
}

// accuracyChart draws bounds that hold between the radii too: what is proved at one holds below it, what is broken is broken
// above.
func accuracyChart(v *view) *Chart {
	last := v.Rows[len(v.Rows)-1]
	c := &Chart{Title: "Accuracy over the radius", XName: "radius ε (" + v.Norm + ")", Most: last.Eps * 1.02}
	if c.Most == 0 {
		c.Most = 1
	}
	clean := last.CleanAccuracy()
	c.Curves = append(c.Curves, Curve{Name: "clean accuracy", Class: "clean", X: []float64{0, c.Most}, Y: []float64{clean, clean}})
	attacked := Curve{Name: "not broken (upper bound)", Class: "open", X: []float64{0}, Y: []float64{clean}}
	proved := Curve{Name: "proved (lower bound)", Class: "proved", Before: true}
	for i := range v.Rows {
		r := &v.Rows[i]
		if r.Eps > 0 {
			attacked.X, attacked.Y = append(attacked.X, r.Eps), append(attacked.Y, r.Attacked())
		}
		if i == 0 && r.Eps > 0 {
			proved.X, proved.Y = append(proved.X, 0), append(proved.Y, r.CertifiedAccuracy())
		}
		proved.X, proved.Y = append(proved.X, r.Eps), append(proved.Y, r.CertifiedAccuracy())
	}
	proved.X, proved.Y = append(proved.X, c.Most), append(proved.Y, 0)
	c.Curves = append(c.Curves, attacked)
	if v.Verified {
		c.Curves = append(c.Curves, proved)
		c.Between = [2]int{1, 2}
	}
	return c
}

// maxOpen is the number of undecided answers that are listed.
const maxOpen = 60

func (v *view) undecided(r *Run) {
	for _, rec := range r.Records {
		for k := range rec.Eps {
			a := &rec.Eps[k]
			if a.Verdict != robust.Unknown && a.Verdict != robust.Timeout || !v.Verified {
				continue
			}
			if len(v.Open) == maxOpen {
				v.MoreOpen++
				continue
			}
			o := open{Name: rec.Name, Eps: epsText(v.H, k), Verdict: a.Verdict.String(), Why: a.Reason, Label: rec.Label}
			if a.Bound != nil {
				o.Bound = strconv.FormatFloat(*a.Bound, 'g', 3, 64)
			}
			v.Open = append(v.Open, o)
		}
	}
}

// times makes a histogram of the seconds that items took, and counts what decided.
func (v *view) times(r *Run) {
	ends := []float64{0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, math.Inf(1)}
	counts := make([]int, len(ends))
	by := map[string]int{}
	total := 0.0
	for _, rec := range r.Records {
		total += rec.Seconds
		for k, e := range ends {
			if rec.Seconds < e {
				counts[k]++
				break
			}
		}
		for k := range rec.Eps {
			a := &rec.Eps[k]
			v.Replayed += one(a.Replayed)
			if a.Verdict == robust.Violated {
				v.Broken++
				v.Thin += one(!a.AnyOrder && !a.Replayed)
			}
			name := a.By
			switch {
			case name == "":
				name = "nothing: left open"
			case name == "input":
				name = "the input itself is misclassified"
			case name == "search":
				name = "counterexample by the verifier"
			case a.From != nil && *a.From != a.Eps:
				name = "follows from another radius (" + name + ")"
			}
			by[name]++
		}
	}
	most := 1
	first, last := len(ends), 0
	for k, n := range counts {
		most = max(most, n)
		if n > 0 {
			first, last = min(first, k), k
		}
	}
	for k := first; k <= last; k++ {
		name := "under " + seconds(ends[k])
		switch {
		case k == len(ends)-1:
			name = "over " + seconds(ends[k-1])
		case k > 0:
			name = seconds(ends[k-1]) + " to " + seconds(ends[k])
		}
		v.Times = append(v.Times, bar{name, counts[k], strconv.FormatFloat(100*float64(counts[k])/float64(most), 'f', 1, 64)})
	}
	v.Spent = seconds(total)
	for name, n := range by {
		v.Deciders = append(v.Deciders, decider{name, n})
	}
	sort.Slice(v.Deciders, func(i, j int) bool {
		a, b := v.Deciders[i], v.Deciders[j]
		return a.Count > b.Count || a.Count == b.Count && a.Name < b.Name
	})
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// NotBroken is the number of items without a known counterexample.
func (r row) NotBroken() int { return r.Items - r.Broken }

// OpenWords says how many questions are open, listed or not.
func (v *view) OpenWords() string {
	return count(len(v.Open)+v.MoreOpen, "question about an input and a radius is open",
		"questions about an input and a radius are open")
}
