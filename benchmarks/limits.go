package benchmarks

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
)

// A Scope says what part of a suite results cover and under which limits.
type Scope struct {
	Size  int    // instances the suite has, 0 when its folder is not at hand
	Limit string // "own", "own, at most 40 s", or the range of the limits when it is neither or the own ones are not known
}

// Scopes describes each suite in results by comparing it with the instances.csv in the folder that the results name.
func Scopes(results []Result) (map[string]Scope, error) {
	by := map[string]*limits{}
	for _, r := range Latest(results) {
		l := by[r.Suite]
		if l == nil {
			all, err := Load(r.Dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			l = &limits{own: map[string]float64{}}
			for i := range all {
				l.own[all[i].Key()] = all[i].Timeout.Seconds()
			}
			by[r.Suite] = l
		}
		l.add(l.own[r.Key()], r.Limit)
	}
	out := map[string]Scope{}
	for suite, l := range by {
		out[suite] = Scope{len(l.own), l.text()}
	}
	return out, nil
}

// limits holds pairs of an instance's own limit (0: unknown) and the one it got.
type limits struct {
	own   map[string]float64
	pairs [][2]float64
}

func (l *limits) add(own, got float64) { l.pairs = append(l.pairs, [2]float64{own, got}) }

func (l *limits) text() string {
	low, high := math.Inf(1), 0.0
	for _, p := range l.pairs {
		low, high = min(low, p[1]), max(high, p[1])
	}
	own, capped := true, true
	for _, p := range l.pairs {
		own = own && p[0] == p[1]
		capped = capped && p[0] > 0 && p[1] == min(p[0], high)
	}
	switch {
	case own:
		return "own"
	case capped:
		return "own, at most " + number(high) + " s"
	case low == high:
		return number(low) + " s"
	}
	return fmt.Sprintf("%s to %s s", number(low), number(high))
}

func number(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
