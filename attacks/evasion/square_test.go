package evasion

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/spai-project/certify/attacks/access"
)

// observer remembers what is asked.
type observer struct {
	model access.Scores
	x, y  [][]float64
}

func (o *observer) Dims() (inputs, outputs int) { return o.model.Dims() }

func (o *observer) Scores(ctx context.Context, b access.Batch, y []float64) error {
	in, out := o.Dims()
	if err := o.model.Scores(ctx, b, y); err != nil {
		return err
	}
	for i := range b.N {
		o.x = append(o.x, slices.Clone(b.X[i*in:(i+1)*in]))
		o.y = append(o.y, slices.Clone(y[i*out:(i+1)*out]))
	}
	return nil
}

// TestSquareSteps follows the Square attack: every point differs from the best before it inside one window of the size that the
// schedule gives, for Linf every input is at an end of its range, for L2 and L1 the whole radius is used, and the number of
// queries is that of the steps.
func TestSquareSteps(t *testing.T) {
	const steps = 400
	for _, shape := range [][]int{{2, 12, 12}, {1, 2, 9, 16}, {60}} {
		d := 1
		for _, n := range shape {
			d *= n
		}
		channels, height, width := picture(shape, d)
		for _, norm := range []Norm{Linf, L2, L1} {
			b := halfSpace(t, 5, d)
			model := &observer{model: affine(t, [][]float64{b.w, make([]float64, d)}, []float64{1000, 0})}
			task := b.task()
			task.Lower, task.Upper = nil, nil
			r := attack(t, "square:steps=400", model, task, Options{Norm: norm, Eps: 0.25, Shape: shape})
			if r.Queries != steps+1 || len(model.x) != steps+1 {
				t.Errorf("%v: %d queries, the model was asked %d, want %d", norm, r.Queries, len(model.x), steps+1)
			}
			share := 0.1
			if norm == Linf {
				share = 0.8
			}
			best, rises := 1, 0 // the input itself is 0
			for k := 1; k < len(model.x); k++ {
				x := model.x[k]
				for i, v := range x {
					if dv := math.Abs(v - b.x[i]); norm == Linf && dv != 0.25 {
						t.Fatalf("step %d: input %d has moved by %v", k, i, dv)
					}
				}
				if size := norm.Distance(x, b.x); norm != Linf && !(size <= 0.25 && size > 0.25*(1-1e-4)) {
					t.Fatalf("%v, step %d: at distance %v", norm, k, size)
				}
				if k > 1 {
					y0, x0, y1, x1 := height, width, -1, -1
					changed := 0
					for i, v := range x {
						if v != model.x[best][i] {
							changed++
							y, x := i/width%height, i%width
							y0, x0, y1, x1 = min(y0, y), min(x0, x), max(y1, y), max(x1, x)
						}
					}
					h, w := (&square{p: &Probe{Norm: norm}, height: height, width: width}).window(schedule(share, k-2, steps))
					if norm == Linf && (changed == 0 || y1-y0 >= h || x1-x0 >= w) {
						t.Fatalf("%v, step %d: %d inputs changed, inside %d×%d, the window is %d×%d", norm, k, changed, y1-y0+1, x1-x0+1, h, w)
					}
					if changed > 2*channels*h*w {
						t.Fatalf("%v, step %d: %d inputs changed with windows of %d×%d", norm, k, changed, h, w)
					}
				}
				if model.y[k][0] < model.y[best][0] { // the label's score falls
					best = k
					rises++
				}
			}
			if rises < 10 {
				t.Errorf("%v, shape %v: the loss rose %d times", norm, shape, rises)
			}
		}
	}
}

// TestSquareSchedule has the halvings of the paper, for 10000 steps and for fewer.
func TestSquareSchedule(t *testing.T) {
	for _, c := range []struct {
		t, steps, halvings int
	}{{0, 10000, 0}, {10, 10000, 0}, {11, 10000, 1},
		{51, 10000, 2}, {201, 10000, 3}, {501, 10000, 4}, {1001, 10000, 5}, {2001, 10000, 6},
		{4001, 10000, 7}, {6001, 10000, 8}, {8001, 10000, 9}, {9999, 10000, 9}, {5, 5000, 0}, {6, 5000, 1}, {4500, 5000, 9}} {
		if got, want := schedule(0.8, c.t, c.steps), 0.8/float64(int(1)<<c.halvings); got != want {
			t.Errorf("step %d of %d: share %v, want %v", c.t, c.steps, got, want)
		}
	}
}

// TestBumps: bumps have length one, two halves of opposite signs, and rise towards their middle.
func TestBumps(t *testing.T) {
	b := halfSpace(t, 5, 4)
	with(t, b.model, b.task(), Options{Norm: L2, Eps: 1}, func(p *Probe) {
		s := &square{p: p}
		for _, side := range [][2]int{{1, 1}, {1, 6}, {7, 1}, {6, 6}, {5, 5}, {10, 4}} {
			for range 8 {
				s.draw(side[0], side[1])
				n, signs := 0.0, [3]int{}
				for _, v := range s.bump {
					n += v * v
					switch {
					case v > 0:
						signs[2]++
					case v < 0:
						signs[0]++
					default:
						signs[1]++
					}
				}
				area := side[0] * side[1]
				if math.Abs(n-1) > 1e-12 || signs[1] > 0 || area > 1 && (signs[0] < area*2/5 || signs[2] < area*2/5) {
					t.Errorf("bump %v: length² %v, signs %v", side, n, signs)
				}
			}
		}
		s.draw(10, 10)
		top := slices.MaxFunc(s.bump, func(a, b float64) int { return int(math.Copysign(1, math.Abs(a)-math.Abs(b))) })
		if rim := math.Abs(s.bump[0]); !(math.Abs(top) > 2*rim) {
			t.Errorf("the middle of a bump is %v, its rim %v", top, rim)
		}
	})
}
