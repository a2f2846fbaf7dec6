package onnx_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/spai-project/certify/nn/onnx"
)

// tiny is a network with one hidden layer: y = 3·relu(x₀ − 2x₁ + 0.5) − relu(−x₀ + x₁) + 0.25.
const tiny = `// A comment.
// Another.
2,2,1,2,
2,2,1,
0,
-1.0,-1.0,
1.0,1.0,
1.0,2.0,10.0,
2.0,4.0,100.0,
1.0,-2.0,
-1.0,1.0,
0.5,
0.0,
3.0,-1.0,
0.25,
`

func TestNNet(t *testing.T) {
	tests := []struct {
		name      string
		normalise bool
		x         []float64
		want      float64
	}{
		{"raw, first unit", false, []float64{1, 0.25}, 3.25},
		{"raw, second unit", false, []float64{-1, 1}, -1.75},
		{"normalised", true, []float64{3, 3}, 100*3.25 + 10}, // (3−1)/2 = 1, (3−2)/4 = 0.25
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, err := onnx.Options{NNet: onnx.NNetOptions{Normalise: tt.normalise}}.ReadNNet([]byte(tiny))
			if err != nil {
				t.Fatal(err)
			}
			y, err := g.EvalFlat(tt.x)
			if err != nil {
				t.Fatal(err)
			}
			if len(y) != 1 || y[0] != tt.want {
				t.Errorf("got %v, want %v", y, tt.want)
			}
		})
	}
}

// TestNNetPrecision checks that decimals are rounded once, to float32 unless float64 is asked for.
func TestNNetPrecision(t *testing.T) {
	text := "1,1,1,1,\n1,1,\n0,\n0,\n1,\n0,0,\n1,1,\n0.1,\n0.0,\n"
	for _, tt := range []struct {
		wide bool
		want float64
	}{{false, float64(float32(0.1))}, {true, 0.1}} {
		g, err := onnx.Options{NNet: onnx.NNetOptions{Float64: tt.wide}}.ReadNNet([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if y, _ := g.EvalFlat([]float64{1}); len(y) != 1 || y[0] != tt.want {
			t.Errorf("Float64 %v: %v, want %v", tt.wide, y, tt.want)
		}
	}
}

func TestNNetErrors(t *testing.T) {
	for _, tt := range []struct{ name, from, to, want string }{
		{"not a number", "-1.0,1.0,\n0.5", "-1.0,abc,\n0.5", "line 11"},
		{"short row", "3.0,-1.0,", "3.0,", "weight row 1"},
		{"end of file", "0.25,\n", "", "ends"},
		{"infinite", "0.25,", "inf,", "not finite"},
		{"sizes disagree", "2,2,1,\n0", "3,2,1,\n0", "layer sizes"},
		{"no layers", "2,2,1,2,", "0,2,1,2,", "header"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(tiny, tt.from, tt.to, 1)
			if text == tiny {
				t.Fatal("the test changes nothing")
			}
			_, err := onnx.Options{}.ReadNNet([]byte(text))
			var f *onnx.FormatError
			if !errors.As(err, &f) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a FormatError saying %q", err, tt.want)
			}
		})
	}
}
