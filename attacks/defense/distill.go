package defense

import (
	"context"
	"fmt"
	"slices"

	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/train"
)

// Distill trains a student on what a teacher thinks, both at the temperature of the recipe; the student is used at temperature 1
// (Papernot et al., "Distillation as a defense to adversarial perturbations against deep neural networks", 2016). Its logits are
// then about as many times larger as the temperature, so that the softmax is exactly 0 or 1 in binary32 and the gradient of
// cross-entropy vanishes. Nothing else changes: losses on the logits see through (Carlini and Wagner, "Towards evaluating the
// robustness of neural networks", 2017). The data need labels. Progress, if not nil, is told of both trainings.
func Distill[T kernel.Float](ctx context.Context, teacher, student *train.Net[T], data *train.Samples[T], r train.Recipe,
	progress func(train.Progress)) error {
	if teacher.Inputs() != student.Inputs() || teacher.Classes() != student.Classes() {
		return fmt.Errorf("defense: a teacher of %d inputs and %d classes, a student of %d and %d", teacher.Inputs(),
			teacher.Classes(),
			student.Inputs(), student.Classes())
	}
	if r.Temperature == 0 {
		r.Temperature = 1
	}
	h := train.Hooks[T]{Progress: progress}
	if _, err := train.Fit(ctx, teacher, data, r, h); err != nil {
		return err
	}
	in, classes := teacher.Inputs(), teacher.Classes()
	soft := train.Samples[T]{X: data.X, Labels: data.Labels, Weights: data.Weights, Soft: make([]T, 0, len(data.X)/in*classes)}
	pass := teacher.NewPass(r.Workers)
	for rows := range slices.Chunk(data.X, 1024*in) {
		y, err := pass.Forward(ctx, rows)
		if err != nil {
			return err
		}
		soft.Soft = append(soft.Soft, y...)
	}
	train.Softmax(soft.Soft, classes, r.Temperature)
	_, err := train.Fit(ctx, student, &soft, r, h)
	return err
}
