// Package loss has the losses of certified training: bounds and attacks on the tape of package nn/tape, for nn/train.
//
// Each is an Objective of nn/train: it records what a batch costs and what a bound says about it. Losses steer training; they
// are computed in float32 and prove nothing. Certified accuracy is counted afterwards by rigorous methods (verify/robust).
package loss
