package gorgonia

import (
	"testing"

	"gorgonia.org/tensor"

	"github.com/spai-project/certify/nn/train"
)

// TestViews wants tensors and net to see each other's changes, and batches of the wrong form refused.
func TestViews(t *testing.T) {
	net, err := train.New[float32](1, []int{1, 4, 4}, train.Conv2D{Out: 2, Kernel: 3}, train.ReLU{}, train.Dense{Out: 3})
	if err != nil {
		t.Fatal(err)
	}
	params := Params(net)
	if len(params) != 4 || !params[0].Shape().Eq(tensor.Shape{2, 1, 3, 3}) {
		t.Fatalf("tensors %v", params)
	}
	if err := params[2].SetAt(float32(42), 1, 2); err != nil {
		t.Fatal(err)
	}
	if got := net.Weights[2*9+2+1*3+2]; got != 42 {
		t.Errorf("the net has %v where the tensor was set to 42", got)
	}
	grads := make([]float32, len(net.Weights))
	views, err := Grads(net, grads)
	if err != nil {
		t.Fatal(err)
	}
	grads[len(grads)-1] = 7
	if v, err := views[3].At(2); err != nil || v != float32(7) {
		t.Errorf("the last gradient is %v, %v", v, err)
	}
	x := tensor.New(tensor.WithShape(2, 1, 4, 4), tensor.Of(tensor.Float32))
	b, err := Batch(net, x, []int{0, 2})
	if err != nil {
		t.Fatal(err)
	}
	x.Data().([]float32)[31] = 5
	if b.X[31] != 5 {
		t.Error("the batch is a copy")
	}
	if _, err := Batch(net, x, []int{0, 3}); err == nil {
		t.Error("label 3 of 3 classes: accepted")
	}
	if _, err := Batch(net, tensor.New(tensor.WithShape(2, 16), tensor.Of(tensor.Float64)), []int{0, 1}); err == nil {
		t.Error("float64: accepted")
	}
	columns := tensor.New(tensor.WithShape(16, 2), tensor.Of(tensor.Float32))
	if err := columns.T(); err != nil {
		t.Fatal(err)
	}
	if _, err := Batch(net, columns, []int{0, 1}); err == nil {
		t.Error("a transposed tensor: accepted")
	}
}
