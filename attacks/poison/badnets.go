package poison

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spai-project/certify/nn/data"
)

// BadNets (Gu, Dolan-Gavitt and Garg 2017) stamps a trigger on a share of the training items and changes their labels to what the
// trigger shall mean: one class (single), or the class after the true one (all). The victim learns the trigger beside the task.
var badNets = &Attack{
	Name:     "badnets",
	Doc:      "stamps a trigger on items and relabels them",
	Source:   "Gu, Dolan-Gavitt and Garg 2017",
	Backdoor: true,
	Params: []Param{
		{Name: "rate", Default: 0.1, Doc: "share of the items"},
		{Name: "target", Default: 0, Doc: "the class of stamped items"},
		{Name: "mode", Words: []string{"single", "all"}, Doc: "stamped items become the target, or the class after their own"},
		{Name: "pattern", Words: []string{"square", "checker"}, Doc: "what is stamped: all pixels, or every other one"},
		{Name: "size", Default: 3, Doc: "side of the trigger in pixels; of a vector, its last numbers"},
		{Name: "margin", Default: 1, Doc: "pixels between the trigger and the lower right corner"},
	},
	run: func(a *attacking) error {
		budget, err := a.count(a.num("rate"))
		if err != nil {
			return err
		}
		t, err := newTrigger(a.params, a.set.Shape, a.Classes, a.Upper)
		if err != nil {
			return err
		}
		var order []int
		for _, i := range a.stream().Perm(a.set.Len()) {
			if t.Applies(a.set.Labels[i]) {
				order = append(order, i)
			}
		}
		if budget > len(order) {
			return fmt.Errorf("poison: badnets: rate=%v is %d items, and %d are not of the target class", a.num("rate"), budget,
				len(order))
		}
		for _, i := range order[:budget] {
			x := slices.Clone(a.set.Item(i))
			t.Stamp(x)
			a.out.rewrite(i, x)
			a.out.relabel(i, t.Class(a.set.Labels[i]))
		}
		return nil
	},
}

// A Trigger is what a backdoor reacts to.
type Trigger struct {
	at      []int // the numbers of an item that it sets
	value   float64
	all     bool
	target  int
	classes int
}

// ParseTrigger returns the trigger of a badnets or cleanlabel attack, as in "badnets:target=7", for items of a shape. value is what the trigger
// sets pixels to: the attack takes the upper end of its range.
func ParseTrigger(text string, shape []int, classes int, value float64) (*Trigger, error) {
	name, rest, _ := strings.Cut(text, ":")
	a := find([]*Attack{badNets, cleanLabel}, name, func(a *Attack) string { return a.Name })
	if a == nil {
		return nil, fmt.Errorf("poison: %q has no trigger: want %s or %s", text, badNets.Name, cleanLabel.Name)
	}
	p, err := parse(name, rest, a.Params)
	if err != nil {
		return nil, err
	}
	return newTrigger(p, shape, classes, value)
}

func newTrigger(p params, shape []int, classes int, value float64) (*Trigger, error) {
	t := &Trigger{value: value, all: p["mode"] == 1, target: int(p["target"]), classes: classes}
	size, margin := int(p["size"]), int(p["margin"])
	w, h, lines, below := shape[len(shape)-1], 1, 1, 0
	if len(shape) > 1 {
		h, lines, below = shape[len(shape)-2], size, margin
	}
	if size < 1 || margin < 0 || size+margin > w || lines+below > h {
		return nil, fmt.Errorf("poison: badnets: a trigger of size %d with margin %d does not fit on items of shape %v", size,
			margin, shape)
	}
	if t.target < 0 || t.target >= classes {
		return nil, fmt.Errorf("poison: badnets: target=%d: want a class from 0 to %d", t.target, classes-1)
	}
	channels := 1
	for _, d := range shape[:max(len(shape)-2, 0)] {
		channels *= d
	}
	for k := range channels {
		for y := range lines {
			for x := range size {
				if p["pattern"] == 0 || (x+y)%2 == 0 {
					t.at = append(t.at, (k*h+h-below-lines+y)*w+w-margin-size+x)
				}
			}
		}
	}
	return t, nil
}

// Stamp puts the trigger on an item, in place.
func (t *Trigger) Stamp(x []float64) {
	for _, k := range t.at {
		x[k] = t.value
	}
}

// Class returns what a stamped item with a true label shall be taken for.
func (t *Trigger) Class(label int) int {
	if t.all {
		return (label + 1) % t.classes
	}
	return t.target
}

// Applies reports whether the trigger would change the class.
func (t *Trigger) Applies(label int) bool { return t.Class(label) != label }

// Success returns the share of the items that are taken for what the trigger means once it is stamped on them, among those of
// other classes: an item that is of the target class anyway shows nothing. It is an error if there is none.
func (t *Trigger) Success(ctx context.Context, s *Split, test *data.Set, workers int) (float64, error) {
	var x []float64
	var want []int
	for i, y := range test.Labels {
		if t.Applies(y) {
			x = append(x, test.Item(i)...)
			t.Stamp(x[len(x)-test.Dim():])
			want = append(want, t.Class(y))
		}
	}
	if len(want) == 0 {
		return 0, fmt.Errorf("poison: no test item is of another class than the trigger's")
	}
	got, err := s.Predict(ctx, x, workers)
	if err != nil {
		return 0, err
	}
	hits := 0
	for i, c := range got {
		if c == want[i] {
			hits++
		}
	}
	return float64(hits) / float64(len(want)), nil
}
