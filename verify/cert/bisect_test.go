package cert

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spai-project/certify/verify/kernel"
)

func TestBisectAcas(t *testing.T) {
	dir := os.Getenv("CERTIFY_BENCH")
	if dir == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	for _, c := range [][2]string{{"1_1", "1"}, {"1_1", "3"}, {"1_4", "1"}, {"5_3", "1"}, {"4_2", "2"}} {
		model, _ := kernel.ReadFile(filepath.Join(dir, fmt.Sprintf("vnncomp/acasxu_2023/onnx/ACASXU_run2a_%s_batch_2000.onnx.gz", c[0])))
		question, _ := kernel.ReadFile(filepath.Join(dir, fmt.Sprintf("vnncomp/acasxu_2023/vnnlib/prop_%s.vnnlib.gz", c[1])))
		p, err := kernel.Open(model, question)
		if err != nil {
			t.Fatal(err)
		}
		for K = range 8 {
			if K == 0 {
				continue
			}
			b, _ := NewBuilder(p)
			start := time.Now()
			boxes, _ := p.Cases()
			for i := range boxes {
				if err := b.Bisect(context.Background(), i, 100000); err != nil {
					t.Errorf("%v: %v after %v", c, err, time.Since(start))
				}
			}
			proof, err := b.Proof()
			if err != nil {
				continue
			}
			made := time.Since(start)
			fmt.Printf("%v made K %d in %v: %v\n", c, K, made.Round(time.Millisecond), p.Check(proof.Encode()))
		}
	}
}
