package benchmarks

import (
	"bytes"
	"fmt"
)

// SetBlock returns a copy of a Markdown page in which text stands between the lines
//
//	<!-- measured:begin NAME -->
//	<!-- measured:end NAME -->
//
// and all else is unchanged. Each of the two lines must occur exactly once, in this order, with no other marker between.
func SetBlock(page []byte, name, text string) ([]byte, error) {
	begin, end := []byte("<!-- measured:begin "+name+" -->\n"), []byte("<!-- measured:end "+name+" -->")
	for _, m := range [][]byte{begin, end} {
		if n := bytes.Count(page, m); n != 1 {
			return nil, fmt.Errorf("benchmarks: the page has %d lines %q, want 1", n, bytes.TrimSpace(m))
		}
	}
	from, to := bytes.Index(page, begin)+len(begin), bytes.Index(page, end)
	if to < from {
		return nil, fmt.Errorf("benchmarks: the block %s ends before it begins", name)
	}
	if bytes.Contains(page[from:to], []byte("<!-- measured:")) {
		return nil, fmt.Errorf("benchmarks: another block begins or ends inside the block %s", name)
	}
	body := bytes.TrimSpace([]byte(text))
	if bytes.Contains(body, []byte("<!-- measured:")) {
		return nil, fmt.Errorf("benchmarks: the text for the block %s holds a marker", name)
	}
	var out bytes.Buffer
	out.Write(page[:from])
	out.Write(body)
	out.WriteByte('\n')
	out.Write(page[to:])
	return out.Bytes(), nil
}
