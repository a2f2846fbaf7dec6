package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// root builds the command tree.
func (a *app) root() *cobra.Command {
	var name bool
	c := &cobra.Command{
		Use:           "certify",
		Short:         "Decide questions about trained neural networks, with evidence",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if name {
				fmt.Fprintln(a.out, "Certify")
				return nil
			}
			return c.Help()
		},
	}
	// The VNN-LIB 2.0 standard (chapter 5) wants a bare version and a bare name.
	c.SetVersionTemplate("{{.Version}}\n")
	c.Flags().BoolVar(&name, "name", false, "print the solver's name (VNN-LIB 2.0, chapter 5)")
	c.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "say nothing on stderr but errors")
	c.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false, "say more on stderr")
	c.AddCommand(a.verifyCmd(), a.checkCmd(), a.inspectCmd(), a.boundsCmd(), a.benchCmd(), a.listCmd(), a.doctorCmd(), a.demoCmd(), a.supportsCmd(),
		a.vnncompCmd(), a.attackCmd(), a.robustCmd(), a.evalCmd(), a.radiusCmd(), a.reportCmd(), a.newPoisonCommand(), a.fuzzCmd(), a.versionCmd())
	return c
}

// runE adapts a subcommand's body: whatever error it returns is a failure of the work, not of the command line.
func runE(f func(c *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if err := f(c, args); err != nil {
			return classified(err)
		}
		return nil
	}
}

// notef writes a line for humans to stderr unless -q was given.
func (a *app) notef(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}
