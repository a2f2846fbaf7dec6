package robust

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn/data"
)

var radii = []float64{0.01, 0.05, 0.1, 0.2, 0.3}

func options(workers int) EvalOptions {
	return EvalOptions{Options: Options{Domain: unitBox, Timeout: 20 * time.Second, Workers: workers}, Eps: radii, Pictures: 7}
}

// TestEvaluate compares every answer with the exact one, and says who is to have given it.
func TestEvaluate(t *testing.T) {
	m, set := larger(t), points(20)
	records, err := m.Evaluate(t.Context(), set, options(2))
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 20 {
		t.Fatalf("%d records", len(records))
	}
	kinds := map[string]int{}
	for i, r := range records {
		x := set.Item(i)
		if r.Index != i || r.Name != set.Names[i] || r.Label != set.Labels[i] || r.Clean != robustAt(x, r.Label, 0) ||
			r.Clean != (r.Pred == r.Label) {
			t.Errorf("record %d: %+v", i, r)
		}
		for k, a := range r.Eps {
			want := Violated
			if robustAt(x, r.Label, radii[k]) {
				want = Holds
			}
			if a.Verdict != want || a.Eps != radii[k] {
				t.Errorf("item %d at %v: %v, want %v", i, radii[k], a.Verdict, want)
			}
			if (a.Distance != nil) != (want == Violated) || want == Violated && *a.Distance > radii[k]*(1+1e-15) {
				t.Errorf("item %d at %v: the distance is %v", i, radii[k], a.Distance)
			}
			from := ""
			if a.From != nil && *a.From != a.Eps {
				from = " from another"
			}
			kinds[a.By+from]++
		}
		if kept := len(r.X) > 0; kept != (i < 7 && r.Clean && r.Eps[len(radii)-1].Verdict != Holds) {
			t.Errorf("item %d: values kept is %v", i, kept)
		} else if kept && !reflect.DeepEqual([]float64(r.X), x) {
			t.Errorf("item %d: other values kept", i)
		}
	}
	if kinds["proof"] == 0 || kinds["proof from another"] == 0 || kinds["attack pgd"] == 0 || kinds["input"] == 0 {
		t.Errorf("what decided: %v", kinds)
	}
}

// TestWorkersDoNotMatter, and neither does a second run.
func TestWorkersDoNotMatter(t *testing.T) {
	m, set := larger(t), points(12)
	var all [3]string
	for k, workers := range []int{1, 1, 4} {
		records, err := m.Evaluate(t.Context(), set, options(workers))
		if err != nil {
			t.Fatal(err)
		}
		all[k] = timeless(t, records)
	}
	if all[0] != all[1] || all[0] != all[2] {
		t.Errorf("records differ:\n%s\n%s\n%s", all[0], all[1], all[2])
	}
}

// timeless is the text of records without times.
func timeless(t *testing.T, records []*Record) string {
	t.Helper()
	var b strings.Builder
	for _, r := range records {
		c := *r
		c.Seconds, c.Eps = 0, append([]At{}, r.Eps...)
		for k := range c.Eps {
			c.Eps[k].Seconds = 0
		}
		line, err := json.Marshal(&c)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// read returns the timeless text of a results file and its number of records.
func read(t *testing.T, path string) (string, int) {
	t.Helper()
	_, records, err := ReadLog(path)
	if err != nil {
		t.Fatal(err)
	}
	return timeless(t, records), len(records)
}

// TestResume stops a run after some items, cuts the last line as a kill would, and goes on: the file is that of a run that was
// never stopped. A third run asks nothing.
func TestResume(t *testing.T) {
	m, set := larger(t), points(15)
	dir := t.TempDir()
	run := func(path string, stopAfter int) (asked int, err error) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		opt := options(2)
		if opt.Log, err = OpenLog(path, header(t, m, set, &opt), HeaderMayDiffer...); err != nil {
			t.Fatal(err)
		}
		opt.Done = func(*Record) {
			if asked++; asked == stopAfter {
				cancel(errors.New("stop"))
			}
		}
		_, err = m.Evaluate(ctx, set, opt)
		if cerr := opt.Log.Close(err == nil); cerr != nil {
			t.Fatal(cerr)
		}
		return asked, err
	}
	whole := filepath.Join(dir, "whole.jsonl")
	if asked, err := run(whole, 0); err != nil || asked != 15 {
		t.Fatalf("%d items, %v", asked, err)
	}
	want, _ := read(t, whole)

	part := filepath.Join(dir, "part.jsonl")
	first, err := run(part, 6)
	if err == nil || err.Error() != "stop" || first < 6 || first > 7 {
		t.Fatalf("stopped after %d items: %v", first, err)
	}
	if _, n := read(t, part); n != first {
		t.Fatalf("%d records kept of %d", n, first)
	}
	f, err := os.OpenFile(part, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"index":14,"na`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if asked, err := run(part, 0); err != nil || asked != 15-first {
		t.Fatalf("%d items asked after %d, %v", asked, first, err)
	}
	if got, _ := read(t, part); got != want {
		t.Errorf("the file differs from that of one run:\n%s\n%s", got, want)
	}
	if asked, err := run(part, 0); err != nil || asked != 0 {
		t.Errorf("a complete run asks %d items again, %v", asked, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".certify-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestOtherRun: a results file is not continued by a run that would give other records, and says what differs.
func TestOtherRun(t *testing.T) {
	m, set := larger(t), points(6)
	path := filepath.Join(t.TempDir(), "run.jsonl")
	opt := options(1)
	l, err := OpenLog(path, header(t, m, set, &opt), HeaderMayDiffer...)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
	other := points(6)
	other.Labels[0] = 1 - other.Labels[0]
	for name, c := range map[string]struct {
		set  *data.Set
		edit func(*EvalOptions)
	}{
		"options.eps":     {set, func(o *EvalOptions) { o.Eps = radii[1:] }},
		"options.seed":    {set, func(o *EvalOptions) { o.Seed = 1 }},
		"options.timeout": {set, func(o *EvalOptions) { o.Timeout = time.Second }},
		"options.norm":    {set, func(o *EvalOptions) { o.Norm = evasion.L2 }},
		"options.lower":   {set, func(o *EvalOptions) { o.Domain = Domain{} }},
		"options.attacks": {set, func(o *EvalOptions) { o.Attacks = []string{"fgsm"} }},
		"options.verify":  {set, func(o *EvalOptions) { o.NoVerify = true }},
		"data.values":     {other, func(*EvalOptions) {}},
	} {
		o := options(1)
		c.edit(&o)
		_, err := OpenLog(path, header(t, m, c.set, &o), HeaderMayDiffer...)
		var h *HeaderError
		if !errors.As(err, &h) || !strings.Contains(strings.Join(h.Diffs, "\n"), name+": the file has ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := options(8)
	h := header(t, m, set, &o)
	h.Command, h.Model.Path = "another", "elsewhere"
	if _, err := OpenLog(path, h, HeaderMayDiffer...); err != nil {
		t.Errorf("the same run from elsewhere: %v", err)
	}
}

// TestBadLog: what is no results file is refused with the line.
func TestBadLog(t *testing.T) {
	m, set := larger(t), points(3)
	opt := options(1)
	dir := t.TempDir()
	good, err := json.Marshal(header(t, m, set, &opt))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                                  "no header",
		"hello\n":                           ":1: no JSON",
		"[1]\n":                             ":1:",
		"{}\n":                              "the schema is",
		string(good) + "\nnull\n":           ":2: no JSON object",
		string(good) + "\n{\"index\":7}\n":  ":2: item 7 of a set of 3",
		string(good) + "\n{\"index\":-1}\n": ":2: item -1",
		string(good) + "\n{\"index\":0}\n":  ":2: 0 radii",
		string(good) + "\n{\"index\":0,\"eps\":3}\n": ":2:",
		string(good) + "\n\n":                        ":2: no JSON",
		strings.TrimSuffix(string(good), "}") + "\n": ":1: no JSON",
	} {
		path := filepath.Join(dir, "bad.jsonl")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, _, err := ReadLog(path)
		var f *FormatError
		if !errors.As(err, &f) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestEvaluateRefuses: bad data are refused before anything is asked.
func TestEvaluateRefuses(t *testing.T) {
	m := larger(t)
	change := func(f func(*data.Set)) *data.Set {
		s := points(5)
		f(s)
		return s
	}
	for want, c := range map[string]struct {
		set *data.Set
		eps []float64
	}{
		"no radius":               {points(5), nil},
		"the radius -1":           {points(5), []float64{-1}},
		"the data set is empty":   {&data.Set{Shape: []int{2}}, radii},
		"the data have no labels": {change(func(s *data.Set) { s.Labels = nil }), radii},
		"labels outside 0 … 1":    {change(func(s *data.Set) { s.Labels[2] = 7 }), radii},
		"only finite numbers":     {change(func(s *data.Set) { s.X[3] = math.NaN() }), radii},
		"item 1 (B)":              {change(func(s *data.Set) { s.X[2] = 1.5 }), radii},
		"network has 2 inputs": {&data.Set{Shape: []int{3}, X: make([]float64, 3), Labels: []int{0}, Names: []string{"0"}},
			radii},
		"which is no float32 number": {change(func(s *data.Set) { s.X[0] = 0.1 }), radii},
	} {
		o := options(1)
		o.Eps, o.Done = c.eps, func(*Record) { t.Errorf("%s: an item was asked", want) }
		if _, err := m.Evaluate(t.Context(), c.set, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestLadder: an answer at a smaller radius decides larger ones that were left open.
func TestLadder(t *testing.T) {
	far, near := 0.3, 0.1
	a := At{Eps: near, Verdict: Violated, By: "search", Distance: &near}
	b := a.at(far)
	if b.Eps != far || b.Verdict != Violated || *b.From != near || b.Seconds != 0 {
		t.Errorf("%+v", b)
	}
	if c := b.at(0.5); *c.From != near {
		t.Errorf("the source of %+v is lost", c)
	}
}

func TestSummary(t *testing.T) {
	rec := func(clean bool, v ...Verdict) *Record {
		r := &Record{Clean: clean}
		for k, w := range v {
			r.Eps = append(r.Eps, At{Eps: float64(k), Verdict: w, Seconds: 2})
		}
		return r
	}
	rows := Summary([]*Record{rec(true, Holds, Holds), rec(true, Holds, Timeout), rec(true, Holds, Violated), rec(false, Violated,
		Violated),
		rec(true, Unknown, Unknown)})
	want := []Row{{0, 5, 4, 1, 3, 1, 0, 10}, {1, 5, 4, 2, 1, 2, 1, 10}}
	if !reflect.DeepEqual(rows, want) {
		t.Fatalf("%+v, want %+v", rows, want)
	}
	r := &rows[1]
	if r.CleanAccuracy() != 0.8 || r.Attacked() != 0.6 || r.CertifiedAccuracy() != 0.2 ||
		r.Broken+r.Certified+r.Undecided != r.Items {
		t.Errorf("shares of %+v", r)
	}
	if Summary(nil) != nil {
		t.Error("rows of no records")
	}
}

func TestVector(t *testing.T) {
	v := Vector{0, -0.5, 1.25, float64(float32(0.1))}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var w Vector
	if err := json.Unmarshal(b, &w); err != nil || !reflect.DeepEqual(v, w) {
		t.Errorf("%s gives %v, %v", b, w, err)
	}
	for _, bad := range []string{`"AAA"`, `"!"`, `3`} {
		if json.Unmarshal([]byte(bad), &w) == nil {
			t.Errorf("%s passes", bad)
		}
	}
}
