package page

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/spai-project/certify/verify/robust"
)

// run makes records of a 2×2 picture: proved everywhere, proved and then open, broken at the larger radius, misclassified.
func run() Run {
	h := &robust.Header{Schema: robust.Schema, Command: "certify eval <net> --data 'x & y'"}
	h.Model.Path, h.Model.SHA256, h.Model.Inputs, h.Model.Classes = "dir/<net>.onnx", "abc", 4, 3
	h.Data.Spec, h.Data.Items, h.Data.Shape, h.Data.Names = "set[0:4]", 4, []int{1, 2, 2}, []string{"cat", "dog", "<b>"}
	h.Options.Eps, h.Options.EpsText, h.Options.Norm = []float64{0.1, 0.2}, []string{"1/10", "0.2"}, "linf"
	h.Options.Lower, h.Options.Upper, h.Options.Verify, h.Options.Semantics = []float64{0}, []float64{1}, true, "real"
	h.Options.Timeout, h.Options.Attacks = 10, []string{"pgd:steps=40"}
	d, zero, class, bound := 0.15, 0.0, 2, -0.25
	at := func(v robust.Verdict, by string) robust.At { return robust.At{Verdict: v, By: by, Seconds: 0.5} }
	open := at(robust.Timeout, "")
	open.Bound, open.Reason = &bound, "deadline"
	broken := at(robust.Violated, "attack pgd")
	broken.Distance, broken.Class = &d, &class
	wrong := at(robust.Violated, "input")
	wrong.Distance, wrong.Class, wrong.AnyOrder = &zero, &class, true
	x, y := robust.Vector{0, 1, 0.5, 0.25}, robust.Vector{0.125, 0.875, 0.5, 0.25}
	records := []*robust.Record{
		{Index: 2, Name: "c & d", Label: 1, Pred: 1, Clean: true, Margin: 2, Eps: []robust.At{at(robust.Holds, "proof"), broken},
			X: x, Adversarial: y},
		{Index: 0, Name: "a", Label: 0, Pred: 0, Clean: true, Margin: 5, Eps: []robust.At{at(robust.Holds, "proof"), at(robust.Holds,
			"proof")}, Seconds: 2},
		{Index: 1, Name: "b", Label: 0, Pred: 0, Clean: true, Margin: 3, Eps: []robust.At{at(robust.Holds, "proof"), open}, X: x},
		{Index: 3, Name: "e", Label: 0, Pred: 2, Margin: -1, Eps: []robust.At{wrong, wrong}},
	}
	for _, r := range records {
		for k := range r.Eps {
			r.Eps[k].Eps = h.Options.Eps[k]
		}
	}
	return Run{"runs/run.jsonl", h, records}
}

// text checks that a page is well-formed and refers to nothing outside, and returns its words and the number of each element.
func text(t *testing.T, page []byte) (words string, elements map[string]int) {
	t.Helper()
	elements = map[string]int{}
	d := xml.NewDecoder(bytes.NewReader(page))
	var b strings.Builder
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return strings.Join(strings.Fields(b.String()), " "), elements
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		switch e := tok.(type) {
		case xml.StartElement:
			elements[e.Name.Local]++
			for _, a := range e.Attr {
				if n := a.Name.Local; (n == "src" || n == "href") && !strings.HasPrefix(a.Value, "data:image/png;base64,") {
					t.Errorf("%s=%q refers to something outside", n, a.Value)
				}
				if strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("a handler: %s", a.Name.Local)
				}
			}
		case xml.CharData:
			b.Write(e)
			b.WriteByte(' ')
		}
	}
}

func write(t *testing.T, runs ...Run) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, runs, "certify test"); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPage(t *testing.T) {
	page := write(t, run())
	words, elements := text(t, page)
	for _, want := range []string{
		"How robust is <net>.onnx?", "4 inputs of set[0:4] · L∞ · values in [0, 1]",
		"Of 4 inputs, the network classifies 3 as labelled (75.0 %). When every input may be changed by up to ε = 1/10 (each value " +
			"by at most that much), " +
			"3 of them provably stay right whatever the change (75.0 %), for 1 a wrong answer is known (25.0 %), and none is left open. " +
			"The accuracy under the worst such change is 75.0 % exactly.",
		"1/10 75.0 % (3) 75.0 % (3) 0 1", "0.2 25.0 % (1) 50.0 % (2) 1 2",
		"Item c & d: class 1 (dog) becomes 2 (<b>) at distance 0.15", "full colour 0.125", "Item b, class 0 (cat), proved at ε = 1/10",
		"1 question about an input and a radius is open", "timed-out: deadline -0.25", "certify eval <net> --data 'x & y'",
		"In 1 of 3 cases the margin is so thin",
		"Made by certify test", "run.jsonl", "pgd:steps=40",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for name, n := range map[string]int{"img": 4, "script": 0, "link": 0, "article": 1, "svg": 2 + 1 + len(newTimes(t)),
		"figure": 2} {
		if elements[name] != n {
			t.Errorf("%d elements %s, want %d", elements[name], name, n)
		}
	}
	if bytes.Contains(page, []byte("not complete")) || strings.Contains(words, "ZgotmplZ") {
		t.Error("what does not belong there is there")
	}
	if !bytes.Equal(page, write(t, run())) {
		t.Error("the page differs from one time to the next")
	}
}

func newTimes(t *testing.T) []bar {
	r := run()
	v, err := newView(&r)
	if err != nil {
		t.Fatal(err)
	}
	return v.Times
}

// TestPages: what is missing is said, and several runs share a page.
func TestPages(t *testing.T) {
	cut := run()
	cut.Records = cut.Records[:2]
	attacked := run()
	attacked.Header.Options.Norm, attacked.Header.Options.Verify = "l2", false
	words, elements := text(t, write(t, cut, attacked))
	for _, want := range []string{"This run is not complete: 2 of 4 inputs are finished",
		"No proof was attempted: the verifier works in the norm L∞ only",
		"by that Euclidean length"} {
		if !strings.Contains(words, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if elements["article"] != 2 {
		t.Errorf("%d articles", elements["article"])
	}
	empty := run()
	empty.Records = nil
	if err := Write(io.Discard, []Run{empty}, ""); err == nil {
		t.Error("a page of nothing")
	}
}

// TestRadiusChart: the curves have a step for every item and end where the last item does.
func TestRadiusChart(t *testing.T) {
	d := 0.4
	records := []*robust.RadiusRecord{{Proved: 0.1, Broken: &d}, {Proved: 0.3}, {Proved: 0}}
	c := RadiusChart("a & b", records)
	open, proved := c.Curves[0], c.Curves[1]
	if got := open.Y[len(open.Y)-1]; got != 2.0/3 || open.X[len(open.X)-1] != 0.4 {
		t.Errorf("not broken: %v %v", open.X, open.Y)
	}
	if proved.Y[1] != 2.0/3 || proved.X[1] != 0.1 || proved.Y[2] != 1.0/3 || proved.X[2] != 0.3 || proved.Y[3] != 0 {
		t.Errorf("proved: %v %v", proved.X, proved.Y)
	}
	if !(c.Most >= 0.4) {
		t.Errorf("the chart ends at %v", c.Most)
	}
	var b bytes.Buffer
	if err := c.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	if words, elements := text(t, b.Bytes()); elements["polyline"] != 4 || elements["polygon"] != 1 || !strings.Contains(words,
		"a & b") {
		t.Errorf("%v %s", elements, words)
	}
	RadiusChart("none", nil).svg(true)
}
