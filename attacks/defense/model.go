package defense

import (
	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/internal/kernel"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/train"
)

// Model is white-box access to a trained network, its parameters rounded to float32 as they are written to a file.
func Model[T kernel.Float](n *train.Net[T]) (access.Gradients, error) {
	p, err := Program(n)
	if err != nil {
		return nil, err
	}
	return access.Program(p), nil
}

// Program lowers a trained network, its parameters rounded to float32.
func Program[T kernel.Float](n *train.Net[T]) (*prog.Program, error) {
	g, err := n.Graph()
	if err != nil {
		return nil, err
	}
	return g.Lower()
}
