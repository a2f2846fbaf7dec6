package train

import (
	"context"
	"fmt"

	"github.com/spai-project/certify/nn/tape"
)

// Populate sets the means and variances of batch normalisation to those of a population of inputs: the mean over its shards of
// their means and variances, with the variance of the means added to the latter. shard is the number of rows of a shard, 0 for
// tape.ShardRows; workers is as in NewPass. A net without batch normalisation is left as it is.
func (n *Net[T]) Populate(ctx context.Context, x []T, shard, workers int) error {
	t := tape.New[T](n.Inputs(), len(n.Weights))
	_, norms := n.RecordBatch(t, t.Input())
	var at []int
	o := tape.Options{Workers: workers, Shard: shard}
	for i := range n.stages {
		if n.stages[i].Layer == (BatchNorm{}) {
			at, o.Outputs = append(at, i), append(o.Outputs, norms[i])
		}
	}
	if len(at) == 0 {
		return nil
	}
	in := n.Inputs()
	if len(x) == 0 || len(x)%in != 0 {
		return fmt.Errorf("train: a population of %d numbers is not made of rows of %d", len(x), in)
	}
	r := tape.NewRunner(t, o)
	sums := make([][]float64, len(at)) // of means, squares of means, and variances
	shards := 0
	for step := batchCheck * in; len(x) > 0; x = x[min(step, len(x)):] {
		if err := r.Forward(ctx, n.Weights, tape.Batch[T]{X: x[:min(step, len(x))]}); err != nil {
			return err
		}
		shards += r.Shards()
		for k, i := range at {
			C := n.stages[i].In[0]
			if sums[k] == nil {
				sums[k] = make([]float64, 3*C)
			}
			for row := r.Output(k); len(row) > 0; row = row[4*C:] {
				for c := range C {
					mean := float64(row[2*C+c])
					sums[k][c] += mean
					sums[k][C+c] += mean * mean
					sums[k][2*C+c] += float64(row[3*C+c])
				}
			}
		}
	}
	for k, i := range at {
		s := &n.stages[i]
		C := s.In[0]
		for c := range C {
			mean := sums[k][c] / float64(shards)
			n.Weights[s.From+2*C+c] = T(mean)
			n.Weights[s.From+3*C+c] = T(max(sums[k][C+c]/float64(shards)-mean*mean, 0) + sums[k][2*C+c]/float64(shards))
		}
	}
	return nil
}
