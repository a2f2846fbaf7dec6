// Package kolter bounds networks of affine maps and ReLUs by the dual network of Wong and Kolter (Provable Defenses against
// Adversarial Examples via the Convex Outer Adversarial Polytope, ICML 2018): certificates in rigorous float64, and the same
// numbers as a differentiable loss for training.
//
// # The bound
//
// A ReLU whose input lies in [l, u], l < 0 < u, is relaxed to the triangle over that interval. The linear program that
// minimises a margin over all relaxed ReLUs has a dual point in closed form: multipliers pass a ReLU by a factor d, which is 0
// where it is off, 1 where it is on and u/(u−l) where its sign is open. The dual is a network with the transposed weights, and
// for the objective c
//
//	c·z_L ≥ Σ_k ν_k·b_k + min_{x in the ball} ν̂·x + Σ_{k, open j} l_kj·[−ν_kj]_+ ,   ν_kj = d_kj·(W_{k+1}ᵀν_{k+1})_j
//
// where ν_L = c and ν̂ = W_1ᵀν_1. The layers' own l and u are bounds of the same kind with c = ±e_j, layer by layer; those of the
// first are exact. It is the point of package relax's inequality with every lower line parallel to the upper one (Fast-Lin, Weng
// et al. 2018).
//
// # What is left out
//
// A bound uses l and u of neurons of open sign alone. A neuron whose sign interval arithmetic settles, from the bounds of the
// layer before, needs no row of the dual network: it is stable. The dual network's own bound, which may be looser, could have
// left it open. Bounds of all other neurons are those of the dual network, even where interval arithmetic has a tighter one.
//
// # The two sides
//
// Net (net.go) is the certificate: the engine of package relax with every rounding charged. Loss (loss.go) is for training:
// batches, float32 or float64, forward and backward. Training may use any arithmetic; what a network certifies is counted with
// Net.
package kolter
