package poison

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/spai-project/certify/nn/data"
)

// parameterSets are one of every kind.
var parameterSets = []Parameters{
	{Method: MethodVotes, Classes: 3, Models: 12, Copies: 1},
	{Method: MethodVotes, Classes: 3, Models: 12, Copies: 3, FlipsOnly: true, Seed: 4},
	{Method: MethodVotes, Classes: 3, Models: 1}, // more items than features
	{Method: MethodNeighbours, Classes: 3, K: 7},
	{Method: MethodFlips, Classes: 2, Pair: [2]int{0, 2}, Ridge: 0.01},
	{Method: MethodFlips, Classes: 2, Pair: [2]int{2, 0}, Ridge: 0.01, Flip: 0.1},
}

func certifiedRecords(t *testing.T, p Parameters) (*Records, *data.Set, *data.Set) {
	t.Helper()
	r := rand.New(rand.NewPCG(31, 31))
	train, test := clouds(r, 120, 4), clouds(r, 30, 4)
	if p.Method == MethodFlips {
		two := func(s *data.Set) *data.Set {
			return s.Select(slices.DeleteFunc(seq(0, s.Len()), func(i int) bool { return s.Labels[i] == 1 }))
		}
		train, test = two(train), two(test)
	}
	rec, err := Certify(context.Background(), train, test, p, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := rec.Write(&buf); err != nil {
		t.Fatal(err)
	}
	out, err := ReadRecords(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if out.Parameters != p || !slices.Equal(out.Items, rec.Items) || len(out.Items) != test.Len() {
		t.Fatalf("%+v: what was written is not what was read", p)
	}
	return out, train, test
}

// TestRecords: every method certifies, most answers are right, and files with one claim raised are refused.
func TestRecords(t *testing.T) {
	ctx := context.Background()
	for _, p := range parameterSets {
		rec, train, test := certifiedRecords(t, p)
		if err := rec.Check(ctx, train, test, 1, nil); err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		if right, _ := rec.Summary(true); right < test.Len()*6/10 {
			t.Errorf("%+v: %d of %d are right", p, right, test.Len())
		}
		for name, mutate := range map[string]func(r *Records){
			"flips":   func(r *Records) { r.Items[3].Flips++ },
			"changes": func(r *Records) { r.Items[3].Changes++ },
			"class":   func(r *Records) { r.Items[3].Class = 2 - r.Items[3].Class },
			"label":   func(r *Records) { r.Items[3].Label = (r.Items[3].Label + 1) % 3 },
			"more":    func(r *Records) { r.Items = append(r.Items, Record{}) },
			"train":   func(r *Records) { r.Train.SHA256 = r.Test.SHA256 },
			"test":    func(r *Records) { r.Test.Items++ },
		} {
			m := *rec
			m.Items = slices.Clone(rec.Items)
			if mutate(&m); name == "class" && m.Items[3] == rec.Items[3] {
				continue
			}
			err := m.Check(ctx, train, test, 1, nil)
			if _, ok := errors.AsType[*RefusedError](err); !ok {
				t.Errorf("%+v: %s: %v", p, name, err)
			}
		}
	}
}

// TestRecordsFlips: where the label is part of the hash, a flipped label is a deletion and an insertion; else it stays in its bucket.
func TestRecordsFlips(t *testing.T) {
	for _, p := range parameterSets[:3] {
		rec, _, _ := certifiedRecords(t, p)
		several := 0
		for _, r := range rec.Items {
			want := r.Changes
			if !p.FlipsOnly {
				want /= 2
			}
			if r.Flips != want {
				t.Errorf("%+v: %d changes, %d flips", p, r.Changes, r.Flips)
			}
			if r.Changes > 1 {
				several++
			}
		}
		if p.Models > 1 && p.Copies == 1 && several < len(rec.Items)/3 {
			t.Errorf("%+v: only %d items withstand two changes", p, several)
		}
	}
}

// TestRecordsSystems: both systems of equations have the same solution.
func TestRecordsSystems(t *testing.T) {
	r := rand.New(rand.NewPCG(32, 32))
	s := clouds(r, 6, 5) // 6 features with the constant
	small := trained(t, s, EnsembleOptions{Models: 1, Ridge: 0.1})
	more := s.Select(append(seq(0, 6), 0)) // 7 items
	large := trained(t, more, EnsembleOptions{Models: 1, Ridge: 0.1})
	twice := trained(t, s.Select(append(seq(1, 6), 0)), EnsembleOptions{Models: 1, Ridge: 0.1})
	if !slices.Equal(small.weights, twice.weights) {
		t.Error("the order of the items changes the weights")
	}
	// The normal equations of the larger system: (FᵀF + λI)·W = FᵀY.
	f, err := large.features.All(context.Background(), more, 1)
	if err != nil {
		t.Fatal(err)
	}
	for a := range 6 {
		for c := range 3 {
			sum := 0.1 * float64(large.weights[a*3+c])
			for i := range 7 {
				score, y := 0.0, -1.0/3
				for b := range 6 {
					score += float64(f[i*6+b]) * float64(large.weights[b*3+c])
				}
				if more.Labels[i] == c {
					y++
				}
				sum += float64(f[i*6+a]) * (score - y)
			}
			if sum > 1e-4 || sum < -1e-4 {
				t.Errorf("feature %d, class %d: residual %v", a, c, sum)
			}
		}
	}
}

// TestCertifyRefuses: parameters that make no sense are errors, and none is a panic.
func TestCertifyRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 33))
	train, test := clouds(r, 20, 2), clouds(r, 3, 2)
	for _, p := range []Parameters{
		{}, {Method: "x"}, {Method: MethodVotes}, {Method: MethodVotes, Classes: 2},
		{Method: MethodVotes, Classes: 3, Models: -1},
		{Method: MethodVotes, Classes: 3, Models: 1 << 40}, {Method: MethodVotes, Classes: 3, Models: 3, Copies: 4},
		{Method: MethodVotes, Classes: 257, Models: 3}, {Method: MethodVotes, Classes: 3, Models: 3, Ridge: -1},
		{Method: MethodNeighbours, Classes: 3}, {Method: MethodNeighbours, Classes: 3, K: 1 << 62},
		{Method: MethodNeighbours, Classes: 1 << 40, K: 1},
		{Method: MethodNeighbours, Classes: 2, K: 3}, {Method: MethodFlips}, {Method: MethodFlips, Pair: [2]int{0, 9}, Ridge: 1},
		{Method: MethodFlips, Pair: [2]int{0, 1}}, {Method: MethodFlips, Pair: [2]int{0, 1}, Ridge: 1, Flip: 0.5},
	} {
		if _, err := Certify(context.Background(), train, test, p, 1, nil); err == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
	if _, err := Certify(context.Background(), train, clouds(r, 3, 3), parameterSets[3], 1, nil); err == nil {
		t.Error("test items of another size were accepted")
	}
}

// TestCertifyStops: a method that is stopped returns what it has, from the first item on.
func TestCertifyStops(t *testing.T) {
	r := rand.New(rand.NewPCG(34, 34))
	train, test := clouds(r, 500, 4), clouds(r, 400, 4)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	rec, err := Certify(ctx, train, test, parameterSets[3], 2, func(_ string, done, _ int) {
		if done == 50 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || len(rec.Items) < 40 || len(rec.Items) >= 400 {
		t.Fatalf("%v with %d items", err, len(rec.Items))
	}
	if err := rec.Check(context.Background(), train, test, 2, nil); err != nil {
		t.Error(err)
	}
}

// FuzzReadRecords: no input makes the reader or the checker panic.
func FuzzReadRecords(f *testing.F) {
	r := rand.New(rand.NewPCG(35, 35))
	train, test := clouds(r, 12, 2), clouds(r, 2, 2)
	for _, p := range parameterSets {
		if p.Method == MethodFlips {
			continue
		}
		rec, err := Certify(context.Background(), train, test, p, 1, nil)
		if err != nil {
			f.Fatal(err)
		}
		var buf bytes.Buffer
		if err := rec.Write(&buf); err != nil {
			f.Fatal(err)
		}
		f.Add(buf.String())
	}
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := ReadRecords(strings.NewReader(text))
		if err != nil || rec.Parameters.Models > 100 || rec.Parameters.K > 100 {
			return
		}
		if err := rec.Check(context.Background(), train, test, 1, nil); err == nil && len(rec.Items) > test.Len() {
			t.Error("accepted more records than items")
		}
	})
}
