package access

import (
	"context"
	"fmt"
	"sync/atomic"
)

// A Counter counts the points that models are asked about, by what is asked; a point of a call that fails counts too. Its
// totals may be read while the models are in use.
type Counter struct{ labels, scores, gradients atomic.Int64 }

// Labels returns the points whose label was asked for.
func (c *Counter) Labels() int { return int(c.labels.Load()) }

// Scores returns the points whose scores were asked for, without a gradient.
func (c *Counter) Scores() int { return int(c.scores.Load()) }

// Gradients returns the points whose scores and gradient were asked for.
func (c *Counter) Gradients() int { return int(c.gradients.Load()) }

// Queries returns the points asked about without a gradient: labels and scores.
func (c *Counter) Queries() int { return c.Labels() + c.Scores() }

// Count returns a model of the same level of access that is counted: a Gradients for a Gradients, else a Scores for a Scores,
// else a Labels. It panics on a model that is none of them.
func Count(model any) (counted any, c *Counter) {
	c = new(Counter)
	switch m := model.(type) {
	case Gradients:
		return CountGradients(m, c), c
	case Scores:
		return CountScores(m, c), c
	case Labels:
		return CountLabels(m, c), c
	}
	panic(fmt.Sprintf("access: Count(%T)", model))
}

// CountLabels counts the points asked of m in c.
func CountLabels(m Labels, c *Counter) Labels { return &countedLabels{m, c} }

// CountScores counts the points asked of m in c.
func CountScores(m Scores, c *Counter) Scores { return &countedScores{m, c} }

// CountGradients counts the points asked of m in c.
func CountGradients(m Gradients, c *Counter) Gradients {
	return &countedGradients{countedScores{m, c}, m}
}

type countedLabels struct {
	m Labels
	c *Counter
}

func (o *countedLabels) Dims() (inputs, classes int) { return o.m.Dims() }

func (o *countedLabels) Labels(ctx context.Context, b Batch, labels []int) error {
	o.c.labels.Add(int64(b.N))
	return o.m.Labels(ctx, b, labels)
}

type countedScores struct {
	m Scores
	c *Counter
}

func (o *countedScores) Dims() (inputs, outputs int) { return o.m.Dims() }

func (o *countedScores) Scores(ctx context.Context, b Batch, y []float64) error {
	o.c.scores.Add(int64(b.N))
	return o.m.Scores(ctx, b, y)
}

type countedGradients struct {
	countedScores
	g Gradients
}

func (o *countedGradients) Gradients(ctx context.Context, b Batch, y []float64, pull func(i int, y, dy []float64), dx []float64) error {
	o.c.gradients.Add(int64(b.N))
	return o.g.Gradients(ctx, b, y, pull, dx)
}
