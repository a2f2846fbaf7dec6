package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A grid is a table with a heading; columns named in right are aligned right.
type grid struct {
	head  []string
	right map[string]bool
	rows  [][]string
}

func (g *grid) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	g.rows = append(g.rows, row)
}

// text writes the table for people, columns separated by two blanks.
func (g *grid) text(w io.Writer) {
	width := make([]int, len(g.head))
	all := append([][]string{g.head}, g.rows...)
	for _, row := range all {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, row := range all {
		var b strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if g.right[g.head[i]] {
				c, pad = pad+c, ""
			}
			b.WriteString(c + pad + "  ")
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// markdown writes the table in Markdown.
func (g *grid) markdown(w io.Writer) {
	line := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	line(g.head)
	rule := make([]string, len(g.head))
	for i, h := range g.head {
		rule[i] = "---"
		if g.right[h] {
			rule[i] = "--:"
		}
	}
	line(rule)
	for _, r := range g.rows {
		esc := make([]string, len(r))
		for i, c := range r {
			esc[i] = strings.ReplaceAll(c, "|", "\\|")
		}
		line(esc)
	}
}
