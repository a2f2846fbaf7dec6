package poison

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/train"
)

func inspect(t *testing.T, text string, set *data.Set, o InspectOptions) *Findings {
	t.Helper()
	f, err := Inspect(ctx, text, set, o)
	if err != nil {
		t.Fatal(err)
	}
	if f.Scores != nil && len(f.Scores) != set.Len() || len(f.Suspect) != set.Len() {
		t.Errorf("%s: %d scores, %d suspects for %d items", text, len(f.Scores), len(f.Suspect), set.Len())
	}
	return f
}

// line is a set of numbers on a line.
func line(labels []int, x ...float64) *data.Set {
	s := &data.Set{X: x, Labels: labels, Shape: []int{1}}
	for i := range labels {
		s.Names = append(s.Names, strconv.Itoa(i))
	}
	return s
}

// TestFiltersKnown compares scores with values worked out by hand.
func TestFiltersKnown(t *testing.T) {
	labels := []int{0, 0, 0, 1, 1, 1}
	on := line(labels, 0, 1, 5, 10, 11, 12)
	plane := &data.Set{X: []float64{0, 0, 2, 0, 1, 3, 9, 0, 11, 0, 10, 3}, Labels: labels, Shape: []int{2}, Names: on.Names}
	for _, c := range []struct {
		text string
		set  *data.Set
		want []float64
		flag []int
	}{
		{"sphere:keep=0.9", on, []float64{2, 1, 3, 1, 0, 1}, []int{2}},
		{"slab:keep=0.9", plane, []float64{1, 1, 0, 1, 1, 0}, nil},
		{"sphere:keep=0.9", plane, []float64{math.Sqrt2, math.Sqrt2, 2, math.Sqrt2, math.Sqrt2, 2}, []int{2, 5}},
		{"knn:k=2,keep=0.9", on, []float64{6, 5, 9, 3, 2, 3}, []int{2}},
		{"svd:rank=1,keep=0.5", &data.Set{X: []float64{3, 0, 5, 0, 0, 1, 7, 0, 9, 0, 0, 2}, Labels: labels, Shape: []int{2},
			Names: on.Names},
			[]float64{0, 0, 1, 0, 0, 2}, []int{2, 5}},
	} {
		f := inspect(t, c.text, c.set, InspectOptions{})
		for i, v := range f.Scores {
			within(t, c.text, v, c.want[i], 1e-7)
		}
		if got := f.Flagged(c.set); !slices.Equal(got, c.flag) {
			t.Errorf("%s: flags %v, want %v", c.text, got, c.flag)
		}
	}
}

// TestTrustedReference: centroids and thresholds are those of the trusted data.
func TestTrustedReference(t *testing.T) {
	set, trusted := line([]int{0, 0, 0, 1, 1}, 0, 4, 5, 9, 10), line([]int{0, 0, 1, 1}, 0, 2, 9, 11)
	f := inspect(t, "sphere:keep=1", set, InspectOptions{Trusted: trusted})
	if got := f.Flagged(set); !slices.Equal(got, []int{1, 2}) || f.Scores[2] != 4 {
		t.Errorf("flags %v, score %v", got, f.Scores[2])
	}
}

// TestFactorKnown: an item of a regular grid has factor 1, one in the distance the ratio of the densities.
func TestFactorKnown(t *testing.T) {
	x := []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100}
	labels := make([]int, len(x))
	f := inspect(t, "lof:k=2,keep=0.95", line(labels, x...), InspectOptions{})
	within(t, "inside", f.Scores[5], 1, 1e-9)
	// 100 reaches 9 and 8 at 91 and 92: density 2/183. 9 has 8 and 7, at max(1, 1) and max(1, 2); 8 has 7 and 9, at 1 and max(2,
	// 1).
	within(t, "outside", f.Scores[10], (2.0/3+2.0/3)/2/(2.0/183), 1e-7)
	if got := f.Flagged(line(labels, x...)); !slices.Equal(got, []int{10}) {
		t.Errorf("flags %v", got)
	}
	copies := inspect(t, "lof:k=2", line([]int{0, 0, 0, 0}, 1, 1, 1, 1), InspectOptions{})
	if slices.ContainsFunc(copies.Scores, func(v float64) bool { return v != 1 }) {
		t.Errorf("copies: %v", copies.Scores)
	}
}

// TestRelabelKnown: a majority relabels, a tie with the own label does not, nor does a majority below η.
func TestRelabelKnown(t *testing.T) {
	set := line([]int{0, 1, 0, 0, 1, 1}, 0, 1, 2, 10, 11.1, 12)
	for text, want := range map[string][]int{
		"relabel:k=2":         {0, 0, 0, 1, 1, 1}, // four ties, of which 11.1 has one with a smaller label
		"relabel:k=3,eta=0.6": {0, 0, 0, 1, 0, 0},
		"relabel:k=3,eta=0.7": {0, 0, 0, 0, 1, 1},
	} {
		if f := inspect(t, text, set, InspectOptions{}); !slices.Equal(f.Labels, want) {
			t.Errorf("%s: %v, want %v", text, f.Labels, want)
		}
	}
}

// TestAgainstFlips: defences find flipped labels of well separated classes, and what they return is clean.
func TestAgainstFlips(t *testing.T) {
	clean := blobs(1, 300, 6, 3, 0.05)
	p, err := Run(ctx, "labelflip:rate=0.05", clean, Options{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"sphere", "slab", "loss", "knn", "lof", "influence", "relabel"} {
		f := inspect(t, text, p.Set, InspectOptions{Trusted: blobs(2, 90, 6, 3, 0.05)})
		precision, recall := Compare(f.Flagged(p.Set), &p.Record)
		least := 0.25 // filters by quantile also remove clean items
		if text == "relabel" || text == "influence" {
			least = 0.99
		}
		if !(precision >= least && recall == 1) {
			t.Errorf("%s: precision %v, recall %v", text, precision, recall)
		}
		out := f.Apply(p.Set)
		if text == "relabel" && !slices.Equal(out.Labels, clean.Labels) {
			t.Error("relabel: the labels are not those before the attack")
		}
		if text != "relabel" && out.Len() != p.Set.Len()-len(f.Flagged(p.Set)) {
			t.Errorf("%s: %d items are left", text, out.Len())
		}
	}
	for _, text := range []string{"sphere", "knn", "relabel", "loss", "lof"} { // without trusted data
		_, recall := Compare(inspect(t, text, p.Set, InspectOptions{}).Flagged(p.Set), &p.Record)
		if !(recall > 0.85) {
			t.Errorf("%s without trusted data: recall %v", text, recall)
		}
	}
}

// plain is a network whose features are its inputs.
func plain(t *testing.T, d, classes int) *Split {
	t.Helper()
	s, err := NewSplit(1, []int{d}, []train.Layer{train.Dense{Out: d}}, classes)
	if err != nil {
		t.Fatal(err)
	}
	clear(s.Full.Weights[:d*d])
	for k := range d {
		s.Full.Weights[k*d+k] = 1
	}
	s.Sync()
	return s
}

// TestSecondGroup: the features of one label have a second, smaller group, which the defences find; where there is none,
// clustering finds none.
func TestSecondGroup(t *testing.T) {
	const d = 8
	set := blobs(1, 600, d, 2, 0.05)
	r := &Record{Changed: make([]bool, set.Len()), Original: set.Labels}
	for i := 1; i < 80; i += 2 { // 40 of the 300 items of label 1
		r.Changed[i] = true
		for k := range d {
			set.Item(i)[k] += 0.1 * float64(1-k%2*2)
		}
	}
	for k := range set.X { // the mean lies on the other side of 0 than the second group of it: scores must be centred
		set.X[k] -= 3 * float64(1-k%2*2)
	}
	o := InspectOptions{Net: plain(t, d, 2)}
	for text, want := range map[string]float64{"spectral:eps=0.1333": 0.32, "clustering": 0.95,
		"clustering:reduce=pca,rule=silhouette":  0.95,
		"clustering:reduce=pca,dims=1,rule=both": 0.95} {
		f := inspect(t, text, set, o)
		precision, recall := Compare(f.Flagged(set), r)
		if !(precision >= want && recall >= 0.95) {
			t.Errorf("%s: precision %v, recall %v, want %v: %v", text, precision, recall, want, f.Notes)
		}
	}
	if f := inspect(t, "spectral:eps=0.1", set, o); len(f.Flagged(set)) != 90 {
		t.Errorf("spectral: %d items of two labels with 300 each are flagged, want 1.5·ε of each", len(f.Flagged(set)))
	}
}

// TestFinePruning: a network that has a unit for the trigger loses it, and only it.
func TestFinePruning(t *testing.T) {
	test := bars(2, 200, 2)
	trigger, err := ParseTrigger("badnets:target=1,size=2,margin=0", test.Shape, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	net, err := NewSplit(1, test.Shape, []train.Layer{train.Dense{Out: 3}, train.ReLU{}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	w := net.Full.Weights
	clear(w)
	for y := range 8 { // units 0 and 2 see the bars, unit 1 the trigger
		w[(y*8+1)*3], w[(y*8+2)*3+2] = 1, 1
	}
	for _, k := range trigger.at {
		w[k*3+1] = 1
	}
	w[64*3+1] = -3.9
	copy(w[65*3:], []float32{1, 0, 0, 1000, 0, 1})
	net.Sync()
	for _, c := range []struct {
		text   string
		before [2]float64
		after  [2]float64 // accuracy and success
	}{{"fineprune:drop=0,epochs=0", [2]float64{1, 1}, [2]float64{1, 0}}, {"fineprune:drop=1,epochs=0", [2]float64{1, 1},
		[2]float64{0.5, 0}}} {
		f := inspect(t, c.text, test, InspectOptions{Net: net, Trusted: bars(3, 200, 2)})
		for k, s := range []*Split{net, f.Net} {
			accuracy, err := s.Accuracy(ctx, test, 0)
			if err != nil {
				t.Fatal(err)
			}
			success, err := trigger.Success(ctx, s, test, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := [2]float64{accuracy, success}, [2][2]float64{c.before, c.after}[k]; got != want {
				t.Errorf("%s: accuracy and success %v, want %v %v", c.text, got, want, f.Notes)
			}
		}
	}
	f := inspect(t, "fineprune:drop=0.02,epochs=2", test, InspectOptions{Net: net, Trusted: bars(3, 200, 2)})
	if slices.Equal(f.Net.Full.Weights, net.Full.Weights) || f.Net.Full.Weights[64*3+1] != 0 {
		t.Error("training changed nothing, or brought the pruned unit back")
	}
}

// TestPrunedStays: training does not bring a pruned unit back.
func TestPrunedStays(t *testing.T) {
	set := bars(1, 200, 4)
	net := smallNet(t, 1, set, 8, 4, 3)
	h, err := lastHidden(net)
	if err != nil {
		t.Fatal(err)
	}
	saved := h.prune(3)
	net.Sync()
	if len(saved) != 65 {
		t.Errorf("%d weights into a unit of 64 inputs", len(saved))
	}
	if _, err := net.Fit(ctx, set, train.Recipe{Epochs: 3, LR: 5e-3}, train.Hooks[float32]{}); err != nil {
		t.Fatal(err)
	}
	f, err := net.featureRows(ctx, set.X, 0)
	if err != nil {
		t.Fatal(err)
	}
	live := 0
	for i, v := range f {
		if i%8 == 3 && v != 0 {
			t.Fatal("the pruned unit answers")
		}
		if v != 0 {
			live++
		}
	}
	if live == 0 {
		t.Error("no unit answers")
	}
}

// TestInspectRefuses wants errors, not panics, for what does not fit.
func TestInspectRefuses(t *testing.T) {
	set := blobs(1, 30, 4, 2, 0.1)
	for _, text := range []string{"none", "sphere:keep=2", "sphere:space=features", "spectral", "influence", "fineprune",
		"svd:rank=5",
		"knn:k=0", "lof:k=0", "relabel:eta=2", "loss:speed=1"} {
		if _, err := Inspect(ctx, text, set, InspectOptions{}); err == nil {
			t.Errorf("%s: accepted", text)
		}
	}
	one := *set
	one.Labels = make([]int, set.Len())
	if _, err := Inspect(ctx, "slab", &one, InspectOptions{}); err == nil {
		t.Error("slab with one class: accepted")
	}
}

// TestRegistries: every default reads back, every entry is documented.
func TestRegistries(t *testing.T) {
	check := func(name, doc, source string, list []Param) {
		p, err := parse(name, "", list)
		if err != nil || doc == "" || source == "" {
			t.Errorf("%s: %v", name, err)
		}
		_, rest, _ := strings.Cut(describe(name, list, p), ":")
		q, err := parse(name, rest, list)
		if err != nil {
			t.Error(err)
		}
		for _, x := range list {
			if q[x.Name] != p[x.Name] || x.Doc == "" {
				t.Errorf("%s: parameter %s does not read back, or is not documented", name, x.Name)
			}
		}
	}
	for _, a := range Attacks() {
		check(a.Name, a.Doc, a.Source, a.Params)
	}
	for _, d := range Defences() {
		check(d.Name, d.Doc, d.Source, d.Params)
	}
}
