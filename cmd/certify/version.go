package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func (a *app) versionCmd() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Print the version; with -v also how it was built", Args: cobra.NoArgs}
	c.RunE = runE(func(*cobra.Command, []string) error {
		fmt.Fprintln(a.out, version)
		if a.verbose {
			t := tool()
			fmt.Fprintf(a.out, "commit %s\n%s %s/%s\n", orNone(t.Commit), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		}
		return nil
	})
	return c
}
