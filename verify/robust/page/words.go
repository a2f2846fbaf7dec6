package page

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spai-project/certify/verify/robust"
)

func pct(n, of int) string {
	if of == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func seconds(s float64) string {
	switch {
	case s < 1:
		return strconv.FormatFloat(1000*s, 'f', 0, 64) + " ms"
	case s < 10:
		return strconv.FormatFloat(s, 'f', -1, 64)[:min(3, len(strconv.FormatFloat(s, 'f', -1, 64)))] + " s"
	case s < 600:
		return strconv.FormatFloat(s, 'f', 0, 64) + " s"
	case s < 2*3600:
		return strconv.FormatFloat(s/60, 'f', 0, 64) + " min"
	}
	return strconv.FormatFloat(s/3600, 'f', 1, 64) + " h"
}

func epsText(h *robust.Header, k int) string {
	if k < len(h.Options.EpsText) {
		return h.Options.EpsText[k]
	}
	return strconv.FormatFloat(h.Options.Eps[k], 'g', 6, 64)
}

var norms = map[string][2]string{
	"linf": {"L∞", "each value by at most that much"}, "l2": {"L2", "by that Euclidean length"}, "l1": {"L1", "by that much in all"},
	"l0": {"L0", "in so many values"},
}

func normName(n string) string {
	if w, ok := norms[n]; ok {
		return w[0]
	}
	return n
}

func normWords(n string) string {
	if w, ok := norms[n]; ok {
		return w[1]
	}
	return n
}

// domainWords says which inputs are valid.
func domainWords(h *robust.Header) string {
	lo, hi := h.Options.Lower, h.Options.Upper
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	s := "any finite values"
	switch {
	case len(lo) == 1 && len(hi) == 1:
		s = "values in [" + number(lo[0]) + ", " + number(hi[0]) + "]"
	case len(lo) > 0:
		s = "values in the range of each channel"
	}
	if len(h.Options.Unit) > 0 {
		s += ", as the network sees them; radii are in units before the division by the standard deviation"
	}
	return s
}

// className names a class where the data have names.
func className(h *robust.Header, k int) string {
	if k >= 0 && k < len(h.Data.Names) && !strings.EqualFold(h.Data.Names[k], strconv.Itoa(k)) {
		return fmt.Sprintf("%d (%s)", k, h.Data.Names[k])
	}
	return strconv.Itoa(k)
}
