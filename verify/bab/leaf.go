package bab

import (
	"context"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
)

// leaf decides a branch that has no ReLU left to split.
func (s *reluSearch) leaf(ctx context.Context, w *relax.Worker, b *reluBranch) (*spec.Witness, bool) {
	return nil, false
}
