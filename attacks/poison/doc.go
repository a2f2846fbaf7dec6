// Package poison holds attacks on training data, and the defences against them that come without a certificate.
//
// An attack takes a training set and a budget and returns another training set with a Record of what was changed. A defence
// takes a training set and says which items look poisoned; it proves nothing. Package sdp/poison has the certificates, and what
// an attack reaches is compared with them.
//
// Attacks and defences are one file each and an entry of a registry. They are deterministic: the same set, parameters and seed
// give the same result, whatever the number of workers.
//
// Attacks that differentiate through training need second derivatives. They use a Learner, a small classifier in float64 whose
// Hessian-vector products are exact (Pearlmutter's R-operator). Attacks and defences that look at features of a network use a
// Split, which is trained by package train.
package poison
