// Package train trains small feed-forward classifiers on the CPU: dense and convolutional ReLU networks, plainly, on
// adversarial examples that a hook adds, with Gaussian noise, or from the soft labels of a teacher (distillation).
//
// A Net is layers and one flat slice of parameters; it records itself on a tape (nn/tape). A Pass is the room in which a Net runs
// forward and backward on a batch. Fit follows a Recipe and minimises an Objective, the cross-entropy or a loss of relax/loss;
// FromGraph reads a network, and Net.Graph hands the result to the verifiers. Everything is generic: float32 trains about twice
// as fast, float64 is for checking gradients and for losses that need the digits.
//
// A batch is cut into shards of a fixed number of rows. Workers take shards, each shard has its own sum of gradients, and
// these are added up in the order of the shards, so results depend on the seed but not on the number of workers. They do
// depend on the instruction set, which decides in which order a product is summed. A training step allocates nothing.
package train
