package cert

import (
	"bytes"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify/kernel"
	"github.com/spai-project/certify/verify/verifytest"
	"testing"
)

// An instance is a random question as files, and as the oracle reads it.
type instance struct {
	model, query []byte
	prog         *prog.Program
	problem      *spec.Problem
	p            *kernel.Problem
}

// randomInstance writes verifytest's instance of a seed as ONNX and VNN-LIB and reads both back.
func randomInstance(t testing.TB, seed uint64) *instance {
	t.Helper()
	in := verifytest.RandomInstance(seed)
	var q bytes.Buffer
	if err := spec.WriteVNNLIB(&q, in.Problem); err != nil {
		t.Fatal(err)
	}
	return newInstance(t, in.Net, q.Bytes())
}

func newInstance(t testing.TB, net *verifytest.Net, query []byte) *instance {
	t.Helper()
	out := &instance{query: query}
	var err error
	if out.model, err = net.ONNX(); err != nil {
		t.Fatal(err)
	}
	if out.prog, err = net.Program(); err != nil {
		t.Fatal(err)
	}
	if out.problem, err = spec.Read("q", bytes.NewReader(query), nil); err != nil {
		t.Fatal(err)
	}
	if out.p, err = kernel.Open(out.model, query); err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	return out
}
