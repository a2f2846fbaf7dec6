package evasion

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Loss is what an attack climbs: larger is closer to the goal.
type Loss uint8

const (
	// Margin is the goal's margin: for classes the difference of the best other score and the label's (Carlini and Wagner, "Towards
	// evaluating the robustness of neural networks", f6). Defined for every goal.
	Margin Loss = iota
	// CrossEntropy is −log p_label, or log p_target, its gradient computed from probabilities rounded to binary32 as deep-learning
	// frameworks do: exactly zero where the label's probability rounds to one, which is how distillation masks it. For goals that
	// are not about classes it is LogOdds.
	CrossEntropy
	// LogOdds is log(p/(1−p)) of reaching the goal, the smooth form of Margin: the direction of CrossEntropy without its underflow.
	// Polyhedra of several rows enter by the soft minimum of their rows. Defined for every goal.
	LogOdds
	// DLR is the difference of logits ratio (Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of
	// diverse parameter-free attacks"), invariant to shift and scale of the logits; for a targeted goal its targeted form. With too
	// few classes, and for goals that are not about classes, it is Margin.
	DLR
)

var lossNames = [...]string{"margin", "ce", "logodds", "dlr"}

func (l Loss) String() string { return lossNames[l] }

// ParseLoss reads a loss by its name.
func ParseLoss(s string) (Loss, error) {
	if k := slices.Index(lossNames[:], s); k >= 0 {
		return Loss(k), nil
	}
	return 0, fmt.Errorf("evasion: loss %q: want margin, ce, logodds or dlr", s)
}

// Value returns the loss at input x with outputs y. It adds the loss's gradient by the outputs to dy and, for rows that read
// inputs, to dx; either may be nil.
func (l Loss) Value(g *Goal, x, y, dy, dx []float64) float64 {
	switch {
	case l == CrossEntropy && g.Classes():
		return crossEntropy(g, y, dy)
	case l == DLR && g.Classes() && (g.target < 0 && len(y) >= 3 || len(y) >= 4):
		return dlr(g, y, dy)
	case l == CrossEntropy || l == LogOdds:
		return logOdds(g, x, y, dy, dx)
	}
	m, k, row := g.Margin(x, y)
	if dy != nil {
		g.pullRow(k, row, 1, dy, dx)
	}
	return m
}

func crossEntropy(g *Goal, y, dy []float64) float64 {
	c, s := g.label, 1.0 // climb −log p_label
	if g.target >= 0 {
		c, s = g.target, -1
	}
	top := slices.Max(y)
	sum := 0.0
	for _, v := range y {
		sum += math.Exp(v - top)
	}
	if dy != nil {
		p := float64(float32(math.Exp(y[c]-top) / sum))
		for j, v := range y {
			if j != c {
				dy[j] += s * float64(float32(math.Exp(v-top)/sum))
			}
		}
		dy[c] -= s * float64(float32(1-p))
	}
	return s * (top + math.Log(sum) - y[c])
}

// logOdds is log Σ_k exp(v_k) over the polyhedra, v_k = −log Σ exp(−slack) over the rows of one.
func logOdds(g *Goal, x, y, dy, dx []float64) float64 {
	v := make([]float64, len(g.cases))
	for k := range v {
		v[k] = g.softMargin(k, x, y)
	}
	total, w := logSumExp(v)
	if dy == nil || math.IsInf(total, 0) {
		return total
	}
	for k, rows := range g.cases {
		slack := make([]float64, len(rows))
		for r := range rows {
			slack[r] = -rows[r].Margin(x, y)
		}
		_, u := logSumExp(slack)
		for r := range rows {
			g.pullRow(k, r, w[k]*u[r], dy, dx)
		}
	}
	return total
}

func (g *Goal) softMargin(k int, x, y []float64) float64 {
	slack := make([]float64, len(g.cases[k]))
	for r := range slack {
		slack[r] = -g.cases[k][r].Margin(x, y)
	}
	s, _ := logSumExp(slack)
	return -s
}

// logSumExp returns log Σ exp(v) and the weights exp(v)/Σ exp(v); −∞ and nothing for no numbers.
func logSumExp(v []float64) (float64, []float64) {
	if len(v) == 0 {
		return math.Inf(-1), nil
	}
	top := slices.Max(v)
	w := make([]float64, len(v))
	sum := 0.0
	for i, e := range v {
		w[i] = math.Exp(e - top)
		sum += w[i]
	}
	for i := range w {
		w[i] /= sum
	}
	return top + math.Log(sum), w
}

// part is a summand of a gradient.
type part struct {
	j int
	s float64
}

// dlr climbs −(z_y − max_{j≠y} z_j)/(z_(1) − z_(3)), or (z_t − z_y)/(z_(1) − (z_(3)+z_(4))/2) for a target t, where without a label y
// is the best other class.
func dlr(g *Goal, y, dy []float64) float64 {
	order := make([]int, len(y))
	for j := range order {
		order[j] = j
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(y[b], y[a]) })
	up, down := g.target, g.label // the class to raise, the class to lower
	den, dden := y[order[0]]-y[order[2]], []part{{order[0], 1}, {order[2], -1}}
	if up < 0 {
		if up = order[0]; up == down {
			up = order[1]
		}
	} else {
		if down < 0 {
			if down = order[0]; up == down {
				down = order[1]
			}
		}
		den = y[order[0]] - (y[order[2]]+y[order[3]])/2
		dden = []part{{order[0], 1}, {order[2], -0.5}, {order[3], -0.5}}
	}
	num := y[up] - y[down]
	den += 1e-12
	if dy != nil {
		dy[up] += 1 / den
		dy[down] -= 1 / den
		for _, d := range dden {
			dy[d.j] -= d.s * num / (den * den)
		}
	}
	return num / den
}
