package evasion

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/onnx"
)

// TestPublishedNetwork attacks the first test images of MNIST on Wong and Kolter's published network at ε = 0.1 and reports how many
// fall to each attack. CERTIFY_ATTACKS chooses attacks (separated by ;), CERTIFY_IMAGES how many images.
func TestPublishedNetwork(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	attacks := []string{"pgd:steps=20,loss=margin"}
	if s := os.Getenv("CERTIFY_ATTACKS"); s != "" {
		attacks = strings.Split(s, ";")
	}
	count := "[0:100]"
	if s := os.Getenv("CERTIFY_IMAGES"); s != "" {
		count = s
	}
	g, err := onnx.ReadFile(filepath.Join(root, "fixtures", "wk17_mnist_eps0.1.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := g.Lower()
	if err != nil {
		t.Fatal(err)
	}
	set, err := data.Open("mnist:test"+count, data.Options{MNIST: filepath.Join(root, "mnist")})
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := make([]float64, set.Dim()), slices.Repeat([]float64{1}, set.Dim())
	tasks := make([]Task, set.Len())
	for i := range tasks {
		tasks[i] = Task{X: set.Item(i), Lower: lo, Upper: hi, Goal: Untargeted(set.Labels[i], 10)}
	}
	for _, a := range attacks {
		m, params, err := Parse(a)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		r, err := m.Run(context.Background(), access.Program(p), tasks, Options{Norm: Linf, Eps: 0.1, Params: params, Shape: []int{1, 28, 28}})
		if err != nil {
			t.Fatal(err)
		}
		n, fell := [4]int{}, 0
		grads, queries := 0, 0
		for i := range r {
			n[r[i].Status]++
			grads += r[i].Gradients
			queries += r[i].Queries
		}
		fell = n[Found] + n[Already]
		t.Logf("%-30s %d of %d wrong (%d clean), %d gradients, %d queries, %v", a, fell, len(r), n[Already], grads, queries, time.Since(begin).Round(time.Millisecond))
	}
}
