package masked

import (
	"fmt"
	"strings"
)

// Block names the measured block of the page.
const Block = "masked"

// Table returns the rows as Markdown, in percent.
func Table(rows []Row, radii []float64) string {
	var b strings.Builder
	line := func(cells ...string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	head := []string{"defence", "hides the gradient by", "found again by", "clean"}
	rule := []string{"---", "---", "---", "--:"}
	for _, eps := range radii {
		head = append(head, fmt.Sprintf("as it is, ε %g", eps), "seen through")
		rule = append(rule, "--:", "--:")
	}
	line(append(head, "accuracy left in Athalye et al.")...)
	line(append(rule, "---")...)
	for _, r := range rows {
		cells := []string{r.Name, r.Hides, r.Sees, percent(r.Clean)}
		for k := range radii {
			cells = append(cells, percent(r.Plain[k]), percent(r.Seen[k]))
		}
		line(append(cells, r.Paper)...)
	}
	return b.String()
}

func percent(v float64) string { return fmt.Sprintf("%.1f", 100*v) }
