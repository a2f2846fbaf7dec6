// Package tape is reverse-mode differentiation for training: a program of tensor operations that is recorded once and run
// forward and backward on every batch.
//
// A Tape is recorded by its methods, one Value after the other. Values are of four kinds. A batch value has so many numbers per
// row of the batch. A parameter is part of the caller's one slice of parameters; a derived value is made of parameters alone,
// like |W|, once per step. A shard value is one list of numbers for all rows of a shard, like the means of batch normalisation.
//
// A batch is cut into shards of a fixed number of rows. A Runner runs whole shards on its workers, forward and backward at
// once, each shard with its own sum of gradients, and adds these up in the order of the shards. So results do not depend on the
// number of workers, and what a shard touches stays in the caches of one core. A run allocates nothing after the first one.
//
// Batch values lie with the rows innermost: number i of row r of a shard of R rows is at i·R+r. Then convolutions copy whole
// runs, products need no rearranging, and elementwise operations need not know. A value with K copies holds K vectors per
// row, copy k of row r at (i·K+k)·R+r: what elementwise and linear operations take for K·R rows.
//
// An operation is a type with Forward and Backward (its vector-Jacobian product), one file each; packages that bound networks
// add their own. Gradients at kinks are one-sided choices, said where they are made.
package tape
