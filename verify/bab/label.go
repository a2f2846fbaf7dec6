package bab

import (
	"context"
	"runtime/pprof"
)

// Parts of the searches, for the profiler label "part": a CPU profile tells them apart. They are set per task, which takes
// milliseconds, never per pass or per box of a reduced network.
var (
	partTighten = pprof.Labels("part", "tighten") // inner bounds of a branch or a box
	partAscend  = pprof.Labels("part", "ascend")  // slopes and multipliers of a branch
	partBranch  = pprof.Labels("part", "branch")  // choosing what to split
	partLeaf    = pprof.Labels("part", "leaf")    // linear programs where nothing is left to split
	partTry     = pprof.Labels("part", "try")     // candidates
	partLift    = pprof.Labels("part", "lift")    // semidefinite bounds
)

// as runs f with labels added to those of ctx.
func as(ctx context.Context, labels pprof.LabelSet, f func()) {
	pprof.Do(ctx, labels, func(context.Context) { f() })
}
