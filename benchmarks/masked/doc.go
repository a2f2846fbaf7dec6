// Package masked measures defences that hide gradients: what an attack that takes a defended network as it comes reports, and
// what is left of the defence for one that sees through it (Athalye, Carlini and Wagner, "Obfuscated gradients give a false sense
// of security: circumventing defenses to adversarial examples", ICML 2018).
package masked
