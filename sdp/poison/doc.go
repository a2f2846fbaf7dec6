// Package poison makes and checks certificates against poisoned training data.
//
// Four kinds of statement are made, each about a stated way of training:
//
//   - Bound: a linear classifier is trained with the hinge loss, on data that a sphere, a slab and a range of values have
//     filtered. Whatever points the attacker adds, its loss on the clean training data is at most U (Steinhardt, Koh and
//     Liang 2017). The certificate is one vector θ, which Check evaluates again by other code, rounding upward.
//   - Flips: a classifier is linear in the labels of its training data. Its answer for a point stays the same under so many
//     flipped labels: exactly, or for its smoothed version (Rosenfeld et al. 2020).
//   - Neighbours: the vote of the k nearest neighbours stays the same under so many insertions, deletions or flips: exactly.
//   - Votes: many models are trained on disjoint parts of the data, or on parts that overlap in a known way, and vote. The
//     answer stays the same under so many insertions and deletions (Levine and Feizi 2021; Wang et al. 2022).
//
// Search may use any arithmetic. What is claimed rests on counting, on exact sums or on sums rounded upward.
package poison
