// Command certify-check checks a proof: a certificate of "unsat", or the text of a "sat" witness. It contains the kernel and
// nothing else of certify.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spai-project/certify/verify/kernel"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns 0 for an accepted proof, 1 for a refused one, 2 for wrong usage, 4 for files that cannot be read or are beyond
// what the kernel checks.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) != 3 {
		fmt.Fprintln(stderr, "usage: certify-check MODEL QUERY PROOF")
		return 2
	}
	var data [3][]byte
	for i, path := range args {
		var err error
		if data[i], err = kernel.ReadFile(path); err != nil {
			fmt.Fprintln(stderr, err)
			return 4
		}
	}
	p, err := kernel.Open(data[0], data[1])
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 4
	}
	r := p.Check(data[2])
	fmt.Fprintln(stdout, r)
	if !r.Accepted {
		return 1
	}
	return 0
}
