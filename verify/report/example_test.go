package report_test

import (
	"context"
	"fmt"
	"time"

	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
)

// The library in six lines: read a network, read a query, decide.
func Example() {
	g, err := onnx.ReadFile("../../cmd/certify/demo/suite/model.onnx")
	if err != nil {
		panic(err)
	}
	p, err := spec.ReadFile("../../cmd/certify/demo/suite/safe.vnnlib", nil)
	if err != nil {
		panic(err)
	}
	r, err := verify.Verify(context.Background(), g, p, verify.Options{Timeout: 5 * time.Second})
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Verdict)
	// Output: unsat
}
