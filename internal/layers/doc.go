// Package layers holds no code: its test enforces which package may import which, in the whole module (policy_test.go).
package layers
