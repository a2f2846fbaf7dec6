package attacks

import (
	"cmp"
	"slices"
)

// The portfolio, in the order of price: a handful of points; a few gradient steps with the attacked case floating; for few
// inputs or several rows samples, monotone refinement and evolution; then restarts in numbers; then every case by itself;
// then all of it again with fresh randomness until the budget is spent, every other time with adaptive steps and twice as many.

const (
	manyGroups = 256 // beyond this many boxes only the most promising are attacked
	lowDim     = 64  // samples pay up to this many free inputs
	tinyDim    = 12  // evolution and all corners pay up to this many
)

func (s *Searcher) portfolio(opt Options) {
	restarts, steps := opt.Restarts, opt.Steps
	if restarts == 0 {
		restarts = 32
	}
	if steps == 0 {
		steps = 50
	}
	if !s.first() {
		return
	}
	for round := 0; !s.over; round++ {
		groups := s.ranked(64)
		plan := pgdPlan{steps: steps, decay: 0.93, momentum: true, smooth: round&1 == 0}
		if round&1 == 1 {
			plan = pgdPlan{steps: 2 * steps, adaptive: true}
		}
		if !s.lowStage(groups, round) || !s.floating(groups, max(1, restarts/len(groups)), plan) || !s.targeted(groups, plan) {
			return
		}
	}
}

// first is the cheap start: probes of all boxes (within half the budget) and short floating ascents in the best of them.
func (s *Searcher) first() bool {
	all := make([]int, len(s.groups))
	for g := range all {
		all[g] = g
	}
	switch {
	case len(all) == 1:
		if !s.probes(all, 32) {
			return false
		}
	case len(all) <= manyGroups:
		if !s.probes(all, 8) {
			return false
		}
	default:
		if n := int(s.left / 2 / s.cost); n < len(all) {
			all = stride(all, max(n, 1))
		}
		if !s.probes(all, 1) {
			return false
		}
	}
	groups := s.ranked(64)
	return s.floating(groups, max(2, 8/len(groups)), pgdPlan{steps: 20, decay: 0.85})
}

// stride picks n of all, evenly.
func stride(all []int, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = all[i*len(all)/n]
	}
	return out
}

// floating runs pgd with the case floating, restarts starts in every group: first the centre, then the group's best known
// point where the archive has one, then uniform points, with different first steps.
func (s *Searcher) floating(groups []int, restarts int, plan pgdPlan) bool {
	l := s.lanes(min(64, len(groups)*restarts))
	jobs := len(groups) * restarts
	for at := 0; at < jobs; at += l.R {
		for r := range l.R {
			job := (at + r) % jobs
			g, k := groups[job%len(groups)], job/len(groups)
			l.setBox(r, s, g, -1)
			switch e := s.bestOf(g); {
			case k == 0:
				l.centre(r)
			case k == 1 && e != nil:
				l.set(r, e.x)
			default:
				l.uniform(r, s.rng)
			}
			l.step[r] = [...]float64{0.25, 0.1, 0.5, 1}[k%4]
		}
		if !s.pgd(l, plan) {
			return false
		}
	}
	return true
}

func (s *Searcher) bestOf(g int) *elite {
	for i := range s.archive {
		if s.archive[i].group == g {
			return &s.archive[i]
		}
	}
	return nil
}

// lowStage is for few free inputs or cases of several rows: samples, then refinement of the best points.
func (s *Searcher) lowStage(groups []int, round int) bool {
	several := false
	for _, g := range groups {
		for _, ci := range s.groups[g].cases {
			several = several || len(s.pr.Cases[ci].Rows) > 1
		}
	}
	dim := len(s.groups[groups[0]].active)
	if dim > lowDim && !several {
		return true
	}
	count := max(64, (1024<<min(2*round, 6))/len(groups))
	for _, g := range groups {
		if dim <= lowDim && !s.sample(g, count, round*count) {
			return false
		}
		if round == 0 && !s.corners(g, 10) {
			return false
		}
	}
	l := s.lanes(32)
	if s.load(l, 0, 16, 0.02) && !s.refine(l, 60) {
		return false
	}
	if dim <= tinyDim && s.load(l, 0, 16, 0.02) && !s.evolve(l, 120) {
		return false
	}
	return true
}

// targeted attacks every case of the groups by itself, most promising first: eight lanes each, half of them from
// output-diversified starts, half with momentum, alternating worst row and softmin.
func (s *Searcher) targeted(groups []int, plan pgdPlan) bool {
	var cases []int
	for _, g := range groups {
		cases = append(cases, s.groups[g].cases...)
	}
	slices.SortStableFunc(cases, func(a, b int) int { return cmp.Compare(s.caseBest[b], s.caseBest[a]) })
	cases = cases[:min(len(cases), 64)]
	l := s.lanes(min(64, 8*len(cases)))
	per := l.R / 8
	for at := 0; at < len(cases); at += per {
		plan.smooth = at/per&1 == 1
		for r := range l.R {
			ci := cases[min(at+r/8, len(cases)-1)]
			g := s.groupOf[s.pr.Cases[ci].Box]
			l.setBox(r, s, g, ci)
			if e := s.bestOf(g); r%8 == 0 && e != nil {
				l.set(r, e.x)
			} else {
				l.uniform(r, s.rng)
			}
			l.step[r] = [...]float64{0.25, 0.25, 0.1, 0.5}[r%4]
		}
		if !s.diversify(l, 5, func(r int) bool { return r&4 != 0 }) ||
			!s.pgd(l, plan) {
			return false
		}
	}
	return true
}
