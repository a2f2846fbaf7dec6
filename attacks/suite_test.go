package attacks

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
)

// TestSuites runs the default search on the instances of VNN-COMP suites and compares with the known answers: a witness on an
// instance known to be unsat fails, and so does finding too few of the known counterexamples. CERTIFY_BENCH is the folder that
// holds vnncomp/; CERTIFY_SUITES (comma separated) chooses suites, CERTIFY_CAP the wall-clock cap and CERTIFY_WORK the budget per
// instance, CERTIFY_UNSAT_STRIDE every how many unsat instances one is attacked (0: none), CERTIFY_WITNESSES a folder for what was
// found, which testdata/replay.py runs under onnxruntime.
func TestSuites(t *testing.T) {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	want := map[string]int{"acasxu_2023": 29, "safenlp": 395, "cora": 15, "mnist_fc": 11, "linearizenn": 1, "dist_shift_2023": 5,
		"tllverifybench_2023": 10, "malbeware": 5, "oval21": 1, "metaroom_2023": 1, "collins_rul_cnn_2023": 19,
		"marabou-cifar10": 30, "sri_resnet_a": 7, "ml4acopf_2024": 2, "traffic_signs_recognition_2023": 26, "eran": 1}
	names := []string{"acasxu_2023", "safenlp", "cora", "mnist_fc", "linearizenn", "dist_shift_2023"}
	limit := 10 * time.Second
	if s := os.Getenv("CERTIFY_SUITES"); s != "" {
		names = strings.Split(s, ",")
	}
	if d, err := time.ParseDuration(os.Getenv("CERTIFY_CAP")); err == nil {
		limit = d
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			found := runSuite(t, filepath.Join(root, "vnncomp", name), limit)
			if found < want[name] {
				t.Errorf("%d counterexamples found, want %d", found, want[name])
			}
		})
	}
}

func runSuite(t *testing.T, dir string, limit time.Duration) (found int) {
	f, err := os.Open(filepath.Join(dir, "truth.csv"))
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	col := slices.Index(rows[0], "truth")
	stride := 25 // every how many unsat instances one is attacked, with little work
	if n, err := strconv.Atoi(os.Getenv("CERTIFY_UNSAT_STRIDE")); err == nil {
		stride = n
	}
	work, _ := strconv.ParseFloat(os.Getenv("CERTIFY_WORK"), 64)
	nets := map[string]*prog.Program{}
	var times []time.Duration
	var sat, thin, unsat int
	for _, r := range rows[1:] {
		truth := r[col]
		if truth == "unsat" {
			if unsat++; stride == 0 || unsat%stride != 0 {
				continue
			}
		} else if truth != "sat" {
			continue
		}
		opt := Options{Time: limit, Work: int64(work)}
		if truth == "unsat" && work == 0 {
			opt.Work = 2e8
		}
		p, pr := loadInstance(t, nets, dir, r[0], r[1])
		if pr == nil {
			continue
		}
		begin := time.Now()
		var w *spec.Witness
		if p != nil {
			w, err = Search(context.Background(), p, pr, opt)
		} else if truth == "sat" {
			w, err = searchScores(t, dir, r[0], pr, opt)
		}
		d := time.Since(begin)
		if err != nil {
			t.Errorf("%s %s: %v", r[0], r[1], err)
			continue
		}
		if truth == "sat" {
			sat++
		}
		switch {
		case w != nil && truth == "unsat":
			t.Errorf("%s %s: witness where none exists: margin %v", r[0], r[1], w.Margin)
		case w != nil:
			found++
			if p != nil {
				verifyWitness(t, p, pr, w)
			}
			keepWitness(t, dir, r[0], r[1], w)
			times = append(times, d)
			if !w.AnyOrder {
				thin++
				t.Logf("not for every order: %s %s margin %.3g", r[0], r[1], w.Margin)
			}
			if d > limit/4 {
				t.Logf("slow: %s %s %v", r[0], r[1], d)
			}
		case truth == "sat":
			t.Logf("missed: %s %s after %v", r[0], r[1], d)
		}
	}
	slices.Sort(times)
	if len(times) > 0 {
		t.Logf("found %d of %d, %d not for every order; median %v, p90 %v, max %v", found, sat, thin,
			times[len(times)/2], times[len(times)*9/10], times[len(times)-1])
	} else {
		t.Logf("found 0 of %d", sat)
	}
	return found
}

// keepWitness writes a witness for testdata/replay.py into the folder CERTIFY_WITNESSES, if that is set: the paths of network and query
// as comments, then the counterexample in the form of VNN-COMP.
func keepWitness(t *testing.T, dir, model, query string, w *spec.Witness) {
	folder := os.Getenv("CERTIFY_WITNESSES")
	if folder == "" {
		return
	}
	name := filepath.Base(dir) + "--" + strings.NewReplacer("/", "-", ".onnx", "", ".vnnlib", "", "onnx/", "", "vnnlib/", "").Replace(model+"--"+query)
	var b strings.Builder
	fmt.Fprintf(&b, "; %s\n; %s\n; any order: %v\nsat\n", filepath.Join(filepath.Base(dir), model), filepath.Join(filepath.Base(dir), query), w.AnyOrder)
	if err := spec.WriteCounterexample(&b, w.X, w.Y); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".txt"), []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
}

// searchScores attacks a network that cannot be lowered; its witness is replayed in float64 and float32.
func searchScores(t *testing.T, dir, model string, pr *spec.Problem, opt Options) (*spec.Witness, error) {
	g, err := onnx.ReadFile(filepath.Join(dir, model))
	if err != nil {
		return nil, err
	}
	holds := func(x, y []float64) bool {
		for i := range pr.Cases {
			if m, _ := pr.Cases[i].Margin(x, y); m >= 0 && pr.Boxes[pr.Cases[i].Box].Contains(x) {
				return true
			}
		}
		return false
	}
	opt.Work = 0
	x, err := SearchScores(context.Background(), access.Graph(g), pr, func(x []float64) bool {
		single, err := g.EvalFloat32(x)
		return err == nil && holds(x, single)
	}, opt)
	if x == nil || err != nil {
		return nil, err
	}
	y, err := g.EvalFlat(x)
	if err != nil || !holds(x, y) {
		t.Fatalf("%s: what was found does not replay: %v", model, err)
	}
	return &spec.Witness{X: x, Y: y}, nil
}

func loadInstance(t *testing.T, nets map[string]*prog.Program, dir, model, query string) (*prog.Program, *spec.Problem) {
	p, ok := nets[model]
	if !ok {
		clear(nets) // one network at a time: some are large
		g, err := onnx.ReadFile(filepath.Join(dir, model))
		if err == nil {
			p, err = g.Lower()
		}
		if err != nil {
			t.Logf("%s: attacked through evaluations alone: %.100v", model, err)
		}
		nets[model] = p
	}
	pr, err := spec.ReadFile(filepath.Join(dir, query), nil)
	if err != nil {
		t.Logf("%s: %v", query, err)
		return nil, nil
	}
	return p, pr
}
