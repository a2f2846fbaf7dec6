package poison

import (
	"fmt"
	"math"
	"slices"

	"github.com/spai-project/certify/internal/kernel"
)

// split returns what the attacker trains on and what it validates on: the whole set and the validation data, or two parts of the
// set.
func (a *attacking) split() (known, validation *Examples, err error) {
	if a.Validation != nil {
		return examples(a.set), examples(a.Validation), nil
	}
	n := a.set.Len()
	held := int(a.num("holdout") * float64(n))
	if held < 1 || held >= n {
		return nil, nil, fmt.Errorf("poison: %s: holdout=%v of %d items: want some to validate on and some to train on", a.name,
			a.num("holdout"), n)
	}
	order := a.stream("holdout").Perm(n)
	return examples(a.set.Select(order[held:])), examples(a.set.Select(order[:held])), nil
}

// withPoison returns the examples with points behind them that a climb will move, and where those begin: random examples under
// another label.
func (a *attacking) withPoison(known *Examples, points int) (e *Examples, from int) {
	from = len(known.Labels)
	e = &Examples{X: slices.Clone(known.X), Labels: slices.Clone(known.Labels)}
	d := a.set.Dim()
	r := a.stream("start")
	for range points {
		i := r.IntN(from)
		e.X = append(e.X, known.X[i*d:][:d]...)
		e.Labels = append(e.Labels, (known.Labels[i]+1+r.IntN(a.Classes-1))%a.Classes)
	}
	return e, from
}

// climb moves the inputs of the examples from the given one on, inside the box, along the gradient of a loss. A point moves by
// the same length whatever the size of its gradient, by less and less in the course of the rounds. The points with the highest
// loss are kept. evaluate returns the loss and writes its gradient to dx.
func (a *attacking) climb(e *Examples, from int, evaluate func(dx []float64) (float64, error)) error {
	d := a.set.Dim()
	x := e.X[from*d:]
	dx, best := make([]float64, len(x)), slices.Clone(x)
	most := math.Inf(-1)
	rounds := a.int("rounds")
	for round := range rounds + 1 {
		a.progress(round, rounds)
		loss, err := evaluate(dx)
		if err != nil {
			return err
		}
		if loss > most {
			most = loss
			copy(best, x)
		}
		length := a.num("step") * (1 - float64(round)/float64(rounds+1))
		for k := 0; k < len(x); k += d {
			if g := norm(dx[k : k+d]); g > 0 {
				kernel.Axpy(x[k:k+d], dx[k:k+d], length/g)
			}
		}
		for k, v := range x {
			x[k] = min(max(v, a.Lower), a.Upper)
		}
	}
	copy(x, best)
	return nil
}

// insertRow puts an example into the poisoned set.
func (a *attacking) insertRow(e *Examples, i int) {
	d := a.set.Dim()
	a.out.insert(e.X[i*d:][:d], e.Labels[i])
}
