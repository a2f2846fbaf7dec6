package spec

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// benchRoot returns the folder of the competition's benchmarks, or skips.
func benchRoot(t *testing.T) string {
	root := os.Getenv("CERTIFY_BENCH")
	if root == "" {
		t.Skip("CERTIFY_BENCH is not set")
	}
	return filepath.Join(root, "vnncomp")
}

type rng struct{ min, max int }

func (r rng) has(n int) bool { return r.min <= n && n <= r.max }

// Counted independently over the published suites: scalars, cases, boxes, and constraints per case.
var suiteCounts = map[string]struct{ nx, ny, cases, boxes, rows rng }{
	"acasxu_2023":                    {rng{5, 5}, rng{5, 5}, rng{1, 8}, rng{1, 2}, rng{1, 4}},
	"carvana_unet_2022":              {rng{5828, 5828}, rng{1, 1}, rng{1, 1}, rng{1, 1}, rng{1, 1}},
	"cctsdb_yolo_2023":               {rng{12296, 12296}, rng{1, 1}, rng{1, 1}, rng{1, 1}, rng{1, 1}},
	"collins_rul_cnn_2023":           {rng{400, 800}, rng{1, 1}, rng{2, 2}, rng{1, 1}, rng{1, 1}},
	"cora":                           {rng{784, 3072}, rng{10, 10}, rng{9, 9}, rng{1, 1}, rng{1, 1}},
	"dist_shift_2023":                {rng{792, 792}, rng{10, 10}, rng{1, 1}, rng{1, 1}, rng{1, 1}},
	"eran":                           {rng{784, 784}, rng{10, 10}, rng{9, 9}, rng{1, 1}, rng{1, 1}},
	"linearizenn":                    {rng{4, 4}, rng{2, 2}, rng{2, 2}, rng{1, 1}, rng{1, 1}},
	"lsnc":                           {rng{6, 8}, rng{8, 10}, rng{13, 17}, rng{1, 1}, rng{2, 2}},
	"malbeware":                      {rng{4096, 4096}, rng{25, 25}, rng{24, 24}, rng{1, 1}, rng{1, 1}},
	"marabou-cifar10":                {rng{3072, 3072}, rng{10, 10}, rng{1, 1}, rng{1, 1}, rng{9, 9}},
	"metaroom_2023":                  {rng{5376, 5376}, rng{20, 20}, rng{19, 19}, rng{1, 1}, rng{1, 1}},
	"ml4acopf_2024":                  {rng{22, 402}, rng{186, 3804}, rng{1, 600}, rng{1, 1}, rng{1, 1}},
	"mnist_fc":                       {rng{784, 784}, rng{10, 10}, rng{9, 9}, rng{1, 1}, rng{1, 1}},
	"nn4sys_2023":                    {rng{1, 308}, rng{1, 6}, rng{1, 120000}, rng{1, 11074}, rng{0, 5}},
	"oval21":                         {rng{3072, 3072}, rng{10, 10}, rng{9, 9}, rng{1, 1}, rng{1, 1}},
	"safenlp":                        {rng{30, 30}, rng{2, 2}, rng{1, 1}, rng{1, 1}, rng{1, 1}},
	"sri_resnet_a":                   {rng{3072, 3072}, rng{10, 10}, rng{9, 9}, rng{1, 1}, rng{1, 1}},
	"test":                           {rng{1, 5}, rng{1, 5}, rng{1, 2}, rng{1, 1}, rng{1, 4}},
	"tllverifybench_2023":            {rng{2, 2}, rng{1, 1}, rng{1, 1}, rng{1, 1}, rng{1, 1}},
	"traffic_signs_recognition_2023": {rng{2700, 12288}, rng{43, 43}, rng{42, 42}, rng{1, 1}, rng{1, 1}},
	"vit_2023":                       {rng{3072, 3072}, rng{10, 10}, rng{9, 9}, rng{1, 1}, rng{1, 1}},
	"yolo_2023":                      {rng{8112, 8112}, rng{21125, 21125}, rng{1, 1}, rng{1, 1}, rng{5, 5}},
}

// Counts of single queries, from grep over their text.
var queryCounts = map[string][2]int{ // cases, boxes
	"cardinality_0_2680_128.vnnlib.gz": {5360, 2680},
	"lindex_10000.vnnlib.gz":           {20000, 10000},
	"prop_6.vnnlib.gz":                 {8, 2},
}

// Every published query is understood, and none of its cases is lost.
func TestBenchmarks(t *testing.T) {
	root := benchRoot(t)
	for suite, want := range suiteCounts {
		files, _ := filepath.Glob(filepath.Join(root, suite, "vnnlib", "*.gz"))
		more, _ := filepath.Glob(filepath.Join(root, suite, "vnnlib", "*", "*.gz"))
		files = append(files, more...)
		if len(files) == 0 {
			t.Errorf("%s: no queries", suite)
		}
		if testing.Short() && len(files) > 5 {
			files = files[:5]
		}
		for _, f := range files {
			p, err := ReadFile(strings.TrimSuffix(f, ".gz"), nil)
			if err != nil {
				t.Error(err)
				continue
			}
			checkProblem(t, p)
			name := filepath.Base(f)
			if len(p.Vacuous) > 0 || !want.nx.has(p.NumInputs) || !want.ny.has(p.NumOutputs) || !want.cases.has(len(p.Cases)) ||
				!want.boxes.has(len(p.Boxes)) {
				t.Errorf("%s/%s: %d inputs, %d outputs, %d cases, %d boxes, vacuous %q", suite, name, p.NumInputs, p.NumOutputs,
					len(p.Cases), len(p.Boxes), p.Vacuous)
			}
			for _, c := range p.Cases {
				if !want.rows.has(len(c.Rows)) {
					t.Errorf("%s/%s: %d constraints in a case", suite, name, len(c.Rows))
					break
				}
			}
			if n, ok := queryCounts[name]; ok && n != [2]int{len(p.Cases), len(p.Boxes)} {
				t.Errorf("%s: %d cases, %d boxes, want %v", name, len(p.Cases), len(p.Boxes), n)
			}
		}
	}
}

// The largest queries stay within a few times the size of what they say.
func TestBenchmarkCost(t *testing.T) {
	root := benchRoot(t)
	for _, name := range []string{"cardinality_0_2680_128", "lindex_10000"} {
		measure(t, name, func() (*Problem, error) {
			return ReadFile(filepath.Join(root, "nn4sys_2023", "vnnlib", name+".vnnlib"), nil)
		})
	}
}

// measure logs the time and memory of a read and compares its live memory with the boxes and rows it returns.
func measure(t *testing.T, name string, f func() (*Problem, error)) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	p, err := f()
	if err != nil {
		t.Fatal(err)
	}
	wall := time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&after)
	content := len(p.Boxes)*(p.NumInputs*24+104) + len(p.Cases)*130
	live := int(after.HeapAlloc - before.HeapAlloc)
	t.Logf("%s: %v, %d cases, %d boxes, %.1f MB live, %.1f MB of content, %d allocations", name, wall, len(p.Cases), len(p.Boxes),
		float64(live)/1e6, float64(content)/1e6, after.Mallocs-before.Mallocs)
	if live > 2*content+1<<20 {
		t.Errorf("%s holds %d bytes for %d bytes of boxes and rows", name, live, content)
	}
	runtime.KeepAlive(p)
}

// Queries as large as the largest published ones (100 MB), made up here.
func TestLargeQueries(t *testing.T) {
	if testing.Short() {
		t.Skip("large")
	}
	lindex := func(i int) string {
		lo := fmt.Sprintf("0.%016d", i/2*7919)
		return fmt.Sprintf("  (and (>= X_0 %s) (<= X_0 %s5) (<= Y_0 0.%d))\n", lo, lo, i)
	}
	var onehot strings.Builder
	for i := 1; i < 308; i++ {
		fmt.Fprintf(&onehot, " (>= X_%d %d.0) (<= X_%d %d.0)", i, i%2, i, i%2)
	}
	cardinality := func(i int) string {
		return fmt.Sprintf("(and (>= X_0 0.%d) (<= X_0 0.%d)%s (<= Y_0 0.%d))\n", 100000+i/2, 100000+i/2, onehot.String(), i)
	}
	for _, c := range []struct {
		name   string
		nx, n  int
		member func(int) string
	}{{"lindex", 1, 120_000, lindex}, {"cardinality", 308, 11_000, cardinality}} {
		measure(t, c.name, func() (*Problem, error) {
			return Read(c.name, &generated{head: declare1(c.nx, 1) + "(assert (or\n", n: c.n, member: c.member}, nil)
		})
	}
}

// generated is a query of n disjuncts that is never in memory as a whole.
type generated struct {
	head   string
	i, n   int
	member func(int) string
}

func (g *generated) Read(p []byte) (int, error) {
	for g.head == "" {
		switch {
		case g.i < g.n:
			g.head = g.member(g.i)
		case g.i == g.n:
			g.head = "))\n"
		default:
			return 0, io.EOF
		}
		g.i++
	}
	n := copy(p, g.head)
	g.head = g.head[n:]
	return n, nil
}
