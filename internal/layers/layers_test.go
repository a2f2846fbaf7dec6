package layers

import (
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/spai-project/certify"

// TestImports checks the policy on every file of the module.
func TestImports(t *testing.T) {
	r, err := parseRules(policy, modules, restricted, testModules)
	if err != nil {
		t.Fatal(err)
	}
	root := moduleRoot(t)
	files, err := scan(root)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(files, func(f file) bool { return f.Package == "internal/layers" && f.Test }) {
		t.Fatalf("the scan of %d files misses this very test", len(files))
	}
	for _, bad := range r.check(module, files) {
		t.Error(bad)
	}
}

// moduleRoot walks up to the directory of go.mod.
func moduleRoot(t *testing.T) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if text, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil {
			if !strings.HasPrefix(string(text), "module "+module+"\n") {
				t.Fatalf("go.mod does not declare %s", module)
			}
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above this test")
		}
		dir = filepath.Dir(dir)
	}
}

// scan reads the imports of every Go file of a module, whatever its build constraints, but for files that no build uses
// ("ignore"), nested modules, testdata, and directories starting with a dot or an underscore.
func scan(root string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path == root {
				return nil
			}
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if name == "testdata" || name[0] == '.' || name[0] == '_' || nested == nil {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || name[0] == '.' || name[0] == '_' {
			return nil
		}
		f, err := readImports(root, path)
		if err == nil && f != nil {
			files = append(files, *f)
		}
		return err
	})
	return files, err
}

// readImports returns nil for a file that no build uses.
func readImports(root, path string) (*file, error) {
	src, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return nil, err
	}
	for _, group := range src.Comments {
		for _, c := range group.List {
			if x, err := constraint.Parse(c.Text); err == nil && x.String() == "ignore" && c.Pos() < src.Package {
				return nil, nil
			}
		}
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return nil, err
	}
	rel = filepath.ToSlash(rel)
	f := &file{Name: rel, Package: ".", Test: strings.HasSuffix(rel, "_test.go")}
	if i := strings.LastIndexByte(rel, '/'); i >= 0 {
		f.Package = rel[:i]
	}
	for _, spec := range src.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		f.Imports = append(f.Imports, imp)
	}
	return f, nil
}

// TestPolicyDecides asks single questions of the real policy: a policy that allowed everything would fail here.
func TestPolicyDecides(t *testing.T) {
	r, err := parseRules(policy, modules, restricted, testModules)
	if err != nil {
		t.Fatal(err)
	}
	own := func(p string) string { return module + "/" + p }
	for _, c := range []struct {
		pkg, imp string
		ok       bool
	}{
		{"nn/prog", own("internal/kernel"), true},
		{"nn/op", own("nn/prog"), true},
		{"nn/prog", own("nn/op"), false},
		{"nn", own("nn/onnx"), false},
		{"nn/onnx", own("nn/spec"), false},
		{"nn/spec", own("nn"), true},
		{"relax", own("nn/prog"), true},
		{"relax", own("verify/trace"), true},
		{"relax", own("verify"), false},
		{"relax", own("smt"), false},
		{"smt", own("smt/simplex"), true},
		{"smt/reluplex", own("smt/simplex"), true},
		{"smt/reluplex", own("verify/bab"), false},
		{"verify", own("smt/reluplex"), true},
		{"smt/simplex", own("internal/exact"), false},
		{"smt/simplex", "math", true},
		{"smt", "github.com/go-air/gini/z", true},
		{"verify/bab", "github.com/go-air/gini", false},
		{"attacks", own("relax"), true},
		{"attacks", own("nn/train"), true},
		{"nn/train", own("attacks"), false},
		{"nn/train", own("nn/data"), false},
		{"nn/train", own("internal/kernel"), true},
		{"attacks/poison", own("attacks"), true},
		{"attacks", own("sdp"), false},
		{"verify/bab", own("smt"), true},
		{"verify/bab", own("verify"), false},
		{"verify", own("verify/bab"), true},
		{"verify", own("verify/kernel"), true},
		{"verify/kernel", own("internal/exact"), false},
		{"verify/kernel", own("nn/prog"), false},
		{"verify/kernel", "math/big", true},
		{"verify/kernel", "golang.org/x/sys/cpu", false},
		{"verify/kernel", own("verify/cert"), false},
		{"verify/cert", own("verify/kernel"), true},
		{"verify/prove", own("verify/cert"), true},
		{"verify/prove", own("verify"), false},
		{"verify", own("verify/prove"), false},
		{"cmd/certify", own("verify/prove"), true},
		{"cmd/certify-check", own("verify/prove"), false},
		{"cmd/certify-check", own("verify/kernel"), true},
		{"cmd/certify-check", own("verify/cert"), false},
		{"cmd/certify-check", own("verify"), false},
		{"cmd/certify-check", "github.com/spf13/cobra", false},
		{"verify/report", own("verify"), true},
		{"verify/report", own("cmd/certify"), false},
		{"verify/verifytest", own("nn/spec"), true},
		{"verify/verifytest", own("internal/exact"), true},
		{"verify/verifytest", own("verify"), false},
		{"verify/verifytest", own("relax"), false},
		{"benchmarks/score", own("benchmarks"), true},
		{"cmd/certify", own("verify/verifytest"), true},
		{"cmd/certify", own("benchmarks"), true},
		{"cmd/certify", "github.com/spf13/cobra", true},
		{"verify", "github.com/spf13/cobra", false},
		{"nn/onnx", "google.golang.org/protobuf/encoding/protowire", true},
		{"nn/spec", "google.golang.org/protobuf/encoding/protowire", true},
		{"verify/report", "google.golang.org/protobuf/encoding/protowire", false},
		{"sdp", "gonum.org/v1/gonum/mat", true},
		{"relax", "gonum.org/v1/gonum/mat", false},
		{"verify", "github.com/jedib0t/go-pretty/v6/table", false},
		{"verify/report", "github.com/jedib0t/go-pretty/v6/table", true},
		{"verify", "example.org/new", false},
		{"nn/op", "unsafe", false},
		{"internal/kernel", "unsafe", true},
		{"internal/seed", own("internal/exact"), false},
		{"relax", own("surprise"), false},
		{"surprise", "fmt", false},
	} {
		bad := r.check(module, []file{{Name: "x.go", Package: c.pkg, Imports: []string{c.imp}}})
		if (len(bad) == 0) != c.ok {
			t.Errorf("%s importing %s: %q, want allowed %v", c.pkg, c.imp, bad, c.ok)
		}
	}
	for imp, ok := range map[string]bool{
		own("verify"): true, own("cmd/certify"): false, "pgregory.net/rapid": true, "gonum.org/v1/gonum/mat": true,
		"github.com/spf13/cobra": false, "unsafe": false,
	} {
		bad := r.check(module, []file{{Name: "x_test.go", Package: "relax", Test: true, Imports: []string{imp}}})
		if (len(bad) == 0) != ok {
			t.Errorf("a test in relax importing %s: %q, want allowed %v", imp, bad, ok)
		}
	}
}

// TestScanFindsViolations seeds a module on disk with one violation per kind and wants exactly these.
func TestScanFindsViolations(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                      "module " + module + "\n",
		"relax/good.go":               `package relax; import _ "` + module + `/nn/prog"`,
		"relax/bad.go":                `package relax; import _ "` + module + `/verify"`,
		"relax/bad_linux.go":          "//go:build linux && never\n\npackage relax\n\nimport _ \"github.com/go-air/gini\"",
		"relax/gen.go":                "//go:build ignore\n\npackage main\n\nimport _ \"github.com/go-air/gini\"",
		"relax/ok_test.go":            `package relax; import _ "` + module + `/verify"`,
		"relax/testdata/x.go":         `package x; import _ "unsafe"`,
		"internal/kernel/_asm/gen.go": `package main; import _ "github.com/mmcloughlin/avo"`,
		"internal/tools/go.mod":       "module tools\n",
		"internal/tools/tools.go":     `package tools; import _ "honnef.co/go/tools"`,
		"new/new.go":                  `package new`,
		"root.go":                     `package certify`,
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	files, err := scan(root)
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseRules(policy, modules, restricted, testModules)
	if err != nil {
		t.Fatal(err)
	}
	got := r.check(module, files)
	slices.Sort(got)
	want := []string{
		"package . is not in the policy",
		"package new is not in the policy",
		"relax/bad.go: package relax imports " + module + "/verify: imports point downward only",
		"relax/bad_linux.go: package relax imports github.com/go-air/gini: this module belongs to other packages",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestParseRulesRejects wants errors for policies that say something else than they seem to.
func TestParseRulesRejects(t *testing.T) {
	for name, c := range map[string]struct{ policy, modules string }{
		"circular":          {"NONE < a; a < b; b < a;", ""},
		"forward reference": {"a < b; NONE < a;", ""},
		"no relation":       {"NONE < a; b;", ""},
		"unknown package":   {"NONE < a;", "m.org/x: b"},
		"no colon":          {"NONE < a;", "m.org/x"},
		"NONE on the right": {"NONE < a < NONE;", ""},
	} {
		if _, err := parseRules(c.policy, c.modules, "", nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
