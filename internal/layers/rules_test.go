package layers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// rules is the parsed policy.
type rules struct {
	allow      map[string]map[string]bool // pattern → patterns it may import, transitively closed
	modules    map[string][]string        // module → patterns
	restricted map[string][]string        // standard package → patterns
	tests      []string                   // modules for test files
}

// parseRules reads the three tables.
func parseRules(policy, modules, restricted string, tests []string) (*rules, error) {
	r := &rules{allow: map[string]map[string]bool{}, tests: tests}
	for _, chain := range strings.Split(stripComments(policy), ";") {
		if strings.TrimSpace(chain) == "" {
			continue
		}
		lists := strings.Split(chain, "<")
		if len(lists) < 2 {
			return nil, fmt.Errorf("a chain without <: %q", strings.TrimSpace(chain))
		}
		for i := range lists[1:] {
			if err := r.addEdges(splitList(lists[i]), splitList(lists[i+1])); err != nil {
				return nil, err
			}
		}
	}
	r.close()
	for _, p := range slices.Sorted(maps.Keys(r.allow)) {
		if r.allow[p][p] {
			return nil, fmt.Errorf("the policy is circular at %s", p)
		}
	}
	var err error
	if r.modules, err = r.parseTable(modules); err != nil {
		return nil, err
	}
	r.restricted, err = r.parseTable(restricted)
	return r, err
}

func (r *rules) addEdges(left, right []string) error {
	for _, p := range right {
		if p == "NONE" || p == "" {
			return fmt.Errorf("bad name %q on the right of <", p)
		}
		if r.allow[p] == nil {
			r.allow[p] = map[string]bool{}
		}
		for _, q := range left {
			if q == "NONE" {
				continue
			}
			if r.allow[q] == nil {
				return fmt.Errorf("%q is used before it is placed", q)
			}
			r.allow[p][q] = true
		}
	}
	return nil
}

// close adds what the allowed patterns are allowed, until nothing new comes.
func (r *rules) close() {
	for again := true; again; {
		again = false
		for _, set := range r.allow {
			before := len(set)
			for _, q := range slices.Collect(maps.Keys(set)) {
				maps.Copy(set, r.allow[q])
			}
			again = again || len(set) > before
		}
	}
}

// parseTable reads lines "name: pattern, pattern"; every pattern must be placed by the policy or lie under one that is.
func (r *rules) parseTable(text string) (map[string][]string, error) {
	table := map[string][]string{}
	for _, line := range strings.Split(stripComments(text), "\n") {
		name, list, ok := strings.Cut(strings.TrimSpace(line), ":")
		if name == "" {
			continue
		}
		if !ok {
			return nil, fmt.Errorf("a line without a colon: %q", line)
		}
		table[name] = nil
		for _, p := range splitList(list) {
			if p == "" {
				continue
			}
			if _, ok := r.rule(strings.TrimSuffix(p, "/...")); !ok {
				return nil, fmt.Errorf("%s: unknown package %q", name, p)
			}
			table[name] = append(table[name], p)
		}
	}
	return table, nil
}

func stripComments(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i], _, _ = strings.Cut(lines[i], "#")
	}
	return strings.Join(lines, "\n")
}

func splitList(s string) []string {
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// match reports whether a package path, relative to the module, falls under a pattern.
func match(pattern, path string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	return path == pattern
}

// rule returns the longest pattern that matches a package.
func (r *rules) rule(path string) (string, bool) {
	best := ""
	for p := range r.allow {
		if match(p, path) && len(p) > len(best) {
			best = p
		}
	}
	return best, best != ""
}

// A file is one source file's imports. Package is relative to the module ("." is the module's root).
type file struct {
	Name, Package string
	Test          bool
	Imports       []string
}

// check returns one line for every violation.
func (r *rules) check(module string, files []file) []string {
	var bad []string
	unplaced := map[string]bool{}
	for _, f := range files {
		rule, ok := r.rule(f.Package)
		if !ok {
			if !unplaced[f.Package] {
				bad = append(bad, fmt.Sprintf("package %s is not in the policy", f.Package))
			}
			unplaced[f.Package] = true
			continue
		}
		for _, imp := range f.Imports {
			if why := r.violation(module, rule, f, imp); why != "" {
				bad = append(bad, fmt.Sprintf("%s: package %s imports %s: %s", f.Name, f.Package, imp, why))
			}
		}
	}
	return bad
}

// violation returns why f may not import imp, "" when it may.
func (r *rules) violation(module, rule string, f file, imp string) string {
	first, _, _ := strings.Cut(imp, "/")
	switch {
	case imp == module || strings.HasPrefix(imp, module+"/"):
		rel := strings.TrimPrefix(strings.TrimPrefix(imp, module), "/")
		return r.ours(rule, f, rel)
	case strings.Contains(first, "."):
		return r.foreign(f, imp)
	default:
		if list, ok := r.restricted[imp]; ok && !anyMatch(list, f.Package) {
			return "this part of the standard library is restricted"
		}
		return ""
	}
}

func (r *rules) ours(rule string, f file, rel string) string {
	target, ok := r.rule(rel)
	switch {
	case !ok:
		return "the imported package is not in the policy"
	case f.Test && !match("cmd/...", rel), rel == f.Package:
		return ""
	case target == rule && strings.HasSuffix(rule, "/...") && rule != "internal/...":
		return "" // within one tree; the compiler excludes cycles
	case !r.allow[rule][target]:
		return "imports point downward only"
	}
	return ""
}

func (r *rules) foreign(f file, imp string) string {
	within := func(mod string) bool { return imp == mod || strings.HasPrefix(imp, mod+"/") }
	if f.Test && slices.ContainsFunc(r.tests, within) {
		return ""
	}
	for mod, list := range r.modules {
		if within(mod) {
			if anyMatch(list, f.Package) {
				return ""
			}
			return "this module belongs to other packages"
		}
	}
	return "this module is not in the policy"
}

func anyMatch(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, path) })
}
