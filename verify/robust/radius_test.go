package robust

import (
	"math"
	"path/filepath"
	"testing"
	"time"
)

// TestRadius: brackets enclose the exact radius, half of the lead, and are narrow.
func TestRadius(t *testing.T) {
	m, set := larger(t), points(15)
	records, err := m.Radii(t.Context(), set, RadiiOptions{Options: Options{Domain: unitBox, Timeout: 20 * time.Second, Workers: 2}})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		x := set.Item(i)
		lead := x[r.Label] - x[1-r.Label]
		if lead <= 0 {
			if r.Proved != 0 || r.Broken == nil || *r.Broken != 0 || r.By != "input" {
				t.Errorf("misclassified item %d: %+v", i, r)
			}
			continue
		}
		if r.Broken == nil || r.Incomplete || !robustAt(x, r.Label, r.Proved) || *r.Broken < lead/2*(1-1e-15) {
			t.Errorf("item %d: %+v does not enclose %v", i, r, lead/2)
			continue
		}
		if *r.Broken-r.Proved > 0.05**r.Broken {
			t.Errorf("item %d: %v to %v is wide, around %v", i, r.Proved, *r.Broken, lead/2)
		}
	}
}

// TestRadiusUnbreakable: a network that gives one class everywhere is proved up to the radius of interest.
func TestRadiusUnbreakable(t *testing.T) {
	m := model(t, chain(t, layer("MatMul", nil, "zero"), layer("Relu", nil), layer("Add", nil, "bias")), 0)
	b, err := m.Radius(t.Context(), []float64{0.5, 0.5}, 1, 0.3, Options{Domain: unitBox, Timeout: 10 * time.Second})
	if err != nil || b.Proved < 0.3 || !math.IsInf(b.Broken, 1) || b.Witness != nil {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestRadiusAttacksOnly proves nothing.
func TestRadiusAttacksOnly(t *testing.T) {
	b, err := larger(t).Radius(t.Context(), []float64{0.75, 0.25}, 0, 0, Options{Domain: unitBox, NoVerify: true,
		Timeout: 10 * time.Second})
	if err != nil || b.Proved != 0 || b.Broken < 0.25 || b.Broken > 0.27 {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestRadiiResume(t *testing.T) {
	m, set := larger(t), points(6)
	path := filepath.Join(t.TempDir(), "radii.jsonl")
	for run := range 2 {
		opt := RadiiOptions{Options: Options{Domain: unitBox, Timeout: 20 * time.Second, Workers: 1}}
		h := header(t, m, set, &EvalOptions{Options: opt.Options})
		h.Schema = RadiusSchema
		var err error
		if opt.Log, err = OpenLog(path, h, HeaderMayDiffer...); err != nil {
			t.Fatal(err)
		}
		asked := 0
		opt.Done = func(*RadiusRecord) { asked++ }
		records, err := m.Radii(t.Context(), set, opt)
		if err != nil || len(records) != 6 || asked != 6*(1-run) {
			t.Errorf("run %d: %d records, %d asked, %v", run, len(records), asked, err)
		}
		if err := opt.Log.Close(true); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := ReadLog(path); err == nil {
		t.Error("radii are read as an evaluation")
	}
}

// TestBetween: every next radius lies strictly between, has three digits, and there is an end.
func TestBetween(t *testing.T) {
	for _, c := range [][2]float64{{0, 1}, {0.03, 0.031}, {0.1, 0.1001}, {0, 1e-9}, {0.5, 0.51}} {
		lo, hi := c[0], c[1]
		for n := 0; ; n++ {
			e := between(lo, hi)
			if e == lo {
				break
			}
			if !(e > lo && e < hi) || n > 60 {
				t.Fatalf("%v between %v and %v, step %d", e, lo, hi, n)
			}
			if n%2 == 0 {
				lo = e
			} else {
				hi = e
			}
		}
	}
}
