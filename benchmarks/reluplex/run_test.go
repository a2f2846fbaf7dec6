package reluplex

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/verify"
)

// affine has the scores y0 = 0, y1 = 0.06 + x0 + x1, y2 = 0.09 + x0 and y3 = y4 = 1, exact and without ReLUs.
const affine = `1,5,5,5,
5,5,
0,
-1,-1,-1,-1,-1,
1,1,1,1,1,
0,0,0,0,0,0,
1,1,1,1,1,1,
0,0,0,0,0,
1,1,0,0,0,
1,0,0,0,0,
0,0,0,0,0,
0,0,0,0,0,
0,
0.06,
0.09,
1,
1,
`

// everywhere has one network in place of all.
func everywhere(t *testing.T, text string) Runner {
	t.Helper()
	g, err := onnx.Options{}.ReadNNet([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r := Runner{networks: map[Network]*nn.Graph{}}
	for a := 1; a <= 5; a++ {
		for time := 1; time <= 9; time++ {
			r.networks[Network{a, time}] = g
		}
	}
	return r
}

// TestCell: advisories are asked about in turn up to the first that can be reached.
func TestCell(t *testing.T) {
	r := everywhere(t, affine)
	p := Points()[0]
	ctx := context.Background()
	best, err := r.Advisory(ctx, &p)
	if err != nil || best != clear {
		t.Fatal(best, err)
	}
	for radius, want := range map[string]Cell{
		"0.1":   {Asked: 1, Outcome: Outcome{Verdict: verify.Violated}},
		"0.029": {Asked: 4, Outcome: Outcome{Verdict: verify.Holds}},
		"0.031": {Asked: 1, Outcome: Outcome{Verdict: verify.Violated}},
	} {
		c, err := r.Cell(ctx, &p, radius, best)
		if err != nil || c.Asked != want.Asked || c.Verdict != want.Verdict {
			t.Errorf("radius %s: %+v, %v", radius, c, err)
		}
	}
	r.Slack = "0.003"
	if c, err := r.Cell(ctx, &p, "0.029", best); err != nil || c.Verdict != verify.Violated || c.Asked != 1 {
		t.Errorf("with slack: %+v, %v", c, err)
	}
	r = everywhere(t, strings.Replace(affine, "0.06,", "0.9,", 1))
	if c, err := r.Cell(ctx, &p, "0.1", best); err != nil || c.Verdict != verify.Violated || c.Asked != 2 {
		t.Errorf("second rival: %+v, %v", c, err)
	}
	r = everywhere(t, strings.Replace(affine, "0.06,", "0,", 1)) // a tie at the point
	if _, err := r.Advisory(ctx, &p); err == nil {
		t.Error("a tie has no advisory")
	}
}

// TestRun: everything is asked once and in order; the page says what came out.
func TestRun(t *testing.T) {
	r := everywhere(t, affine)
	reports := 0
	r.Report = func(string, Outcome) { reports++ }
	ticks := time.Duration(0)
	r.CPU = func() time.Duration { ticks++; return ticks }
	a, err := r.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if reports != 171+25 {
		t.Errorf("%d reports", reports)
	}
	for i, p := range Properties() {
		if !slices.EqualFunc(a.Instances[i], p.Networks, func(in Instance, n Network) bool { return in.Network == n && in.CPU == 1 }) {
			t.Errorf("φ%d: %v", p.Number, a.Instances[i])
		}
	}
	if _, err := a.Block("nothing", "", a); err == nil {
		t.Error("a block that does not exist")
	}
	page := ""
	for _, b := range Blocks {
		text, err := a.Block(b, "HEAD", a)
		if err != nil {
			t.Fatal(err)
		}
		page += text
	}
	for _, want := range []string{"41 unsat, 4 timeout", "| 45 unsat |", "1\u202f522\u202f384", "all 171", "| 5 | N1,1 | sat |",
		"1 (0, 0, 0, 0, 0) | clear of conflict | sat ", "φ5 is 1 sat and 0 unsat (sat: N1,1) where the paper has 0 and 1"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("enough")
	r.Report = func(string, Outcome) { cancel(cause) }
	if _, err := r.Run(ctx); err != cause {
		t.Errorf("%v, want %v", err, cause)
	}
	r = Runner{Data: t.TempDir()}
	if _, err := r.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "ACASXU_run2a_1_1_batch_2000.onnx") {
		t.Errorf("without networks: %v", err)
	}
}

// TestDifference: timeouts on either side may be anything; what is decided must fit.
func TestDifference(t *testing.T) {
	all := func(verdicts ...verify.Verdict) (in []Instance) {
		for i, v := range verdicts {
			in = append(in, Instance{Network{1 + i, 1}, Outcome{Verdict: v}})
		}
		return in
	}
	const sat, unsat, open = verify.Violated, verify.Holds, verify.Timeout
	paper := &Property{Number: 7, Published: []Published{{Networks: 2, Result: "unsat"}, {Networks: 1, Result: "sat"}}}
	late := &Property{Number: 7, Published: []Published{{Networks: 2, Result: "unsat"}, {Networks: 1, Result: "timeout"}}}
	for _, c := range []struct {
		p    *Property
		got  []Instance
		want string
	}{
		{paper, all(unsat, unsat, sat), ""},
		{paper, all(unsat, open, sat), ""},
		{paper, all(open, open, open), ""},
		{paper, all(unsat, sat, sat), "φ7 is 2 sat and 1 unsat (unsat: N1,1) where the paper has 1 and 2"},
		{paper, all(open, sat, sat), ""},
		{paper, all(sat, sat, sat), "φ7 is 3 sat and 0 unsat (sat: N1,1, N2,1, N3,1) where the paper has 1 and 2"},
		{paper, all(unsat, unsat, unsat), "φ7 is 0 sat and 3 unsat (unsat: N1,1, N2,1, N3,1) where the paper has 1 and 2"},
		{late, all(unsat, unsat, sat), ""},
		{late, all(unsat, unsat, unsat), ""},
		{late, all(unsat, sat, sat), "φ7 is 2 sat and 1 unsat (unsat: N1,1) where the paper has 0 and 2"},
	} {
		if got := difference(c.p, c.got); got != c.want {
			t.Errorf("%v: %q, want %q", c.got, got, c.want)
		}
	}
}
