package robust

import (
	"context"
	"fmt"
	"math"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/nn/data"
)

// A Warning is something about a network and its data that makes numbers mean less than they seem to.
type Warning struct{ Kind, Text string }

// inspected is the number of items that Inspect looks at.
const inspected = 16

// Inspect looks at the first items of a set: at whether the outputs are probabilities, whether there are gradients to follow, and
// whether the network classifies the data at all.
func (m *Model) Inspect(ctx context.Context, set *data.Set) ([]Warning, error) {
	n := min(set.Len(), inspected)
	probabilities, correct, moving := true, 0, 0
	for i := range n {
		y, err := m.Scores(set.Item(i))
		if err != nil {
			return nil, fmt.Errorf("item %d (%s): %w", i, set.Names[i], err)
		}
		probabilities = probabilities && distribution(y)
		if set.Labels == nil {
			continue
		}
		label := set.Labels[i]
		if _, margin := rival(y, label); margin > 0 {
			correct++
		}
		if ok, err := m.moves(ctx, set.Item(i), label); err != nil {
			return nil, err
		} else if ok {
			moving++
		}
	}
	var out []Warning
	if m.Cut {
		out = append(out, Warning{"softmax",
			"the network ends in a Softmax, which is left out: real arithmetic orders the scores below it as it orders the " +
				"probabilities, and their gradients do not vanish"})
	}
	if probabilities {
		out = append(out, Warning{"softmax",
			"the outputs are probabilities: gradients vanish where the network is sure, so attacks look weaker than " +
				"they are; export the network without its Softmax"})
	}
	if m.replay != nil && set.Labels != nil && moving == 0 {
		out = append(out, Warning{"gradients",
			fmt.Sprintf("the gradient is zero at each of the first %d items: it is likely masked, and gradient attacks "+
				"find nothing whatever the network is worth; try an attack that needs scores only, or BPDA", n)})
	}
	if classes := m.Classes(); set.Labels != nil && n >= 8 && correct*classes < n {
		out = append(out, Warning{"data",
			fmt.Sprintf("%d of the first %d items are classified as their labels, no better than guessing: check the scale of the "+
				"values (--scale, --mean, --std), the order of the classes and that these are the data of this network", correct, n)})
	}
	return out, nil
}

// distribution reports whether y could be probabilities of all classes.
func distribution(y []float64) bool {
	sum := 0.0
	for _, v := range y {
		if v < 0 || v > 1 {
			return false
		}
		sum += v
	}
	return math.Abs(sum-1) < 1e-5
}

// moves reports whether some input changes the lead of the label over its rival, by the gradient. Networks without gradients do.
func (m *Model) moves(ctx context.Context, x []float64, label int) (bool, error) {
	g, ok := m.scores.(access.Gradients)
	if !ok {
		return true, nil
	}
	y, dx := make([]float64, m.Classes()), make([]float64, m.Inputs())
	pull := func(_ int, y, dy []float64) {
		class, _ := rival(y, label)
		dy[label], dy[class] = -1, 1
	}
	if err := g.Gradients(ctx, access.Batch{N: 1, X: x, Draws: []uint64{0}}, y, pull, dx); err != nil {
		return false, err
	}
	for _, v := range dx {
		if v != 0 {
			return true, nil
		}
	}
	return false, nil
}
