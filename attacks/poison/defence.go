package poison

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/data"
)

// A Defence is one way to look for poison in a training set, or to repair a network that was trained on it.
type Defence struct {
	Name, Doc string
	Source    string // authors, year
	Params    []Param
	// Net says that the defence looks into a network that was trained on the suspicious set.
	Net bool
	// Trusted says that the defence needs data that are known to be clean.
	Trusted bool
	// Repairs says that the defence repairs the network and leaves the set as it is.
	Repairs bool
	run     func(*defending) error
}

// InspectOptions are what a defender has, beside the parameters of the defence.
type InspectOptions struct {
	// Net was trained on the suspicious set. Defences with the parameter space look at its features when that says so.
	Net *Split
	// Trusted are data that are known to be clean. Filters take their centroids and thresholds from them if there are any.
	Trusted *data.Set
	// Classes is the number of classes; 0 takes the largest label plus 1.
	Classes int
	Seed    uint64
	Workers int // 0: as many as there are processors
	// Progress is called now and then with the part of the work that is done.
	Progress func(done, total int)
}

// Findings are what a defence says about a set.
type Findings struct {
	// Defence is the defence with all its parameters, as Inspect reads it.
	Defence string
	// Suspect tells for every item whether it should go.
	Suspect []bool
	// Scores say how suspicious every item is; nil if the defence has no scores. Those of different classes need not compare.
	Scores []float64
	// Labels, if not nil, are what the items should be labelled.
	Labels []int
	// Net, if not nil, is the repaired network.
	Net *Split
	// Notes are further results in words.
	Notes []string
}

// defending is a defence under way.
type defending struct {
	*InspectOptions
	ctx    context.Context
	params params
	name   string
	set    *data.Set // must not be changed
	out    *Findings
}

func (d *defending) num(name string) float64 { return d.params[name] }
func (d *defending) int(name string) int     { return int(d.params[name]) }

// neighbours returns the parameter k, a number of neighbours.
func (d *defending) neighbours() (int, error) {
	k := d.int("k")
	if k < 1 || k > 1<<20 {
		return 0, fmt.Errorf("poison: %s: k=%d", d.name, k)
	}
	return k, nil
}

func (d *defending) stream(path ...string) *rand.Rand {
	return seed.Stream(d.Seed, append([]string{"inspect", d.name}, path...)...)
}

func (d *defending) progress(done, total int) {
	if d.Progress != nil {
		d.Progress(done, total)
	}
}

// defences is the registry.
var defences = []*Defence{sphere, slab, lossFilter, svdFilter, knnFilter, influenceRank, outlierFactor, sanitise, clustering,
	spectral,
	finePruning}

// Defences returns every defence, sorted by name.
func Defences() []*Defence { return sorted(defences, func(d *Defence) string { return d.Name }) }

// LookupDefence returns the defence that a text like "spectral:eps=0.1" names, or nil.
func LookupDefence(text string) *Defence {
	name, _, _ := strings.Cut(text, ":")
	return find(defences, name, func(d *Defence) string { return d.Name })
}

// Inspect looks for poison in a training set by a defence with parameters, as in "spectral:eps=0.1". The set is not changed. An
// error is that of ctx, or says what does not fit.
func Inspect(ctx context.Context, text string, set *data.Set, o InspectOptions) (*Findings, error) {
	name, rest, _ := strings.Cut(text, ":")
	m := LookupDefence(text)
	if m == nil {
		return nil, fmt.Errorf("poison: no defence %q", name)
	}
	p, err := parse(name, rest, m.Params)
	if err != nil {
		return nil, err
	}
	if o.Classes, err = checked(set, o.Classes); err != nil {
		return nil, err
	}
	if o.Trusted != nil {
		if _, err := checked(o.Trusted, o.Classes); err != nil {
			return nil, fmt.Errorf("poison: trusted data: %w", err)
		}
		if o.Trusted.Dim() != set.Dim() {
			return nil, fmt.Errorf("poison: trusted items have %d numbers, training items %d", o.Trusted.Dim(), set.Dim())
		}
	}
	switch {
	case m.Trusted && o.Trusted == nil:
		return nil, fmt.Errorf("poison: %s needs trusted data", name)
	case (m.Net || p["space"] == 1) && o.Net == nil:
		return nil, fmt.Errorf("poison: %s needs a network trained on the set", name)
	case o.Net != nil && (o.Net.Full.Inputs() != set.Dim() || o.Net.Full.Classes() < o.Classes):
		return nil, fmt.Errorf("poison: a network with %d inputs and %d classes for items of %d numbers in %d classes",
			o.Net.Full.Inputs(), o.Net.Full.Classes(), set.Dim(), o.Classes)
	}
	d := &defending{InspectOptions: &o, ctx: ctx, params: p, name: name, set: set,
		out: &Findings{Defence: describe(name, m.Params, p), Suspect: make([]bool, set.Len())}}
	if err := m.run(d); err != nil {
		return nil, err
	}
	return d.out, nil
}

// Apply returns the set without the suspects, with the labels that the defence gives.
func (f *Findings) Apply(set *data.Set) *data.Set {
	var keep []int
	for i, s := range f.Suspect {
		if !s {
			keep = append(keep, i)
		}
	}
	out := set.Select(keep)
	if f.Labels != nil {
		for k, i := range keep {
			out.Labels[k] = f.Labels[i]
		}
	}
	return out
}

// Flagged returns the items that the defence removes or relabels, in order.
func (f *Findings) Flagged(set *data.Set) []int {
	var at []int
	for i, s := range f.Suspect {
		if s || f.Labels != nil && f.Labels[i] != set.Labels[i] {
			at = append(at, i)
		}
	}
	return at
}

// Compare returns the share of the flagged items that the attack wrote and the share of what it wrote that is flagged; NaN where
// there are none.
func Compare(flagged []int, r *Record) (precision, recall float64) {
	hits := 0
	for _, i := range flagged {
		if r.Changed[i] {
			hits++
		}
	}
	share := func(n int) float64 {
		if n == 0 {
			return math.NaN()
		}
		return float64(hits) / float64(n)
	}
	return share(len(flagged)), share(len(r.Indices()))
}

// space is the parameter of defences that can look at inputs or at features.
var space = Param{Name: "space", Words: []string{"inputs", "features"},
	Doc: "where distances are measured: at the inputs, or before the last layer"}

// view is a set as rows of numbers, in the space that was asked for.
type view struct {
	x      []float64
	width  int
	labels []int
	class  [][]int // the rows of every class
}

func (v *view) row(i int) []float64 { return v.x[i*v.width:][:v.width] }

// rows returns some rows, one after the other.
func (v *view) rows(at []int) []float64 {
	x := make([]float64, 0, len(at)*v.width)
	for _, i := range at {
		x = append(x, v.row(i)...)
	}
	return x
}

func (d *defending) view(set *data.Set, features bool) (*view, error) {
	v := &view{x: set.X, width: set.Dim(), labels: set.Labels, class: make([][]int, d.Classes)}
	if features {
		var err error
		if v.x, err = d.Net.featureRows(d.ctx, set.X, d.Workers); err != nil {
			return nil, err
		}
		v.width = d.Net.Features.Classes()
	}
	for i, y := range set.Labels {
		v.class[y] = append(v.class[y], i)
	}
	return v, nil
}

// views returns the set, and what the defender measures it by: the trusted data, or the set itself.
func (d *defending) views() (set, reference *view, err error) {
	features := d.params["space"] == 1
	if set, err = d.view(d.set, features); err != nil || d.Trusted == nil {
		return set, set, err
	}
	reference, err = d.view(d.Trusted, features)
	return set, reference, err
}

// remove flags the items of every class whose score is above the class' quantile of the reference scores.
func (d *defending) remove(set *view, scores []float64, reference *view, referenceScores []float64, quantile float64) error {
	if !(quantile >= 0 && quantile <= 1) {
		return fmt.Errorf("poison: %s: keep=%v: want a share of each class, from 0 to 1", d.name, quantile)
	}
	d.out.Scores = scores
	for c, at := range set.class {
		var s []float64
		for _, i := range reference.class[c] {
			s = append(s, referenceScores[i])
		}
		if len(s) == 0 {
			continue
		}
		limit := percentile(s, quantile)
		for _, i := range at {
			d.out.Suspect[i] = scores[i] > limit
		}
	}
	return nil
}

// keep is the parameter of filters that remove by quantile.
func keep(share float64) Param {
	return Param{Name: "keep", Default: share, Doc: "the share of each class, by score, that stays"}
}

// percentile returns the q-quantile with linear interpolation between order statistics. It sorts s.
func percentile(s []float64, q float64) float64 {
	slices.Sort(s)
	at := q * float64(len(s)-1)
	k := min(int(at), len(s)-1)
	if k+1 == len(s) || s[k] == s[k+1] { // which may be +Inf
		return s[k]
	}
	return s[k] + (at-float64(k))*(s[k+1]-s[k])
}

// centroids returns the mean of every class, nil for a class without items.
func (v *view) centroids() [][]float64 {
	mean := make([][]float64, len(v.class))
	for c, at := range v.class {
		if len(at) > 0 {
			mean[c] = v.mean(at)
		}
	}
	return mean
}

func (v *view) mean(at []int) []float64 {
	m := make([]float64, v.width)
	for _, i := range at {
		for k, x := range v.row(i) {
			m[k] += x / float64(len(at))
		}
	}
	return m
}

// NeedsNet reports whether a defence with parameters looks into a network.
func NeedsNet(text string) bool {
	m := LookupDefence(text)
	if m == nil {
		return false
	}
	name, rest, _ := strings.Cut(text, ":")
	p, err := parse(name, rest, m.Params)
	return err == nil && (m.Net || p["space"] == 1)
}
