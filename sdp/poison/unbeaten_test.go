package poison

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	attack "github.com/spai-project/certify/attacks/poison"
	"github.com/spai-project/certify/internal/seed"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/train"
)

// A contender is one certificate for answers, and what its attacker does who knows all: the strongest attack of a number of
// flips, or of insertions and deletions, on one item.
type contender struct {
	name    string
	flips   bool // its records speak of flips
	changes bool // its records speak of insertions and deletions
	binary  bool // for two classes alone
	draw    func(r *rand.Rand, p *Parameters)
	insider func(b *bout, i int, rec Record, flips, changes int) []*data.Set
	// least is the share of the items, of those that such an attack can reach at all, that one unit above the radius must move.
	least float64
}

var contenders = []contender{
	{"exact flips", true, false, true, func(r *rand.Rand, p *Parameters) {
		p.Method, p.Ridge = MethodFlips, []float64{0.01, 0.1}[r.IntN(2)]
	}, flipContributions, 0.95},
	{"smoothed flips", true, false, true, func(r *rand.Rand, p *Parameters) {
		p.Method, p.Ridge, p.Flip = MethodFlips, 0.1, []float64{0.02, 0.05, 0.1}[r.IntN(3)]
	}, flipContributions, 0.1},
	{"knn", true, true, false, func(r *rand.Rand, p *Parameters) { p.Method, p.K = MethodNeighbours, 1+r.IntN(10) }, crowd, 0.95},
	{"dpa", true, true, false, func(r *rand.Rand, p *Parameters) { p.Method, p.Models = MethodVotes, 3+r.IntN(9) }, bribe, 0.7},
	{"ss-dpa", true, true, false, func(r *rand.Rand, p *Parameters) {
		p.Method, p.Models, p.FlipsOnly = MethodVotes, 3+r.IntN(9), true
	}, bribe, 0.8},
	{"finite aggregation", true, true, false, func(r *rand.Rand, p *Parameters) {
		p.Method, p.Models, p.Copies = MethodVotes, 5+r.IntN(9), 2+r.IntN(2)
	}, bribe, 0.45},
	{"finite ss-aggregation", true, true, false, func(r *rand.Rand, p *Parameters) {
		p.Method, p.Models, p.Copies, p.FlipsOnly = MethodVotes, 5+r.IntN(9), 2+r.IntN(2), true
	}, bribe, 0.6},
}

// A bout is a drawn case: a certificate on a training set, for some items.
type bout struct {
	t           *testing.T
	r           *rand.Rand
	p           Parameters
	train, test *data.Set
	records     *Records
	nets        []*attack.Split
}

// TestUnbeaten plays every attack of package attacks/poison, and the strongest that an insider knows, against every certificate
// for answers: as large as the certificate of the attacked item allows, after which no item may change its class whose
// certificate covers what was changed. Larger ones must change classes often enough, or the test could not fail.
func TestUnbeaten(t *testing.T) {
	cases := 1050
	if testing.Short() {
		cases = 70
	}
	type score struct{ items, positive, attacks, reach, moved, beyond, broken int }
	scores := make([]score, len(contenders))
	names := map[string]bool{}
	for n := range cases {
		c, s := &contenders[n%len(contenders)], &scores[n%len(contenders)]
		b := newBout(t, uint64(n), c)
		for i := range b.test.Len() {
			rec := b.records.Items[i]
			s.items++
			if max(rec.Flips, rec.Changes) > 0 {
				s.positive++
			}
			all := b.assaults(c, i, rec.Flips, rec.Changes, names)
			for _, dirty := range append(all, c.insider(b, i, rec, rec.Flips, rec.Changes)...) {
				s.attacks++
				if j := b.beaten(dirty); j >= 0 {
					f, k := cost(b.train, dirty)
					t.Errorf("case %d, %s, %+v: %d flips or %d changes move item %d, whose record is %+v", n, c.name, b.p, f, k, j,
						b.records.Items[j])
				}
			}
			// One more.
			if dirty := c.insider(b, i, rec, rec.Flips+1, rec.Changes+1); len(dirty) > 0 && rec.Class >= 0 {
				s.reach++
				if slices.ContainsFunc(dirty, func(d *data.Set) bool { return !b.stays(d, i) }) {
					s.moved++
				}
			}
			if n/len(contenders)%3 == 0 {
				s.beyond++
				all := b.assaults(c, i, 2*rec.Flips+2, 2*rec.Changes+2, nil)
				if slices.ContainsFunc(all, func(d *data.Set) bool { return !b.stays(d, i) }) {
					s.broken++
				}
			}
		}
	}
	for i, s := range scores {
		c := contenders[i]
		t.Logf("%s: %d items, %d with a positive radius; %d attacks within; %d of %d moved by an insider with one more; "+
			"%d of %d by others with twice as many and two", c.name, s.items, s.positive, s.attacks, s.moved, s.reach, s.broken, s.beyond)
		if 4*s.positive < s.items || float64(s.moved) < c.least*float64(s.reach) || 10*s.broken < s.beyond {
			t.Errorf("%s: %+v: too few", c.name, s)
		}
	}
	for _, a := range attack.Attacks() {
		if !names[a.Name] {
			t.Errorf("the attack %s was not played", a.Name)
		}
	}
}

// newBout draws a case and certifies it.
func newBout(t *testing.T, root uint64, c *contender) *bout {
	t.Helper()
	b := &bout{t: t, r: rand.New(rand.NewPCG(root, 77))}
	d, classes := 2+b.r.IntN(3), 2
	if !c.binary {
		classes += b.r.IntN(2)
	}
	n := 8 + b.r.IntN(33)
	b.p = Parameters{Classes: classes, Pair: [2]int{0, 1}, Ridge: 0.001, Copies: 1, Seed: root}
	if c.draw(b.r, &b.p); b.p.Flip > 0 {
		n = min(n, 24) // the judge adds up all flips
	}
	gap := 1 + 2*b.r.Float64()
	b.train, b.test = toys(b.r, n, d, classes, gap), toys(b.r, 3, d, classes, gap)
	var err error
	if b.records, err = Certify(t.Context(), b.train, b.test, b.p, 1, nil); err != nil {
		t.Fatal(err)
	}
	if !c.binary {
		b.nets = surrogates(t, root, d, classes)
	}
	return b
}

// surrogates draws two networks, untrained and without activation functions, in which no features are 0.
func surrogates(t *testing.T, root uint64, d, classes int) (nets []*attack.Split) {
	t.Helper()
	for i := range uint64(2) {
		net, err := attack.NewSplit(2*root+i, []int{d}, []train.Layer{train.Dense{Out: 4}}, classes)
		if err != nil {
			t.Fatal(err)
		}
		nets = append(nets, net)
	}
	return nets
}

// toys draws items around a place for each class. The first items have one class each.
func toys(r *rand.Rand, n, d, classes int, gap float64) *data.Set {
	s := &data.Set{Shape: []int{d}}
	for i := range n {
		l := r.IntN(classes)
		if i < classes {
			l = i
		}
		for j := range d {
			v := r.NormFloat64()
			if j == l {
				v += gap
			}
			s.X = append(s.X, float64(float32(v)))
		}
		s.Labels, s.Names = append(s.Labels, l), append(s.Names, strconv.Itoa(i))
	}
	return s
}

// assaults runs the attacks of the registry against item i with at most so many flips, or insertions and deletions.
func (b *bout) assaults(c *contender, i, flips, changes int, names map[string]bool) []*data.Set {
	if !c.changes {
		changes = 0
	}
	class := b.records.Items[i].Class
	var out []*data.Set
	goal := (class + 1 + b.r.IntN(b.p.Classes-1)) % b.p.Classes
	for _, text := range script(b.r, b.train, max(flips, changes/2), changes/2, changes, goal) {
		if len(b.nets) == 0 && attack.LookupAttack(text).Nets > 0 {
			continue
		}
		p := incite(b.t, text, b.train, &attack.Options{Validation: b.test.Slice(i, i+1), Nets: b.nets, Target: b.test.Item(i),
			TargetLabel: class, Classes: b.p.Classes, Seed: b.r.Uint64(), Workers: 1})
		if names != nil {
			names[attack.LookupAttack(text).Name] = true
		}
		out = append(out, p.Set)
	}
	return out
}

// script returns the attacks that spend so many flips, changed items or inserted items. Backdoors mean the target.
func script(r *rand.Rand, s *data.Set, flips, changed, inserted, target int) []string {
	n := s.Len()
	own := 0
	for _, l := range s.Labels {
		if l == target {
			own++
		}
	}
	rate := func(count int) float64 { return min(1, (float64(count)+0.5)/float64(n)) }
	var out []string
	if flips > 0 {
		for _, rule := range []string{"random", "far", "near", "alfa"} {
			out = append(out, fmt.Sprintf("labelflip:rate=%v,rule=%s,rounds=2", rate(flips), rule))
		}
	}
	if changed > 0 && own < n {
		out = append(out, fmt.Sprintf("badnets:rate=%v,target=%d,size=1,margin=0", rate(min(changed, n-own)), target))
	}
	if changed > 0 && own > 0 {
		share := min(1, (float64(changed)+0.5)/float64(own))
		out = append(out, fmt.Sprintf("cleanlabel:rate=%v,target=%d,size=1,margin=0,steps=3", share, target))
	}
	if inserted > 0 {
		out = append(out, fmt.Sprintf("influence:rate=%v,rounds=3", rate(inserted)),
			fmt.Sprintf("backgradient:rate=%v,rounds=3,steps=10,model=%s", rate(inserted), []string{"logistic", "hinge"}[r.IntN(2)]))
	}
	if k := min(inserted, own); k > 0 {
		out = append(out, fmt.Sprintf("collision:count=%d,class=%d,rounds=5", k, target),
			fmt.Sprintf("polytope:count=%d,class=%d,rounds=5", k, target))
	}
	return out
}

// incite runs an attack.
func incite(t *testing.T, text string, s *data.Set, o *attack.Options) *attack.Poisoned {
	t.Helper()
	p, err := attack.Run(t.Context(), text, s, *o)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

// cost counts what was changed, whatever the attack says of itself: flips is −1 if it was more than labels. A changed item is a
// deleted and an inserted one. Sets that do not begin like the clean one are compared as bags.
func cost(clean, dirty *data.Set) (flips, changes int) {
	if dirty.Len() >= clean.Len() && dirty.Names[0] == clean.Names[0] {
		for i := range clean.Len() {
			switch {
			case !slices.Equal(clean.Item(i), dirty.Item(i)):
				flips, changes = math.MinInt32, changes+2
			case clean.Labels[i] != dirty.Labels[i]:
				flips, changes = flips+1, changes+2
			}
		}
		if extra := dirty.Len() - clean.Len(); extra > 0 {
			flips, changes = -1, changes+extra
		}
		return max(flips, -1), changes
	}
	bag := map[string]int{}
	for k, s := range []*data.Set{clean, dirty} {
		for i := range s.Len() {
			bag[fmt.Sprint(s.Item(i), s.Labels[i])] += 1 - 2*k
		}
	}
	for _, n := range bag {
		changes += max(n, -n)
	}
	return -1, changes
}

// beaten returns an item whose class changes although its record covers what was changed, −1 if there is none.
func (b *bout) beaten(dirty *data.Set) int {
	flips, changes := cost(b.train, dirty)
	for j, rec := range b.records.Items {
		covered := changes <= rec.Changes || flips >= 0 && flips <= rec.Flips
		if covered && !b.stays(dirty, j) {
			return j
		}
	}
	return -1
}

// stays trains on a poisoned set and reports whether an item has the class of its record.
func (b *bout) stays(dirty *data.Set, i int) bool {
	b.t.Helper()
	item, class := b.test.Slice(i, i+1), b.records.Items[i].Class
	if b.p.Method != MethodFlips {
		r, err := Certify(b.t.Context(), dirty, item, b.p, 1, nil)
		if err != nil {
			b.t.Fatal(err)
		}
		return r.Items[0].Class == class
	}
	g := b.contributions(dirty, i)
	if b.p.Flip == 0 {
		positive, _ := flipsToChange(g)
		return positive == (class == 1)
	}
	p := chance(g, b.p.Flip)
	if class == 0 {
		p = 1 - p
	}
	return p > 0.5
}

// contributions are α_i·y_i of a regression on a set of two classes, which may have lost one of them.
func (b *bout) contributions(s *data.Set, i int) []float64 {
	b.t.Helper()
	l, err := NewLinear(pairs(s), b.p.Ridge, 1)
	if err != nil {
		b.t.Fatal(err)
	}
	g := make([]float64, s.Len())
	l.contributions(g, make([]float64, l.d), b.test.Item(i))
	return g
}

// pairs makes class 1 of a set +1 and all others −1.
func pairs(s *data.Set) *Binary {
	b := &Binary{D: s.Dim(), X: s.X}
	for _, l := range s.Labels {
		b.Y = append(b.Y, int8(2*min(l, 1)-1))
	}
	return b
}

// chance is the probability of Σ ξ_i·g_i > 0 with ξ_i = −1 with probability q, else 1: all flips of one half meet all of the
// other.
func chance(g []float64, q float64) float64 {
	type outcome struct{ sum, p float64 }
	half := func(g []float64) []outcome {
		out := []outcome{{0, 1}}
		for _, v := range g {
			for _, o := range out[:len(out):len(out)] {
				out = append(out, outcome{o.sum - v, o.p * q})
			}
			for i := range out[:len(out)/2] {
				out[i].sum, out[i].p = out[i].sum+v, out[i].p*(1-q)
			}
		}
		slices.SortFunc(out, func(a, b outcome) int {
			if a.sum < b.sum {
				return -1
			}
			return 1
		})
		return out
	}
	lo, hi := half(g[:len(g)/2]), half(g[len(g)/2:])
	p, above, at := 0.0, 0.0, len(hi)
	for _, o := range lo {
		for at > 0 && hi[at-1].sum+o.sum > 0 {
			at--
			above += hi[at].p
		}
		p += o.p * above
	}
	return p
}

// relabel returns a set with other labels.
func relabel(s *data.Set, items []int, label func(i int) int) *data.Set {
	out := *s
	out.Labels = slices.Clone(s.Labels)
	for _, i := range items {
		out.Labels[i] = label(i)
	}
	return &out
}

// TestUnbeatenSmoothing lets the worst classifier play that has the certified probability of error: by Neyman and Pearson it errs
// where the smoothing flips most of the attacked labels. One flip more must beat the answer, and the classifier itself must err
// no more often than is certified.
func TestUnbeatenSmoothing(t *testing.T) {
	cases := 1000
	if testing.Short() {
		cases = 100
	}
	certain, near := 0, 0
	for n := range cases {
		r := rand.New(rand.NewPCG(uint64(n), 78))
		q := 0.02 + 0.4*r.Float64()
		g := make([]float64, 8+r.IntN(9))
		for i := range g {
			g[i] = 1 + r.Float64()*r.NormFloat64()
		}
		s, p := smooth(g, q), chance(g, q)
		if !s.Positive {
			p = 1 - p
		}
		if 1-p > math.Exp(s.LogError)*(1+1e-9) {
			t.Errorf("case %d: an error has probability %v, certified is %v", n, 1-p, math.Exp(s.LogError))
		}
		if 1-p > math.Exp(s.LogError)/10 {
			near++
		}
		if s.Flips < 0 {
			continue
		}
		certain++
		if s.Divergence > s.Flips {
			t.Errorf("case %d: the closed form gives %d flips, the lemma %d", n, s.Divergence, s.Flips)
		}
		if e := worstError(s.Flips, s.LogError, q); e >= 0.5 {
			t.Errorf("case %d: after %d flips a classifier errs with probability %v", n, s.Flips, e)
		}
		if e := worstError(s.Flips+1, s.LogError, q); s.Flips < len(g) && e < 0.5-1e-5 {
			t.Errorf("case %d: %d flips are certified; after one more no classifier errs more often than %v", n, s.Flips, e)
		}
	}
	t.Logf("%d cases, %d with a certain answer, %d with an error within a factor of 10 of the certified one", cases, certain, near)
	if 3*certain < cases || 5*near < cases {
		t.Error("too few")
	}
}

// worstError is how often a classifier errs after r flips that errs with a probability of exp(logErr) before, at most.
func worstError(r int, logErr, q float64) (after float64) {
	left, choose := math.Exp(logErr), 1.0
	for k := r; k >= 0; k-- {
		before := choose * math.Pow(q, float64(k)) * math.Pow(1-q, float64(r-k))
		share := min(1, left/before)
		after += share * choose * math.Pow(1-q, float64(k)) * math.Pow(q, float64(r-k))
		left -= share * before
		choose *= float64(k) / float64(r-k+1)
	}
	return after
}

// flipContributions flips the labels that contribute most to the answer.
func flipContributions(b *bout, i int, rec Record, flips, _ int) []*data.Set {
	if flips <= 0 || flips > b.train.Len() {
		return nil
	}
	g, order := b.contributions(b.train, i), b.r.Perm(b.train.Len())
	sign := float64(2*rec.Class - 1)
	slices.SortFunc(order, func(i, j int) int {
		if sign*g[i] > sign*g[j] {
			return -1
		}
		return 1
	})
	return []*data.Set{relabel(b.train, order[:flips], func(i int) int { return 1 - b.train.Labels[i] })}
}

// edit returns a set without some items and with copies of one more in front, which are nearer than others at their distance.
func edit(s *data.Set, gone map[int]bool, x []float64, labels []int) *data.Set {
	out := &data.Set{Shape: s.Shape}
	for k, l := range labels {
		out.X, out.Labels, out.Names = append(out.X, x...), append(out.Labels, l), append(out.Names, fmt.Sprint("new", k))
	}
	for i := range s.Len() {
		if !gone[i] {
			out.X, out.Labels, out.Names = append(out.X, s.Item(i)...), append(out.Labels, s.Labels[i]), append(out.Names, s.Names[i])
		}
	}
	return out
}

// crowd flips the nearest voters of the class, and inserts items where the attacked one is and deletes the nearest of its class
// in every mixture.
func crowd(b *bout, i int, rec Record, flips, changes int) (out []*data.Set) {
	x := b.test.Item(i)
	var own []int
	for k, l := range b.train.Labels {
		if l == rec.Class {
			own = append(own, k)
		}
	}
	far := func(k int) (sq float64) {
		for j, v := range b.train.Item(k) {
			sq += (v - x[j]) * (v - x[j])
		}
		return sq
	}
	slices.SortFunc(own, func(i, j int) int {
		if far(i) < far(j) {
			return -1
		}
		return 1
	})
	for c := range b.p.Classes {
		if c == rec.Class {
			continue
		}
		if flips > 0 && flips <= len(own) {
			out = append(out, relabel(b.train, own[:flips], func(int) int { return c }))
		}
		for deleted := range min(changes, len(own)) + 1 {
			gone := map[int]bool{}
			for _, k := range own[:deleted] {
				gone[k] = true
			}
			if changes > 0 {
				out = append(out, edit(b.train, gone, x, slices.Repeat([]int{c}, changes-deleted)))
			}
		}
	}
	return out
}

// bribe wins over the models that the answer depends on most, by the buckets that they train on: it inserts the attacked item
// under another label, moved by a little until it falls into the bucket, or flips the items of the bucket that change a vote.
func bribe(b *bout, i int, rec Record, flips, changes int) (out []*data.Set) {
	item := b.test.Slice(i, i+1)
	o := EnsembleOptions{Models: b.p.Models, Copies: b.p.Copies, FlipsOnly: b.p.FlipsOnly, Ridge: b.p.Ridge, Seed: b.p.Seed,
		Workers: 1}
	cast := func(s *data.Set) (*Spread, []uint8) {
		e, err := TrainEnsemble(b.t.Context(), s, b.p.Classes, o)
		if err != nil {
			b.t.Fatal(err)
		}
		v, err := e.Votes(b.t.Context(), item)
		if err != nil {
			b.t.Fatal(err)
		}
		return e.Spread, v
	}
	spread, votes := cast(b.train)
	for c := range b.p.Classes {
		if c == rec.Class {
			continue
		}
		// gain is what the votes of the models of a bucket give c over the leader.
		gain := func(h int) (g int) {
			for k := range spread.Copies() {
				g += score(votes[spread.model(h, k)], c, rec.Class)
			}
			return g
		}
		order := b.r.Perm(o.Models)
		slices.SortStableFunc(order, func(h, k int) int { return gain(h) - gain(k) })
		if changes > 0 {
			dirty := edit(b.train, nil, nil, nil)
			for _, h := range order[:min(changes, o.Models)] {
				dirty = edit(dirty, nil, b.fallInto(h, item.Item(0), c, o), []int{c})
			}
			out = append(out, dirty)
		}
		if flips <= 0 {
			continue
		}
		// Every flip alone, and then those that gain most, of different buckets.
		type flip struct{ item, bucket, gain int }
		var all []flip
		for h, rows := range partition(b.train, o.Models, !o.FlipsOnly) {
			for _, k := range rows {
				if b.train.Labels[k] != c {
					_, after := cast(relabel(b.train, []int{k}, func(int) int { return c }))
					g := 0
					for m := range votes {
						g += score(after[m], c, rec.Class) - score(votes[m], c, rec.Class)
					}
					all = append(all, flip{k, h, g})
				}
			}
		}
		slices.SortStableFunc(all, func(p, q flip) int { return q.gain - p.gain })
		used, items := map[int]bool{}, []int{}
		for _, f := range all {
			if len(items) < flips && !used[f.bucket] {
				used[f.bucket] = true
				items = append(items, f.item)
			}
		}
		out = append(out, relabel(b.train, items, func(int) int { return c }))
	}
	return out
}

// score is what a vote gives class c over the leader.
func score(vote uint8, c, leader int) int {
	switch int(vote) {
	case c:
		return 1
	case leader:
		return -1
	}
	return 0
}

// fallInto moves an item by a little until it belongs to a bucket.
func (b *bout) fallInto(bucket int, x []float64, label int, o EnsembleOptions) []float64 {
	r := seed.Stream(b.p.Seed, "unbeaten", strconv.Itoa(bucket))
	one := &data.Set{X: slices.Clone(x), Shape: []int{len(x)}, Labels: []int{label}, Names: []string{"x"}}
	for len(partition(one, o.Models, !o.FlipsOnly)[bucket]) == 0 {
		for j, v := range x {
			one.X[j] = v + 1e-6*r.NormFloat64()
		}
	}
	return one.X
}
