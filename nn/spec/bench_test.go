package spec

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip()
	}
	for _, pat := range []string{"*/vnnlib/*.gz", "safenlp/vnnlib/*/*0.vnnlib.gz"} {
		files, _ := filepath.Glob(filepath.Join(root, "vnncomp", pat))
		for _, f := range files {
			t0 := time.Now()
			p, err := ReadFile(f, nil)
			if err != nil {
				t.Error(err)
				continue
			}
			if d := time.Since(t0); d > 50*time.Millisecond {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				t.Log(f, d, len(p.Cases), len(p.Boxes), p.Vacuous, m.HeapSys>>20)
			}
		}
	}
}
