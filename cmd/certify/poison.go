package main

import "github.com/spf13/cobra"

// newPoisonCommand groups what is about poisoned training data.
func (a *app) newPoisonCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "poison",
		Short: "What poisoned training data can and cannot do",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.poisonCertifyCmd())
	c.AddCommand(a.poisonCheckCmd())
	c.AddCommand(a.poisonAttackCmd())
	c.AddCommand(a.poisonDefendCmd())
	c.AddCommand(a.poisonInfluenceCmd())
	return c
}
