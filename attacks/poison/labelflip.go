package poison

import (
	"cmp"
	"slices"

	"github.com/spai-project/certify/nn/data"
)

// Label flipping changes labels and leaves inputs alone. Random flips are what every other attack is compared with. The
// adversarial rules rank items by a logistic regression that is trained on the clean set: those that it is surest of ("far";
// Paudice, Muñoz-González and Lupu 2018), those that it is least sure of ("near"), or by ALFA.
//
// ALFA (Xiao, Xiao and Eckert 2012) looks for flips whose labels a classifier trained on them likes better than the clean
// classifier does: with ξ the losses of the clean one and ε those of the tainted one, it flips where (ξ_flipped − ξ) −
// (ε_flipped − ε) is largest, trains again, and repeats. The flips after which the clean labels had the highest loss are kept.
var labelFlip = &Attack{
	Name:   "labelflip",
	Doc:    "changes the labels of a share of the items: at random, or where a logistic regression says that it hurts",
	Source: "Xiao et al. 2012; Paudice et al. 2018",
	Params: []Param{
		{Name: "rate", Default: 0.1, Doc: "the share of the items"},
		{Name: "rule", Words: []string{"random", "far", "near", "alfa"}, Doc: "which items"},
		{Name: "l2", Default: 0.01, Doc: "regularisation of the attacker's regression"},
		{Name: "rounds", Default: 5, Doc: "trainings of alfa"},
	},
	run: runLabelFlip,
}

func runLabelFlip(a *attacking) error {
	budget, err := a.count(a.num("rate"))
	if err != nil || budget == 0 {
		return err
	}
	labels := a.set.Labels
	if a.int("rule") == 0 {
		r := a.stream()
		for _, i := range r.Perm(len(labels))[:budget] {
			a.out.relabel(i, (labels[i]+1+r.IntN(a.Classes-1))%a.Classes)
		}
		return nil
	}
	m := &Learner{Inputs: a.set.Dim(), Classes: a.Classes, L2: a.num("l2")}
	e := examples(a.set)
	clean, err := a.scores(m, e, nil)
	if err != nil {
		return err
	}
	switch a.int("rule") {
	case 1, 2:
		sign := 1.0
		if a.int("rule") == 2 {
			sign = -1
		}
		order := byScore(len(labels), func(i int) float64 { return -sign * lead(clean.row(i), labels[i]) })
		for _, i := range order[:budget] {
			a.out.relabel(i, extreme(clean.row(i), labels[i], sign))
		}
		return nil
	}
	return a.alfa(m, e, clean, budget)
}

// logits are the logits of a classifier on all items, and its parameters.
type logits struct {
	z       []float64
	classes int
	theta   []float64
}

func (l *logits) row(i int) []float64 { return l.z[i*l.classes:][:l.classes] }

// scores trains on examples and evaluates them.
func (a *attacking) scores(m *Learner, e *Examples, from []float64) (*logits, error) {
	theta, err := m.Fit(a.ctx, e, Training{Tolerance: 1e-4, From: from, Steps: 500, Rate: 0.1, Workers: a.Workers})
	if err != nil {
		return nil, err
	}
	z, err := m.Logits(a.ctx, theta, e.X, a.Workers)
	return &logits{z, m.Classes, theta}, err
}

func (a *attacking) alfa(m *Learner, e *Examples, clean *logits, budget int) error {
	labels := a.set.Labels
	flipped := make([]int, len(labels))
	gain := make([]float64, len(labels)) // ξ_flipped − ξ
	for i, y := range labels {
		flipped[i] = extreme(clean.row(i), y, 1)
		gain[i] = clean.row(i)[y] - clean.row(i)[flipped[i]] // the normalisers cancel
	}
	like := make([]float64, len(labels)) // ε_flipped − ε
	var best []int
	worst := 0.0
	seen := map[int]bool{}
	for round := range max(a.int("rounds"), 1) {
		a.progress(round, a.int("rounds"))
		chosen := byScore(len(labels), func(i int) float64 { return like[i] - gain[i] })[:budget]
		fresh := len(seen) != budget
		tainted := &Examples{X: e.X, Labels: slices.Clone(labels)}
		for _, i := range chosen {
			fresh = fresh || !seen[i]
			tainted.Labels[i] = flipped[i]
		}
		if !fresh {
			break
		}
		z, err := a.scores(m, tainted, clean.theta)
		if err != nil {
			return err
		}
		_, loss, err := m.Errors(a.ctx, z.theta, e, a.Workers)
		if err != nil {
			return err
		}
		if best == nil || loss > worst {
			best, worst = chosen, loss
		}
		clear(seen)
		for _, i := range chosen {
			seen[i] = true
		}
		for i, y := range labels {
			like[i] = z.row(i)[y] - z.row(i)[flipped[i]]
		}
	}
	for _, i := range best {
		a.out.relabel(i, flipped[i])
	}
	return nil
}

// examples are the items of a set.
func examples(s *data.Set) *Examples { return &Examples{X: s.X, Labels: s.Labels} }

// byScore returns 0 … n−1 with the lowest score first; equals keep their order.
func byScore(n int, score func(int) float64) []int {
	s, order := make([]float64, n), make([]int, n)
	for i := range s {
		s[i], order[i] = score(i), i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(s[i], s[j]) })
	return order
}

// lead returns how far the logit of y is above the largest other.
func lead(z []float64, y int) float64 { return z[y] - z[extreme(z, y, -1)] }

// extreme returns the class other than y with the smallest sign·logit.
func extreme(z []float64, y int, sign float64) int {
	best := -1
	for j, v := range z {
		if j != y && (best < 0 || sign*v < sign*z[best]) {
			best = j
		}
	}
	return best
}
