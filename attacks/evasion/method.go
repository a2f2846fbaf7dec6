// Package evasion holds the attacks of the literature on one input at a time: given an input, a goal and a norm, find a close input
// that reaches the goal.
//
// An attack is a plain function of a Probe, which is its only access to the model; Run executes it for many inputs as coroutines
// whose questions are answered in batches. The probe moves every point onto the float32 grid inside the box before it is evaluated
// and remembers the best that reaches the goal: so an attack can fail but cannot return a point outside the ball, one that was never
// evaluated, or a distance that was not measured on what is returned. Every attack is one file and one entry of the registry.
package evasion

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spai-project/certify/attacks/access"
)

// A Method is one attack.
type Method struct {
	Name, Doc string
	Source    string // the paper: authors, title, year
	Needs     access.Level
	Norms     []Norm
	// Minimal is true for attacks that make the perturbation small; with a finite Options.Eps they stop inside it. The others need
	// a finite one.
	Minimal bool
	// ClassesOnly is true for attacks that need class goals.
	ClassesOnly bool
	Params      []Param
	run         func(p *Probe)
}

// A Param is a number that steers an attack, or one of several words.
type Param struct {
	Name    string
	Default float64  // for words, the index
	Words   []string // nil: a number
	Doc     string
}

var registry []*Method

func register(m *Method) *Method {
	registry = append(registry, m)
	return m
}

// Methods returns every attack, sorted by name.
func Methods() []*Method {
	m := slices.Clone(registry)
	slices.SortFunc(m, func(a, b *Method) int { return strings.Compare(a.Name, b.Name) })
	return m
}

// Lookup returns the attack with the given name.
func Lookup(name string) (*Method, bool) {
	for _, m := range registry {
		if m.Name == name {
			return m, true
		}
	}
	return nil, false
}

// Parse reads an attack with parameters, as in "pgd:steps=40,loss=dlr".
func Parse(text string) (*Method, map[string]float64, error) {
	name, rest, _ := strings.Cut(text, ":")
	m, ok := Lookup(name)
	if !ok {
		return nil, nil, fmt.Errorf("evasion: no attack %q", name)
	}
	params := map[string]float64{}
	for _, kv := range strings.Split(rest, ",") {
		if rest == "" {
			break
		}
		key, value, _ := strings.Cut(kv, "=")
		k := slices.IndexFunc(m.Params, func(p Param) bool { return p.Name == key })
		if k < 0 {
			return nil, nil, fmt.Errorf("evasion: %s has no parameter %q; it has %s", name, key, m.paramNames())
		}
		v, err := m.Params[k].parse(value)
		if err != nil {
			return nil, nil, fmt.Errorf("evasion: %s: %w", name, err)
		}
		params[key] = v
	}
	return m, params, nil
}

func (m *Method) paramNames() string {
	var s []string
	for _, p := range m.Params {
		s = append(s, p.Name)
	}
	return strings.Join(s, ", ")
}

func (p *Param) parse(value string) (float64, error) {
	if p.Words != nil {
		if k := slices.Index(p.Words, value); k >= 0 {
			return float64(k), nil
		}
		return 0, fmt.Errorf("%s=%q: want one of %s", p.Name, value, strings.Join(p.Words, ", "))
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || v != v || v < 0 || v > 1e12 {
		return 0, fmt.Errorf("%s=%q: want a number of at least 0", p.Name, value)
	}
	return v, nil
}

// lossParam is the parameter that most gradient attacks share.
func lossParam(l Loss) Param {
	return Param{Name: "loss", Default: float64(l), Words: lossNames[:], Doc: "what is climbed"}
}
