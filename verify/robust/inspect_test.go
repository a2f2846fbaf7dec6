package robust

import (
	"strings"
	"testing"

	"github.com/spai-project/certify/verify"
)

// TestInspect: each warning comes where it belongs, and none with a good network.
func TestInspect(t *testing.T) {
	set := points(20)
	for _, c := range []struct {
		name string
		m    *Model
		want []string
	}{
		{"good", larger(t), nil},
		{"softmax", model(t, chain(t, layer("MatMul", nil, "w"), layer("Softmax", nil)), verify.Real), []string{"ends in a Softmax"}},
		{"softmax, binary32", model(t, chain(t, layer("MatMul", nil, "w"), layer("Softmax", nil)), verify.Float32), []string{"are probabilities"}},
		{"constant", model(t, chain(t, layer("MatMul", nil, "zero"), layer("Add", nil, "bias")), verify.Real),
			[]string{"are probabilities", "the gradient is zero"}},
	} {
		w, err := c.m.Inspect(t.Context(), set)
		if err != nil {
			t.Fatal(err)
		}
		if len(w) != len(c.want) {
			t.Errorf("%s: %v, want %q", c.name, w, c.want)
			continue
		}
		for k := range w {
			if !strings.Contains(w[k].Text, c.want[k]) {
				t.Errorf("%s: %q, want %q", c.name, w[k].Text, c.want[k])
			}
		}
	}
	wrong := points(20)
	for i := range wrong.Labels {
		if m := wrong.Item(i); m[0] > m[1] == (wrong.Labels[i] == 0) {
			wrong.Labels[i] = 1 - wrong.Labels[i]
		}
	}
	if w, err := larger(t).Inspect(t.Context(), wrong); err != nil || len(w) != 1 || w[0].Kind != "data" {
		t.Errorf("labels turned round: %v, %v", w, err)
	}
}
