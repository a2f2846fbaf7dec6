package benchmarks

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestCactus compares a plot with its golden file; the file was looked at.
func TestCactus(t *testing.T) {
	curves := []Curve{{"before", []float64{0.0002, 0.02, 0.5, 3, 40}}, {"after <&>", []float64{0.01, 0.02, 0.3, 2, 20, 95}}, {"nothing", nil}}
	var out bytes.Buffer
	if err := Cactus(&out, "A & B", curves); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/cactus.svg"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("the plot differs from %s: look at it and run this test with -update", golden)
	}
}

// TestCactusShape: whatever the curves, the document is well-formed, every solved instance is a point inside the plot, and
// later points lie further right and not lower.
func TestCactusShape(t *testing.T) {
	many := make([]float64, 1234)
	for i := range many {
		many[i] = float64(i*i) / 1e4
	}
	for name, curves := range map[string][]Curve{
		"none": nil, "empty": {{"a", nil}}, "one": {{"a", []float64{3}}}, "equal": {{"a", []float64{10, 10}}, {"b", []float64{10}}},
		"zero": {{"a", []float64{0, 0}}}, "many": {{"a", many}, {"b", many[:7]}}, "ten": make([]Curve, 10),
	} {
		var out bytes.Buffer
		if err := Cactus(&out, name+" <>\x00", curves); err != nil {
			t.Fatal(err)
		}
		var points []string
		for d := xml.NewDecoder(&out); ; {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: not well-formed: %v", name, err)
			}
			if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "polyline" {
				for _, a := range e.Attr {
					if a.Name.Local == "points" {
						points = append(points, a.Value)
					}
				}
			}
		}
		drawn := 0
		for _, c := range curves {
			if len(c.Seconds) > 0 {
				checkPoints(t, name, points[drawn], len(c.Seconds))
				drawn++
			}
		}
		if drawn != len(points) {
			t.Errorf("%s: %d lines, want %d", name, len(points), drawn)
		}
	}
}

func checkPoints(t *testing.T, name, points string, want int) {
	t.Helper()
	f := strings.Fields(points)
	if len(f) != want {
		t.Errorf("%s: %d points, want %d", name, len(f), want)
	}
	lastX, lastY := float64(plotLeft), float64(plotBottom)
	for _, p := range f {
		var x, y float64
		if _, err := fmt.Sscanf(p, "%g,%g", &x, &y); err != nil {
			t.Fatal(err)
		}
		if x < lastX || y > lastY || x > plotRight || y < plotTop {
			t.Errorf("%s: point %s after %g,%g", name, p, lastX, lastY)
		}
		lastX, lastY = x, y
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestCactusReportsWriteErrors(t *testing.T) {
	if err := Cactus(full{}, "", []Curve{{"a", []float64{1}}}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("err = %v", err)
	}
}
