// Package relax bounds linear functions of a network's output (and of any inner pre-activation) over a box.
//
// # The inequality
//
// A program (nn/prog) is a list of equations z = Σ M·x + b, x = relu(z), x = σ(z). Multiply each equation by any numbers ν
// and add them to the objective c: with a = Σ_consumers Mᵀν collected at every variable,
//
//	c·y ≥ g(ν) = Σ ν·b + Σ_inputs min_box a·x + Σ_neurons min_{R_j} (a_j·x_j − ν_j·z_j)
//
// where R_j is any set known to contain (z_j, x_j). Interval propagation, Wong–Kolter, CROWN, α- and β-CROWN and the dual of
// the triangle LP are choices of ν. So one pass evaluates g (crown.go), one closed-form gradient improves it (alpha.go), and
// every answer is rigorous: ν are the stored floats, whatever rule produced them.
//
// # Rounding
//
// Only the a carry rounding error, and the error does not propagate, because ν at the next layer is a free choice again:
// |fl(a) − a| ≤ γ·|M|ᵀ|ν| entrywise, so all layers together cost at most γ·Σ_k |ν_k|·S_k with S_k = Σ|M_k|·mag(x) + |b_k|
// and mag an upper bound on |x| over the root box. S is computed once per root, the sum is one extra dot product per layer.
//
// # Layout
//
// Lanes as in prog. Variables: k node, j element, r lane, R lanes; l, u pre-activation bounds; a coefficient on an
// activation's output, ν (nu) on its input; s, t slope and intercept of an upper line.
//
// Reading order: net.go, ibp.go, crown.go, ball.go, margin.go, alpha.go, tangent.go, forward.go, tighten.go, unsafe.go,
// inactive.go, cone.go, influence.go; semidef.go, semidefascent.go, semidefproof.go, which go beyond the inequality. Package
// kolter below is a method of its own.
package relax
