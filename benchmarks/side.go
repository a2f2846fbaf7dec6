package benchmarks

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An Answer is what one side of a comparison said about one instance.
type Answer struct {
	Instance
	Verdict string  // as Result.Verdict
	Seconds float64 // wall time
	CPU     float64 // processor time, 0: unknown
	Limit   float64 // seconds the side was given, 0: unknown
	Truth   string  // the known answer, "" where there is none
}

// Solved reports whether the answer decides the instance within its limit.
func (a *Answer) Solved() bool { return decides(a.Verdict) && !a.late() }

func (a *Answer) late() bool { return a.Limit > 0 && a.Seconds > a.Limit }

func decides(verdict string) bool { return verdict == "sat" || verdict == "unsat" }

// PAR2 returns the penalised time: the seconds of an answer within its limit, else twice the limit.
func (a *Answer) PAR2() float64 {
	if a.Solved() {
		return a.Seconds
	}
	return 2 * a.Limit
}

// A Side is one column of a comparison: a results file, or a peer's column of the known answers.
type Side struct {
	Name    string
	Peer    bool              // measured by others on another machine
	Answers map[string]Answer // by instance key
}

// ResultsSide makes a side of results; a later result of an instance replaces an earlier one. truth may be nil: then the
// known answers are those recorded in the results.
func ResultsSide(name string, results []Result, truth map[string]Truth) *Side {
	s := &Side{Name: name, Answers: map[string]Answer{}}
	for _, r := range results {
		a := Answer{Instance: Instance{Suite: r.Suite, Dir: r.Dir, Model: r.Model, Query: r.Query},
			Verdict: r.Verdict, Seconds: r.Wall, CPU: r.CPU, Limit: r.Limit, Truth: r.Truth}
		if t, ok := truth[r.Key()]; ok && t.Answer != "" {
			a.Truth = t.Answer
		}
		s.Answers[r.Key()] = a
	}
	return s
}

// PeerSide makes a side of one tool's recorded answers, or of the quickest right tool of each instance when peer is "best".
// An instance the tool did not attempt is not part of it. A tool that truth does not name is an error which lists the tools.
func PeerSide(peer string, truth map[string]Truth) (*Side, error) {
	s := &Side{Name: peer, Peer: true, Answers: map[string]Answer{}}
	for key, t := range truth {
		p, ok := t.Peers[peer]
		if !ok {
			continue
		}
		a := Answer{Verdict: p.Answer, Seconds: p.Seconds, Limit: t.Limit, Truth: t.Answer}
		if parts := strings.SplitN(key, "|", 3); len(parts) == 3 {
			a.Suite, a.Model, a.Query = parts[0], parts[1], parts[2]
		}
		s.Answers[key] = a
	}
	if len(s.Answers) > 0 {
		return s, nil
	}
	names := PeerNames(truth)
	if len(names) == 0 {
		return nil, fmt.Errorf("benchmarks: no peer %q: the known answers name no tools", peer)
	}
	return nil, fmt.Errorf("benchmarks: no peer %q: the known answers name %s", peer, strings.Join(names, ", "))
}

// PeerNames lists the tools that the known answers name, sorted.
func PeerNames(truth map[string]Truth) []string {
	var names []string
	seen := map[string]bool{}
	for _, t := range truth {
		for n := range t.Peers {
			if !seen[n] {
				seen[n] = true
				names = append(names, n)
			}
		}
	}
	slices.Sort(names)
	return names
}

// Common returns the keys of the instances that every side holds, sorted by suite, model and query.
func Common(sides ...*Side) []string {
	if len(sides) == 0 {
		return nil
	}
	var keys []string
	for k := range sides[0].Answers {
		if !slices.ContainsFunc(sides[1:], func(s *Side) bool { _, ok := s.Answers[k]; return !ok }) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(x, y string) int {
		a, b := sides[0].Answers[x], sides[0].Answers[y]
		return cmp.Or(strings.Compare(a.Suite, b.Suite), strings.Compare(a.Model, b.Model), strings.Compare(a.Query, b.Query))
	})
	return keys
}

// HoldToCommonLimit lowers the limit of every answer to the smallest that any side had for the instance, so that a side
// which was given more time gains nothing by it.
func HoldToCommonLimit(sides ...*Side) {
	for _, key := range Common(sides...) {
		least := 0.0
		for _, s := range sides {
			if l := s.Answers[key].Limit; l > 0 && (least == 0 || l < least) {
				least = l
			}
		}
		for _, s := range sides {
			a := s.Answers[key]
			a.Limit = least
			s.Answers[key] = a
		}
	}
}
