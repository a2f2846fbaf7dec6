package main

import "github.com/spf13/cobra"

// newPoisonCommand builds the group of commands about training data.
func (a *app) newPoisonCommand() *cobra.Command {
	c := &cobra.Command{Use: "poison", Short: "Attack training data, look for poison in them, certify against it", Args: cobra.NoArgs}
	c.AddCommand(a.poisonAttackCmd())
	c.AddCommand(a.poisonDefendCmd())
	c.AddCommand(a.poisonInfluenceCmd())
	return c
}
