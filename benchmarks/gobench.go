package benchmarks

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// GoBench keeps the lines of `go test -bench` output that are measurements or say where they were taken (goos, goarch, cpu,
// pkg), and refuses output without measurements or with a failed test.
func GoBench(r io.Reader) (string, error) {
	var b strings.Builder
	found := false
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		l := strings.TrimRight(lines.Text(), " \t\r")
		switch {
		case strings.HasPrefix(l, "Benchmark") && len(strings.Fields(l)) >= 4:
			found = true
		case strings.HasPrefix(l, "goos: "), strings.HasPrefix(l, "goarch: "), strings.HasPrefix(l, "cpu: "), strings.HasPrefix(l, "pkg: "):
		case strings.HasPrefix(l, "FAIL"), strings.HasPrefix(l, "--- FAIL"):
			return "", fmt.Errorf("benchmarks: the benchmarks failed: %q", l)
		default:
			continue
		}
		b.WriteString(l + "\n")
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("benchmarks: %w", err)
	}
	if !found {
		return "", errors.New("benchmarks: no measurement in it: go test -run '^$' -bench . prints them")
	}
	return b.String(), nil
}
