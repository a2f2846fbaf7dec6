package data

import "testing"

func TestCSV(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		opt    Options
		x      []float64
		labels []int
	}{
		"label first":   {"7,0,128\n2,255,1\n", Options{}, []float64{0, 128, 255, 1}, []int{7, 2}},
		"no newline":    {"7,0,128\r\n\r\n2,255,1", Options{}, []float64{0, 128, 255, 1}, []int{7, 2}},
		"heading":       {"label,1x1,1x2\n7,0,128\n2,255,1\n", Options{}, []float64{0, 128, 255, 1}, []int{7, 2}},
		"numbers above": {"label,0,1\n7,0,128\n2,255,1\n", Options{}, []float64{0, 128, 255, 1}, []int{7, 2}},
		"named last":    {"\xef\xbb\xbfa;b;\"class\"\n0.5;-1e-3;3\n", Options{}, []float64{0.5, -1e-3}, []int{3}},
		"named middle":  {"a\ty\tb\n0.5\t3\t\"4\"\n", Options{}, []float64{0.5, 4}, []int{3}},
		"last":          {"0.5,0.25,3\n", Options{LabelColumn: "last"}, []float64{0.5, 0.25}, []int{3}},
		"none":          {"0.5,0.25\n1,2\n", Options{LabelColumn: "none"}, []float64{0.5, 0.25, 1, 2}, nil},
		"by name":       {"a,b,c\n1,2,3\n", Options{LabelColumn: "b"}, []float64{1, 3}, []int{2}},
		"shape":         {"0.5,0.25\n", Options{Shape: []int{2}}, []float64{0.5, 0.25}, nil},
		"shape, label":  {"3,0.25\n", Options{Shape: []int{1}}, []float64{0.25}, []int{3}},
		"scale":         {"3,0,128,255\n", Options{Scale: 1.0 / 255}, bytes255(0, 128, 255), []int{3}},
		"one column":    {"0.5\n0.25\n", Options{LabelColumn: "none"}, []float64{0.5, 0.25}, nil},
		"spaces":        {" 1 , 2 \n", Options{}, []float64{2}, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := openText(t, c.text, "", c.opt)
			if err != nil {
				t.Fatal(err)
			}
			want(t, s, err, s.Shape, c.x, c.labels)
		})
	}
	s, err := openText(t, "label,a\n0,10\n1,11\n2,12\n3,13\n", "[1:3]", Options{})
	want(t, s, err, []int{1}, []float64{11, 12}, []int{1, 2})
	if s.Names[0] != "1" || s.Names[1] != "2" {
		t.Errorf("names %v", s.Names)
	}
}

func TestCSVErrors(t *testing.T) {
	for name, c := range map[string]struct {
		text, span string
		opt        Options
		say        []string
	}{
		"empty":         {"", "", Options{}, []string{"empty"}},
		"blank":         {"\n \n", "", Options{}, []string{"empty"}},
		"heading only":  {"label,a\n", "", Options{}, []string{"empty"}},
		"ragged":        {"1,2\n\n1,2,3\n", "", Options{}, []string{"line 3", "3 fields", "has 2"}},
		"word":          {"1,2\n1,x\n", "", Options{}, []string{"line 2, column 2", `"x"`}},
		"missing":       {"1,2\n1,\n", "", Options{}, []string{"line 2, column 2", `""`}},
		"garbage first": {"1,x,2\n1,2,3\n", "", Options{}, []string{"line 1, column 2"}},
		"not a number":  {"1,2\n1,NaN\n", "", Options{}, []string{"item 1, element 0", "NaN"}},
		"infinite":      {"1,2\n1,-inf\n", "", Options{}, []string{"item 1, element 0", "-Inf"}},
		"too large":     {"1,1e999\n", "", Options{}, []string{"column 2", "1e999"}},
		"label":         {"0.5,1\n", "", Options{}, []string{"line 1, column 1", "0.5", "--label-column"}},
		"label large":   {"1e10,1\n", "", Options{}, []string{"class number"}},
		"label only":    {"1\n2\n", "", Options{}, []string{"no values"}},
		"no such name":  {"a,b\n1,2\n", "", Options{LabelColumn: "c"}, []string{"line 1", `"c"`}},
		"pandas":        {",label,a\n0,1,2\n", "", Options{}, []string{"index=False"}},
		"out of range":  {"1,2\n", "[0:2]", Options{}, []string{"[0:2]", "1 items"}},
		"later line":    {"1,2\n1,x\n", "[0:1]", Options{}, []string{"line 2"}},
		"limit":         {"1,2,2,2,2\n", "", Options{MaxBytes: 12}, []string{"limit"}},
		"control":       {"1,\x1b[2J\n", "", Options{}, []string{`"\x1b[2J"`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openText(t, c.text, c.span, c.opt)
			wantError(t, err, c.say...)
		})
	}
}
