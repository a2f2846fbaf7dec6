package spec

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var witnessVars = []Var{
	{Name: "X", Type: "float32", Shape: []int{1, 2}},
	{Name: "Z", Type: "Real", Shape: []int{}},
	{Name: "Y", Type: "float64", Shape: []int{2}, Output: true},
}

func TestWriteAssignment(t *testing.T) {
	var b strings.Builder
	x := []float64{float64(float32(0.1)), 0x1p-149, float64(float32(0.1))}
	if err := WriteAssignment(&b, witnessVars, x, []float64{-1e20, 0.1}); err != nil {
		t.Fatal(err)
	}
	want := "X float32 [1,2]\n0.1\n0." + strings.Repeat("0", 44) + "1\nZ Real []\n0.10000000149011612\nY float64 [2]\n-100000000000000000000\n0.1\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	b.Reset()
	if err := WriteCounterexample(&b, x[:1], []float64{2, -0.5}); err != nil {
		t.Fatal(err)
	}
	if want := "((X_0 0.10000000149011612)\n(Y_0 2)\n(Y_1 -0.5))\n"; b.String() != want {
		t.Errorf("got %s", b.String())
	}
}

// All three forms of a witness read back to the same numbers.
func TestWitnessRoundTrip(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		x := make([]float64, 3)
		for i := range x {
			x[i] = float64(rapid.Float32().Draw(t, "x"))
		}
		y := []float64{rapid.Float64().Draw(t, "y"), rapid.Float64().Draw(t, "y")}
		var a, b bytes.Buffer
		if err := errors.Join(WriteCounterexample(&a, x, y), WriteAssignment(&b, witnessVars, x, y), WriteTensors(dir, witnessVars, x, y)); err != nil {
			t.Fatal(err)
		}
		check := func(form string, gotX, gotY []float64, err error) {
			if err != nil || !cmp.Equal(gotX, x) || !cmp.Equal(gotY, y) {
				t.Fatalf("%s: %v %v %v, want %v %v", form, gotX, gotY, err, x, y)
			}
		}
		gx, gy, err := ReadCounterexample(&a)
		check("1.0", gx, gy, err)
		gx, gy, err = ReadAssignment(strings.NewReader("sat\n"+strings.ReplaceAll(b.String(), "[1,2]", "[1, 2]")), witnessVars)
		check("2.0", gx, gy, err)
		gx, gy, err = ReadTensors(dir, witnessVars)
		check("serialised", gx, gy, err)
	})
}

func TestReadCounterexample(t *testing.T) {
	x, y, err := ReadCounterexample(strings.NewReader("sat\r\n((X_0 1e-3) (X_1 -2)\n(Y_0 .5))\n"))
	if err != nil || !cmp.Equal(x, []float64{1e-3, -2}) || !cmp.Equal(y, []float64{0.5}) {
		t.Errorf("%v %v %v", x, y, err)
	}
	for text, want := range map[string]string{
		"":                    ":1:1: expected '(' at the start",
		"unsat":               "expected '('",
		"((X_0 1)":            "expected '(' or ')'",
		"((X_1 1))":           ":1:3: expected X_0 or Y_0",
		"((X_0 1) (X_0 1))":   ":1:11: expected X_1 or Y_0",
		"((Y_0 1) (X_0 1))":   ":1:11: expected X_0 or Y_1",
		"((X_0 1) (Y_1 1))":   "expected Y_0 or Y_0",
		"((X_0))":             ":1:6: expected a number",
		"((X_0 1e))":          "malformed number",
		"((X_0 1e400))":       "beyond the range of float64",
		"((X_0 1 2))":         ":1:9: expected ')'",
		"((X_0 1)) 5":         ":1:11: expected the end",
		"((X_0 nan))":         "expected a number",
		"((Z_0 1))":           "expected X_0 or Y_0",
		"((X_0 1)) ((X_0 1))": "expected the end",
	} {
		_, _, err := ReadCounterexample(strings.NewReader(text))
		if _, ok := errors.AsType[*SyntaxError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestReadAssignment(t *testing.T) {
	good := "X real [1,2]\n1\n2\nZ Real []\n3\nY float64 [2]\n4\n5\n"
	if _, _, err := ReadAssignment(strings.NewReader(good), witnessVars); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":           `:1:1: expected the line "X float32 [1,2]"`,
		good + "6\n": ":9:1: unexpected text after the last value",
		strings.Replace(good, "[1,2]", "[2,1]", 1):  `:1:1: expected the line "X float32 [1,2]"`,
		strings.Replace(good, "real", "float64", 1): `:1:1: expected the line "X float32 [1,2]"`,
		strings.Replace(good, "2\n", "", 1):         "",
		strings.Replace(good, "4\n5\n", "4\n", 1):   "the text ends after 1 of 2 values of Y",
		strings.Replace(good, "\n2", "\ninf", 1):    "malformed number",
		strings.Replace(good, "\n2", "\n1e39", 1):   "beyond the range of float32",
	} {
		_, _, err := ReadAssignment(strings.NewReader(text), witnessVars)
		if _, ok := errors.AsType[*SyntaxError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestWitnessRefusals(t *testing.T) {
	var b bytes.Buffer
	dir := t.TempDir()
	for name, err := range map[string]error{
		"NaN":         WriteCounterexample(&b, []float64{math.NaN()}, nil),
		"infinity":    WriteAssignment(&b, witnessVars, []float64{0, 0, 0}, []float64{0, math.Inf(1)}),
		"length":      WriteAssignment(&b, witnessVars, []float64{0, 0}, []float64{0, 0}),
		"file length": WriteTensors(dir, witnessVars, []float64{0, 0, 0}, nil),
		"file name":   WriteTensors(dir, []Var{{Name: "../up", Shape: []int{1}}}, []float64{0}, nil),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	v := []Var{{Name: "X", Type: "float32", Shape: []int{2}}}
	whole := encodeTensor(v[0], []float64{1, 2})
	for name, data := range map[string][]byte{
		"missing data": whole[:len(whole)-1], "shape": encodeTensor(Var{Shape: []int{3}}, make([]float64, 3)), "empty": {}, "noise": {0xff, 0xff, 0xff},
		"data length": encodeTensor(Var{Shape: []int{2}}, make([]float64, 3)),
	} {
		if err := os.WriteFile(filepath.Join(dir, "X.pb"), data, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ReadTensors(dir, v); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
