// Command certify decides questions about trained neural networks: is there an input in this set that makes the network
// do that? Every subcommand is one file: it parses, calls the library, and reports.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"
)

// version is the released version; the build may override it with -ldflags "-X main.version=…".
var version = "0.1.0"

// app is what every subcommand shares: when the process started (deadlines count from there) and its streams.
type app struct {
	start    time.Time
	in       io.Reader
	out, err io.Writer
	quiet    bool
	verbose  bool
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit status. It never calls os.Exit, so tests can run it in-process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	a := &app{start: time.Now(), in: stdin, out: stdout, err: stderr}
	defer func() {
		if p := recover(); p != nil {
			code = a.fail(&failure{code: exitInternal, kind: "internal", msg: fmt.Sprint(p), detail: []string{string(debug.Stack())},
				hint: "this is a defect of certify: please report it with the command line and the output of `certify doctor`"})
		}
	}()
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var s *status
	if errors.As(err, &s) {
		return s.code
	}
	return a.fail(explain(err))
}

// self returns the command line prefix that starts this same program again. The name it was called by is kept as argv[0].
func self() (path, argv0 string, err error) {
	path, err = os.Executable()
	if err != nil {
		return "", "", err
	}
	return path, filepath.Base(os.Args[0]), nil
}
