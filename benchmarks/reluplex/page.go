package reluplex

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spai-project/certify/verify"
)

// Blocks names the measured blocks of the page in their order.
var Blocks = []string{"properties", "instances", "robustness", "slack"}

// ProgramSlack is up to what the paper's program took bounds as held.
const ProgramSlack = "0.001"

// Block returns the Markdown of a block. loose are the answers with ProgramSlack; head is the line that says what was measured
// when.
func (a *Answers) Block(name, head string, loose *Answers) (string, error) {
	switch name {
	case "properties":
		return head + "\n\n" + a.properties(), nil
	case "instances":
		return a.instances(), nil
	case "robustness":
		return head + "\n\n" + a.robustness(), nil
	case "slack":
		return "Exactly: " + a.Comparison() + "\n\nWith scores compared up to " + ProgramSlack + ": " + loose.Comparison() + "\n", nil
	}
	return "", fmt.Errorf("reluplex: there is no block %q", name)
}

// A table is Markdown in the making.
type table struct{ strings.Builder }

func newTable(left int, head ...string) *table {
	t := &table{}
	t.row(head...)
	rule := make([]string, len(head))
	for i := range rule {
		if rule[i] = "--:"; i < left {
			rule[i] = "---"
		}
	}
	t.row(rule...)
	return t
}

func (t *table) row(cells ...string) { fmt.Fprintf(t, "| %s |\n", strings.Join(cells, " | ")) }

// properties is Table 2, a row for each property.
func (a *Answers) properties() string {
	t := newTable(2, "φ", "claim", "paper", "s", "depth", "splits", "here", "s", "CPU s", "sub-problems", "slowest s")
	var all Outcome
	asked := 0
	for i, p := range Properties() {
		var result, secs, depth, splits []string
		for _, r := range p.Published {
			result = append(result, fmt.Sprintf("%d %s", r.Networks, r.Result))
			secs, depth, splits = append(secs, known(r.Seconds)), append(depth, known(r.Depth)), append(splits, known(r.Splits))
		}
		var sum Outcome
		var slowest time.Duration
		for _, in := range a.Instances[i] {
			sum.add(in.Outcome)
			slowest = max(slowest, in.Wall)
			asked++
		}
		all.add(sum)
		t.row(fmt.Sprint(p.Number), p.Claim, join(result), join(secs), join(depth), join(splits), tally(a.Instances[i]),
			seconds(sum.Wall), seconds(sum.CPU), thousands(sum.Bounded), seconds(slowest))
	}
	t.row("", fmt.Sprintf("all %d", asked), "", "", "", "", "", seconds(all.Wall), seconds(all.CPU), thousands(all.Bounded), "")
	return t.String()
}

// Comparison says in a sentence or more what differs from the paper.
func (a *Answers) Comparison() string {
	var properties, cells []string
	for i, p := range Properties() {
		if d := difference(&p, a.Instances[i]); d != "" {
			properties = append(properties, d)
		}
	}
	agree := 0
	for i, p := range Points() {
		for k, c := range a.Cells[i] {
			if c.Verdict.String() == p.Published[k].Result {
				agree++
			} else {
				cells = append(cells, fmt.Sprintf("point %d, δ = %s is %s", i+1, Radii[k], word(c.Outcome)))
			}
		}
	}
	s := "no answer to a property contradicts the paper"
	if len(properties) > 0 {
		s = strings.Join(properties, ";\n")
	}
	s += fmt.Sprintf(";\n%d of %d cells of Table 3 are the paper's", agree, agree+len(cells))
	if len(cells) > 0 {
		s += ", but " + strings.Join(cells, ", ")
	}
	return s + "."
}

// difference says how the numbers of sat and unsat contradict the paper's. Networks on which either side has no answer may be
// either.
func difference(p *Property, got []Instance) string {
	published := map[string]int{}
	for _, r := range p.Published {
		published[r.Result] += r.Networks
	}
	here := map[verify.Verdict][]string{}
	for _, in := range got {
		here[in.Verdict] = append(here[in.Verdict], in.Network.String())
	}
	sat, unsat := here[verify.Violated], here[verify.Holds]
	open := len(got) - len(sat) - len(unsat) + published["timeout"]
	if len(sat) <= published["sat"]+open && len(unsat) <= published["unsat"]+open {
		return ""
	}
	few, which := sat, "sat"
	if len(sat) == 0 || len(unsat) > 0 && len(unsat) < len(sat) {
		few, which = unsat, "unsat"
	}
	return fmt.Sprintf("φ%d is %d sat and %d unsat (%s: %s) where the paper has %d and %d", p.Number, len(sat), len(unsat), which,
		strings.Join(few, ", "), published["sat"], published["unsat"])
}

// tally counts the verdicts.
func tally(all []Instance) string {
	n := map[string]int{}
	for _, in := range all {
		n[in.Verdict.String()]++
	}
	var parts []string
	for _, v := range []verify.Verdict{verify.Holds, verify.Violated, verify.Timeout, verify.Unknown} {
		if c := n[v.String()]; c > 0 {
			parts = append(parts, fmt.Sprintf("%d %v", c, v))
		}
	}
	return join(parts)
}

// instances has every answer of Table 2: a grid of networks for each property that is asked of many, and a table of the others.
func (a *Answers) instances() string {
	var b strings.Builder
	single := newTable(3, "φ", "network", "answer", "s", "sub-problems")
	for i, p := range Properties() {
		if len(p.Networks) == 1 {
			for _, in := range a.Instances[i] {
				single.row(fmt.Sprint(p.Number), in.Network.String(), word(in.Outcome), seconds(in.Wall), thousands(in.Bounded))
			}
			continue
		}
		fmt.Fprintf(&b, "φ%d, answer and seconds:\n\n%s\n", p.Number, networkGrid(a.Instances[i]))
	}
	return b.String() + "The others:\n\n" + single.String()
}

func networkGrid(all []Instance) string {
	head := []string{"a \\ τ"}
	for t := 1; t <= 9; t++ {
		head = append(head, fmt.Sprint(t))
	}
	g := newTable(1, head...)
	for prev := 1; prev <= 5; prev++ {
		row := []string{fmt.Sprint(prev)}
		for t := 1; t <= 9; t++ {
			cell := ""
			if k := slices.IndexFunc(all, func(in Instance) bool { return in.Network == (Network{prev, t}) }); k >= 0 {
				cell = word(all[k].Outcome) + " " + seconds(all[k].Wall)
			}
			row = append(row, cell)
		}
		g.row(row...)
	}
	return g.String()
}

// robustness is Table 3.
func (a *Answers) robustness() string {
	head := []string{"point", "advisory there"}
	for _, r := range Radii {
		head = append(head, "δ = "+r)
	}
	t := newTable(2, append(head, "total s")...)
	var all Outcome
	asked, published := 0, 0
	for i, p := range Points() {
		row := []string{fmt.Sprintf("%d (%s)", i+1, strings.Join(p.X[:], ", ")), advisories[a.Advisories[i]]}
		var sum Outcome
		total := 0
		for k, c := range a.Cells[i] {
			pub := p.Published[k]
			row = append(row, fmt.Sprintf("%s %s / %s %s", word(c.Outcome), seconds(c.Wall), pub.Result, thousands(pub.Seconds)))
			sum.add(c.Outcome)
			total += pub.Seconds
			asked += c.Asked
		}
		all.add(sum)
		published += total
		t.row(append(row, seconds(sum.Wall)+" / "+thousands(total))...)
	}
	return t.String() + fmt.Sprintf("\n%d questions, %s s of wall time, %s s of processor time, %s sub-problems; the paper: %s s.\n",
		asked, seconds(all.Wall), seconds(all.CPU), thousands(all.Bounded), thousands(published))
}

// word is the verdict with the reason when it is none.
func word(o Outcome) string {
	if o.Verdict == verify.Unknown && o.Reason != "" {
		return "unknown (" + o.Reason + ")"
	}
	return o.Verdict.String()
}

func join(parts []string) string { return strings.Join(parts, ", ") }

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// known is a published number, where there is one.
func known(n int) string {
	if n == 0 {
		return "–"
	}
	return thousands(n)
}

// thousands writes 1234567 as 1 234 567.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
