package poison

import (
	"slices"
	"strconv"

	"github.com/spai-project/certify/nn/data"
)

// Inserted stands in Record.Original for an item that was not in the set before the attack.
const Inserted = -1

// A Record says what an attack did to a set, item by item.
type Record struct {
	// Attack is the attack with all its parameters, as Run reads it.
	Attack string
	// Changed tells for every item of the poisoned set whether the attack wrote it: its input, its label, or all of it.
	Changed []bool
	// Original holds the label that every item had before, or Inserted.
	Original []int
}

// Poisoned is a training set after an attack. Items that were there before keep their places; inserted ones follow them.
type Poisoned struct {
	Record
	Set *data.Set
}

// Indices returns the items that the attack wrote, in order.
func (r *Record) Indices() []int {
	var at []int
	for i, c := range r.Changed {
		if c {
			at = append(at, i)
		}
	}
	return at
}

// newPoisoned returns a copy of the set in which nothing is changed yet.
func newPoisoned(set *data.Set) *Poisoned {
	s := *set
	s.X, s.Labels, s.Names = slices.Clone(set.X), slices.Clone(set.Labels), slices.Clone(set.Names)
	return &Poisoned{Record{Changed: make([]bool, set.Len()), Original: slices.Clone(set.Labels)}, &s}
}

// relabel gives item i a label.
func (p *Poisoned) relabel(i, label int) {
	p.Changed[i] = true
	p.Set.Labels[i] = label
}

// rewrite gives item i an input, whose values are rounded to float32, as files of data sets hold them.
func (p *Poisoned) rewrite(i int, x []float64) {
	p.Changed[i] = true
	for k, v := range x {
		p.Set.Item(i)[k] = float64(float32(v))
	}
}

// insert adds an item.
func (p *Poisoned) insert(x []float64, label int) {
	s := p.Set
	i := s.Len()
	s.X = append(s.X, x...)
	s.Labels = append(s.Labels, label)
	s.Names = append(s.Names, "poison"+strconv.Itoa(i))
	p.Changed, p.Original = append(p.Changed, true), append(p.Original, Inserted)
	p.rewrite(i, x)
}
