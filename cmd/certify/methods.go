package main

// A choice is a name a flag takes and what it means.
type choice struct{ name, doc string }

// methods are the values of `certify verify --method`.
var methods = []choice{
	{"", "automatic: attack, interval bounds, CROWN or forward bounds, α, then branch and bound chosen by the problem (default)"},
	{"attack", "search for counterexamples only; never proves"},
	{"ibp", "interval bound propagation of the whole box only (Gowal et al. 2018)"},
	{"crown", "one backward linear bounding pass at the root only (Zhang et al. 2018)"},
	{"alpha", "branch on ReLUs after optimising the lower slopes at the root (Xu et al. 2021)"},
	{"input-split", "branch and bound by bisecting inputs; for few perturbed inputs"},
	{"relu-split", "branch and bound by deciding ReLUs with split multipliers β (Wang et al. 2021), between refinements of inner bounds"},
	{"semidefinite", "branch on ReLUs under semidefinite bounds; for networks with one hidden layer (Raghunathan et al. 2018)"},
	{"reluplex", "simplex on the network's equations, ReLUs repaired and split on demand (Katz et al. 2017); slow, for comparison"},
	{"smt", "DPLL(T): phases, input atoms and cases as literals, no-goods learned from bounds and shared by cases (see docs/design/0012)"},
}

// branching are the branching rules of verify/bab.
var branching = []choice{
	{"input-split", "cut the sub-box across the input with the largest |A_i|·width, ties toward the longest edge; sub-boxes are clipped by their bounds' planes"},
	{"semidefinite", "decide the ReLU whose indicator has most weight in the dual times its distance from 0 and from 1"},
	{"relu-split", "shortlist unstable ReLUs by the error of their relaxation at the pseudo-primal point, try both sides with one backward pass each"},
}

func knownMethod(name string) bool {
	for _, m := range methods {
		if m.name == name {
			return true
		}
	}
	return false
}
