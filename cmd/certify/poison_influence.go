package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/attacks/poison"
	"github.com/spai-project/certify/nn/data"
)

// poisonInfluenceFlags are the flags of `certify poison influence`.
type poisonInfluenceFlags struct {
	poisonFlags
	index, top, leaveOut int
	damping              float64
	out                  string
}

func (a *app) poisonInfluenceCmd() *cobra.Command {
	f := &poisonInfluenceFlags{}
	c := &cobra.Command{
		Use:   "influence --data SPEC --test SPEC [--index N]",
		Short: "Rank training items by their influence on the loss of test items",
		Long: "Train logistic regression to convergence and rank the training items by influence functions: what the mean loss of\n" +
			"the test items would change by if an item were left out, to first order. --leave-out trains again without the first\n" +
			"items and compares.",
		Example: "  certify poison influence --data mnist:train[0:5000] --test mnist:test --index 8 -o top.png\n" +
			"  certify poison influence --data mnist:train --classes 1,7 --test mnist:test --leave-out 50 --json",
		Args: cobra.NoArgs,
	}
	f.register(c)
	fs := c.Flags()
	fs.IntVar(&f.index, "index", -1, "the item of --test whose loss counts, from 0 (default: the mean of all)")
	fs.IntVar(&f.top, "top", 10, "items shown of either sign")
	fs.IntVar(&f.leaveOut, "leave-out", 0, "train again without each of the `N` items of the largest influence")
	fs.Float64Var(&f.damping, "damping", 0, "added to the diagonal of the Hessian")
	fs.StringVarP(&f.out, "out", "o", "", "draw the test item and the items shown on this .png `file`")
	c.RunE = runE(func(c *cobra.Command, _ []string) error { return a.poisonInfluence(c.Context(), f) })
	return c
}

// An influence is one training item's.
type influenceRow struct {
	Item     int      `json:"item"`
	Name     string   `json:"name"`
	Label    int      `json:"label"`
	Foretold float64  `json:"change_foretold"`
	Actual   *float64 `json:"change_actual,omitempty"`
}

func (a *app) poisonInfluence(ctx context.Context, f *poisonInfluenceFlags) error {
	switch {
	case f.test == "":
		return usagef("for example --test mnist:test --index 8", "no test data are named")
	case f.top < 1 || f.leaveOut < 0 || !(f.damping >= 0):
		return usagef("", "--top must be positive, --leave-out and --damping cannot be negative")
	case f.out != "":
		if err := writable(f.out, "picture", "-o"); err != nil {
			return err
		}
	}
	set, test, classes, err := a.sets(&f.poisonFlags)
	if err != nil {
		return err
	}
	if f.index >= test.Len() {
		return usagef(fmt.Sprintf("%s holds %d items", f.test, test.Len()), "--index %d: there is no such item", f.index)
	}
	if f.index >= 0 {
		test = test.Slice(f.index, f.index+1)
	}
	show, end, err := a.stages(f.progress)
	if err != nil {
		return err
	}
	defer end()
	ctx, stop := signals(ctx)
	defer stop()
	start := time.Now()
	rows, loss, err := f.rank(ctx, set, test, classes, show("retrain"))
	if err != nil {
		return a.poisonError(ctx, err)
	}
	end()
	if f.out != "" {
		if err := f.draw(set, test, rows); err != nil {
			return err
		}
	}
	return a.tellInfluence(f, set, test, rows, loss, time.Since(start))
}

// rank returns all items, those whose removal would lower the test loss most first, and the test loss.
func (f *poisonInfluenceFlags) rank(ctx context.Context, set, test *data.Set, classes int, show stage) ([]influenceRow, float64,
	error) {
	m := &poison.Learner{Inputs: set.Dim(), Classes: classes, L2: f.l2}
	e, t := &poison.Examples{X: set.X, Labels: set.Labels}, &poison.Examples{X: test.X, Labels: test.Labels}
	theta, err := m.Fit(ctx, e, poison.Training{Tolerance: 1e-8, Workers: f.workers})
	if err != nil {
		return nil, 0, err
	}
	_, loss, err := m.Errors(ctx, theta, t, f.workers)
	if err != nil {
		return nil, 0, err
	}
	up, err := m.Influence(ctx, theta, e, t, poison.InfluenceOptions{Damping: f.damping, Workers: f.workers})
	if err != nil {
		return nil, 0, err
	}
	rows := make([]influenceRow, len(up))
	for i, v := range up {
		rows[i] = influenceRow{Item: i, Name: set.Names[i], Label: set.Labels[i], Foretold: -v / float64(len(up))}
	}
	sort.SliceStable(rows, func(i, j int) bool { return math.Abs(rows[i].Foretold) > math.Abs(rows[j].Foretold) })
	for k := range min(f.leaveOut, len(rows)) {
		if show != nil {
			show(k, f.leaveOut)
		}
		change, err := m.LeaveOut(ctx, theta, e, t, rows[k].Item, 1e-7, f.workers)
		if err != nil {
			return nil, 0, err
		}
		rows[k].Actual = &change
	}
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].Foretold < rows[j].Foretold })
	return rows, loss, nil
}

// ends returns the items of the most harm, and of the most help, the first of each first.
func (f *poisonInfluenceFlags) ends(rows []influenceRow) (harm, help []influenceRow) {
	n := min(f.top, len(rows))
	help = slices.Clone(rows[len(rows)-n:])
	slices.Reverse(help)
	return rows[:n], help
}

// draw puts the first test item, the harmful and the helpful items in three rows.
func (f *poisonInfluenceFlags) draw(set, test *data.Set, rows []influenceRow) error {
	lo, hi := slices.Min(set.X), slices.Max(set.X)
	if lo == hi {
		hi = lo + 1
	}
	first, err := data.Image(test.Item(0), set.Shape, lo, hi)
	if err != nil {
		return err
	}
	sheet := [][]image.Image{{first}}
	harm, help := f.ends(rows)
	for _, list := range [][]influenceRow{harm, help} {
		var row []image.Image
		for _, r := range list {
			m, err := data.Image(set.Item(r.Item), set.Shape, lo, hi)
			if err != nil {
				return err
			}
			row = append(row, m)
		}
		sheet = append(sheet, row)
	}
	m, err := contactSheet(sheet)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return err
	}
	return writeBytes(f.out, b.Bytes())
}

func (a *app) tellInfluence(f *poisonInfluenceFlags, set, test *data.Set, rows []influenceRow, loss float64,
	took time.Duration) error {
	r, pairs := agreement(rows)
	if f.json {
		return json.NewEncoder(a.out).Encode(map[string]any{"schema": "certify.poison.influence/1", "data": f.data,
			"sha256": set.Hash,
			"test":   f.test, "index": f.index, "l2": f.l2, "test_loss": loss, "items": rows, "left_out": pairs,
			"correlation": finiteOrNil(r),
			"seconds":     took.Seconds(), "tool": tool()})
	}
	fmt.Fprintf(a.out, "test loss %.6g over %d items; what it would change by if a training item were left out   %s\n", loss,
		test.Len(), clock(took))
	g := &grid{head: []string{"", "item", "label", "foretold", "actual"}, right: map[string]bool{"item": true, "label": true,
		"foretold": true, "actual": true}}
	harm, help := f.ends(rows)
	for k, list := range [][]influenceRow{harm, help} {
		for _, x := range list {
			actual := "-"
			if x.Actual != nil {
				actual = fmt.Sprintf("%+.4g", *x.Actual)
			}
			g.add([2]string{"harmful", "helpful"}[k], x.Item, x.Label, fmt.Sprintf("%+.4g", x.Foretold), actual)
		}
	}
	g.text(a.out)
	if pairs > 0 {
		fmt.Fprintf(a.out, "%d items left out one at a time: correlation %.4f\n", pairs, r)
	}
	if f.out != "" {
		a.notef("wrote     %s", strings.TrimSpace(f.out))
	}
	return nil
}

// agreement returns Pearson's correlation of what was foretold and what happened, over the items that were left out.
func agreement(rows []influenceRow) (r float64, pairs int) {
	var x, y, xx, yy, xy, n float64
	for _, row := range rows {
		if row.Actual != nil {
			a, b := row.Foretold, *row.Actual
			x, y, xx, yy, xy, n = x+a, y+b, xx+a*a, yy+b*b, xy+a*b, n+1
		}
	}
	return (n*xy - x*y) / math.Sqrt((n*xx-x*x)*(n*yy-y*y)), int(n)
}
