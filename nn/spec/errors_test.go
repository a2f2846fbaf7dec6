package spec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSyntaxErrors(t *testing.T) {
	d := declare1(1, 10)
	sig := &Signature{Inputs: []Port{{"in", []int{1, 1}, "float32"}}, Outputs: []Port{{"out", []int{1, 10}, "float32"}}}
	two := &Signature{Inputs: []Port{{"a", []int{1}, "float32"}, {"b", []int{2, 2}, ""}}, Outputs: []Port{{"out", []int{10}, ""}}}
	net := func(body string) string { return "(vnnlib-version <2.0>)\n(declare-network f\n" + body + ")\n" }
	io := "(declare-input X float32 [1,1]) (declare-output Y float32 [1,10])"
	for name, c := range map[string]struct {
		text     string
		sig      *Signature
		want     string
		mismatch bool
	}{
		"no such output":       {d + "(assert (<= Y_12 Y_3))", sig, "q:2:13: Y_12 does not exist, the model has 10 outputs (Y_0…Y_9)", true},
		"declares too many":    {"(declare-const X_0 Real)\n(declare-const X_1 Real)", sig, "q:2:16: X_1 does not exist, the model has 1 input (X_0)", true},
		"declares too few":     {declare1(1, 9) + box1, sig, "the query declares 9 outputs (Y_0…Y_8), the model has 10 outputs (out [1,10])", true},
		"two-input model":      {d + box1, two, "the query declares 1 input (X_0), the model has 5 inputs (a [1], b [2,2])", true},
		"undeclared":           {d + "(assert (<= Y_10 0))", nil, "q:2:13: Y_10 is not declared", false},
		"unknown name":         {d + "(assert (<= Z 0))", nil, `q:2:13: "Z" is not declared`, false},
		"leading zero":         {d + "(assert (<= Y_01 0))", nil, `q:2:13: "Y_01" is not declared`, false},
		"duplicate":            {d + "(declare-const X_0 Real)", nil, "q:2:16: X_0 is declared twice", false},
		"gap":                  {"(declare-const X_0 Real)(declare-const X_2 Real)(declare-const Y_0 Real)", nil, "X_1 is not declared although X_2", false},
		"bad type":             {"(declare-const X_0 Int)", nil, `q:1:20: expected the type Real, not "Int"`, false},
		"bad name":             {"(declare-const input Real)", nil, "q:1:16: VNN-LIB 1.0 names inputs X_0", false},
		"huge index":           {"(declare-const X_99999999 Real)", nil, "more than 67108864 variables", false},
		"no inputs":            {"(declare-const Y_0 Real)", nil, "declares no inputs", false},
		"no outputs":           {"(declare-const X_0 Real)", nil, "declares no outputs", false},
		"unbounded":            {d + "(assert (<= X_0 1))", nil, "q: X_0 has no lower bound; every input needs both", false},
		"unbounded case":       {d + "(assert (<= X_0 1))\n(assert (or (>= X_0 0)\n(<= Y_0 0)))", nil, "q:4: X_0 has no lower bound", false},
		"many unbounded":       {declare1(5, 1) + "(assert (<= X_0 1))", nil, "X_0 has no lower bound, X_1 has no upper bound, X_1 has no lower bound, 6 more; every", false},
		"open string":          {"(set-info :source \"abc\n\")", nil, "q:1:19: this string is not closed on its line", false},
		"string to the end":    {"(set-info :source \"abc", nil, "q:1:19: this string is not closed", false},
		"brace":                {"{}", nil, "q:1:1: unexpected '{'", false},
		"function arguments":   {"(declare-fun X_0 (Real) Real)", nil, "functions with arguments", false},
		"2.0 comma":            {net(io) + "(assert (<= Y[0 1] 0))", nil, "expected ',' or ']'", false},
		"2.0 index word":       {net(io) + "(assert (<= Y[i,1] 0))", nil, "expected a natural number, not \"i\"", false},
		"2.0 network name":     {"(vnnlib-version <2.0>)(declare-network (declare-input X real []))", nil, "expected the name of the network", false},
		"2.0 unknown part":     {net("(declare-inputs X real [])"), nil, `unknown declaration "declare-inputs"`, false},
		"open":                 {d + "(assert\n (or (<= Y_0 0)\n", nil, "q:3:2: unbalanced parentheses: this '(' is not closed", false},
		"open command":         {d + "(assert (<= Y_0 0)\n", nil, "q:2:1: unbalanced parentheses", false},
		"close":                {d + "(assert (<= Y_0 0)))", nil, "q:2:20: unbalanced ')'", false},
		"trailing":             {d + box1 + "\nhello", nil, "q:3:1: expected '('", false},
		"three operands":       {d + "(assert (<= Y_0 0 1))", nil, "q:2:19: a comparison has two operands", false},
		"one operand":          {d + "(assert (<= Y_0))", nil, "q:2:16: a comparison has two operands", false},
		"no formula":           {d + "(assert Y_0)", nil, "q:2:9: expected '(' and a comparison", false},
		"two formulas":         {d + "(assert (<= Y_0 0) (<= Y_0 1))", nil, "q:2:20: expected ')' to close the '(' of line 2, column 1", false},
		"unknown operator":     {d + "(assert (=< Y_0 0))", nil, `q:2:10: unknown operator "=<"`, false},
		"unknown command":      {d + "(asert (<= Y_0 0))", nil, `q:2:2: unknown command "asert"`, false},
		"atom in and":          {d + "(assert (and Y_0))", nil, "q:2:14: expected '(' or ')' in and", false},
		"atom in or":           {d + "(assert (or 1))", nil, "q:2:13: expected '(' or ')' in or", false},
		"malformed number":     {d + "(assert (<= Y_0 1.2.3))", nil, "q:2:17: malformed number", false},
		"malformed exponent":   {d + "(assert (<= Y_0 1e))", nil, "q:2:17: malformed number", false},
		"exponent range":       {d + "(assert (<= Y_0 1e99999999999999999999))", nil, "q:2:17: the exponent of this number is out of range", false},
		"float64 range":        {d + "(assert (<= Y_0 1e400))", nil, "q:2:17: this number is beyond the range of float64", false},
		"nearly float64 range": {d + "(assert (<= Y_0 179769313486231571e291))", nil, "beyond the range of float64", false},
		"infinity":             {d + "(assert (<= Y_0 inf))", nil, `"inf" is not declared`, false},
		"long number":          {d + "(assert (<= Y_0 " + strings.Repeat("1", 5000) + "))", nil, "too many digits", false},
		"long word":            {strings.Repeat("a", 300000), nil, "q:1:1: this word is too long", false},
		"empty":                {"", nil, "q:1:1: the query is empty", false},
		"only comments":        {"; nothing\n\n", nil, "the query is empty", false},
		"binary":               {"\x08\x07\x12\x05", nil, "q:1:1: unexpected byte 0x08; this does not look like a VNN-LIB text", false},
		"deep":                 {d + "(assert " + strings.Repeat("(and ", 20000), nil, "more than 10000 nested parentheses", false},
		"deep or":              {d + "(assert " + strings.Repeat("(or ", 20000), nil, "more than 10000 nested parentheses", false},
		"deep term":            {d + "(assert (<= " + strings.Repeat("(- ", 20000), nil, "more than 10000 nested parentheses", false},
		"operation":            {d + "(assert (<= (% Y_0 2) 2))", nil, `unknown operation "%"`, false},
		"no operands":          {d + "(assert (<= (+) 2))", nil, "+ needs operands", false},
		"division by zero":     {d + "(assert (<= (/ Y_0 0) 2))", nil, "the divisor must be a constant other than 0", false},
		"big coefficient":      {d + "(assert (<= (* 1e300 1e300 Y_0) 2))", nil, "q:2:9: a coefficient or constant is beyond the range", false},
		"squared constants":    {d + "(assert (<= (* " + strings.Repeat("1e5000 ", 20) + "Y_0) 2))", nil, "this number is beyond the range", false},
		"version late":         {d + "(vnnlib-version <2.0>)", nil, "vnnlib-version must be the first form", false},
		"2.0 without header":   {"(declare-network f " + io + ")", nil, "declare-network needs (vnnlib-version <2.0>)", false},
		"2.0 const":            {net(io) + "(declare-const X_0 Real)", nil, "belongs to VNN-LIB 1.0", false},
		"2.0 no network":       {"(vnnlib-version <2.0>)", nil, "declares no network", false},
		"2.0 early assert":     {"(vnnlib-version <2.0>)(assert (<= X 1))", nil, "assert before declare-network", false},
		"2.0 no output":        {net("(declare-input X float32 [1])"), nil, "the network declares no outputs", false},
		"2.0 order":            {net("(declare-output Y float32 [1]) (declare-input X float32 [1])"), nil, "inputs are declared before outputs", false},
		"2.0 duplicate":        {net(io + "(declare-output X Real [])"), nil, `"X" is declared twice`, false},
		"2.0 type":             {net("(declare-input X flot32 [1])"), nil, `q:3:18: unknown element type "flot32"`, false},
		"2.0 zero dim":         {net("(declare-input X Real [1,0])"), nil, "dimensions are at least 1", false},
		"2.0 huge":             {net("(declare-input X Real [99999,99999])"), nil, "more than 67108864 variables", false},
		"2.0 shape":            {net("(declare-input X Real 3)"), nil, "expected the shape of X", false},
		"2.0 index":            {net(io) + "(assert (<= Y[0,10] 0))", nil, "q:4:17: index 10 is out of range, Y has the shape [1,10] (0…9 here)", false},
		"2.0 negative":         {net(io) + "(assert (<= Y[0,-1] 0))", nil, "index -1 is out of range", false},
		"2.0 few indices":      {net(io) + "(assert (<= Y[0] 0))", nil, "1 of 2 indices", false},
		"2.0 many indices":     {net(io) + "(assert (<= Y[0,0,0] 0))", nil, "too many indices", false},
		"2.0 bare":             {net(io) + "(assert (<= Y 0))", nil, "q:4:13: Y has the shape [1,10], an element is written Y[0,0]", false},
		"2.0 undeclared":       {net(io) + "(assert (<= Z 0))", nil, `"Z" is not declared`, false},
		"2.0 constants":        {net(io) + "(assert (<= 0 (+ 1 1)))", nil, "q:4:9: a comparison needs a variable", false},
		"2.0 single equals":    {net(io) + "(assert (= Y[0,0] 1))", nil, "VNN-LIB 2.0 writes equality ==", false},
		"2.0 empty and":        {net(io) + "(assert (and))", nil, "and needs at least one operand", false},
		"2.0 empty or":         {net(io) + "(assert (or))", nil, "or needs at least one operand", false},
		"2.0 division":         {net(io) + "(assert (<= (/ Y[0,0] 2) 1))", nil, "VNN-LIB 2.0 has no division", false},
		"2.0 model size":       {net("(declare-input X float32 [1,2]) (declare-output Y float32 [10])"), sig, "q:3:16: X has the shape [1,2], the model's input in has [1,1]", true},
		"2.0 model type":       {net("(declare-input X float64 [1]) (declare-output Y float32 [10])"), sig, "X has the type float64, the model's input in has float32", true},
		"2.0 model inputs":     {net(io), two, "the query declares 1 input tensor, the model has 5 inputs (a [1], b [2,2]) in 2", true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read("q", strings.NewReader(c.text), c.sig)
			if _, ok := errors.AsType[*SyntaxError](err); !ok {
				t.Fatalf("no syntax error: %v", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if errors.Is(err, ErrMismatch) != c.mismatch {
				t.Errorf("mismatch %v: %v", !c.mismatch, err)
			}
		})
	}
}

func TestFittingQueries(t *testing.T) {
	sig := &Signature{Inputs: []Port{{"a", []int{1}, "float32"}, {"b", []int{1, 2}, "float32"}}, Outputs: []Port{{"out", []int{1, 1}, "float32"}}}
	for _, text := range []string{
		declare1(3, 1) + "(assert (or))",
		"(vnnlib-version <2.0>)(declare-network f (declare-input p float32 []) (declare-input q Real [2]) (declare-output r float [1]))(assert (and (< p 0) (> p 0)))",
	} {
		if _, err := Read("q", strings.NewReader(text), sig); err != nil {
			t.Error(err)
		}
	}
}

func TestUnsupported(t *testing.T) {
	d := declare1(1, 2)
	net := "(vnnlib-version <2.0>)(declare-network f (declare-input X float32 [2]) (declare-output Y float32 [2]))"
	for text, want := range map[string]string{
		d + "(assert (<= (* Y_0 Y_1) 0))": "q:2:20: a product of variables is not supported; constraints are linear",
		d + "(assert (not (<= Y_0 0)))":   `q:2:10: the connective not is not supported; use and, or`,
		d + "(define-fun f () Real 0)":    "q:2:2: define-fun is not supported",
		"(vnnlib-version <3.0>)":          `VNN-LIB version "<3.0>" is not supported; 1.0 and <2.0> are`,
		net + "(declare-network g (declare-input A Real [2]) (declare-output B Real [2]))":                            "a second network",
		"(vnnlib-version <2.0>)(declare-network f (equal-to g) (declare-input A Real [2]))":                           "equal-to is not supported",
		"(vnnlib-version <2.0>)(declare-network f (isomorphic-to g) (declare-input A Real [2]))":                      "isomorphic-to is not supported",
		"(vnnlib-version <2.0>)(declare-network f (declare-input A Real [2]) (declare-hidden H Real [2] \"n\"))":      "declare-hidden is not supported",
		"(vnnlib-version <2.0>)(declare-network f (declare-input A int8 [2]))":                                        "the element type int8 is not supported; real, float32 and float64 are",
		"(vnnlib-version <2.1>)(declare-network f (declare-input A Real [2] initialized) (declare-output B Real []))": "initialized is not supported",
		net + "(assert (<= (* X[0] Y[1]) 0))":                                                                         "a product of variables",
	} {
		_, err := Read("q", strings.NewReader(text), nil)
		if _, ok := errors.AsType[*UnsupportedError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestCaret(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{declare1(1, 1) + "(assert (<= Y_12 Y_3))",
			"    2 | (assert (<= Y_12 Y_3))\n      |             ^^^^"},
		{declare1(1, 1) + "\t(assert\t(<= Y_12 Y_3))\r\n",
			"    2 | \t(assert\t(<= Y_12 Y_3))\n      | \t       \t    ^^^^"},
		{declare1(1, 1) + "(assert (<= " + strings.Repeat(" ", 1000) + "\x1bY_12 " + strings.Repeat("x", 1000),
			"    2 | …" + strings.Repeat(" ", 60) + "?Y_12 " + strings.Repeat("x", 54) + "…\n      |  " + strings.Repeat(" ", 60) + "^"},
	} {
		_, err := Read("q", strings.NewReader(c.text), nil)
		e, ok := errors.AsType[*SyntaxError](err)
		if !ok {
			t.Fatal(err)
		}
		if got := e.Caret(); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
}

// The line of a parenthesis far behind the reading position is fetched from the file again.
func TestCaretOfOldLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q.vnnlib")
	text := declare1(1, 1) + "(assert (or\n" + strings.Repeat("(and (<= X_0 0.5) (>= X_0 0.25) (<= Y_0 1))\n", 20000)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := ReadFile(path, nil)
	e, ok := errors.AsType[*SyntaxError](err)
	if !ok {
		t.Fatal(err)
	}
	if want := "    2 | (assert (or\n      |         ^"; e.Caret() != want {
		t.Errorf("%v\ngot\n%s\nwant\n%s", err, e.Caret(), want)
	}
}

func TestReadFile(t *testing.T) {
	if _, err := ReadFile(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	path := filepath.Join(t.TempDir(), "q.vnnlib")
	if err := os.WriteFile(path+".gz", []byte(declare1(1, 1)+box1), 0o666); err != nil {
		t.Fatal(err)
	}
	if p, err := ReadFile(path, nil); err != nil || len(p.Cases) != 1 {
		t.Errorf("got %v, %v", p, err)
	}
}

// Every limit turns into an error, not into memory.
func TestLimits(t *testing.T) {
	or := "(assert (or (<= Y_0 0) (<= Y_0 1) (<= Y_0 2)))"
	boxes := "(assert (or (<= X_0 0.5) (<= X_0 0.25) (<= X_0 0.125)))"
	for _, c := range []struct {
		text string
		set  func(*limits)
		want string
	}{
		{box1 + strings.Repeat(or, 3), func(l *limits) { l.cases = 20 }, "more than 20 cases"},
		{box1 + strings.Repeat(or, 50), func(l *limits) {}, "more than 2000000 cases"},
		{box1 + strings.Repeat(or, 3), func(l *limits) { l.rows = 50 }, "more than 50 constraints"},
		{box1 + boxes, func(l *limits) { l.ends = 4 }, "more than 2 different input boxes"},
		{box1 + "(assert (<= (+ Y_0 1 2 3 4 5) 0))", func(l *limits) { l.terms = 4 }, "more than 4 terms"},
		{box1 + boxes + boxes + boxes + boxes, func(l *limits) { l.ends = 1 }, "more than 0 different input boxes"},
		{box1 + strings.ReplaceAll(strings.Repeat(boxes, 6), "0.125", "0.25"), func(l *limits) { l.ends = 4 }, "too many cases (319 so far)"},
		{box1, func(l *limits) { l.bytes = 50 }, "too long"},
	} {
		lim := defaultLimits
		c.set(&lim)
		if _, err := read("q", strings.NewReader(declare1(1, 1)+c.text), nil, lim); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	lim := defaultLimits
	lim.cases, lim.rows, lim.ends = 27, 81, 8
	if _, err := read("q", strings.NewReader(declare1(1, 1)+box1+strings.Repeat(or, 3)), nil, lim); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}
