package report

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spai-project/certify/verify"
)

// Headline returns the verdict for people: PROVED, VIOLATED, UNKNOWN or TIMED OUT, and what it means, in one line.
func Headline(r *Run) string {
	res := r.Result
	var s string
	switch res.Verdict {
	case verify.Holds:
		s = "PROVED    no input of the set is a counterexample (" + about(r.Semantics) + ")"
		if res.Vacuous {
			s = "PROVED    vacuously: the input set is empty, so every property holds"
		}
	case verify.Violated:
		s = fmt.Sprintf("VIOLATED  a counterexample was found and replayed (case %d, margin %s)", res.Witness.Case, number(res.Witness.Margin))
	case verify.Timeout:
		s = "TIMED OUT not decided" + reached(res)
	default:
		s = "UNKNOWN   " + reason(res.Reason)
		if r.Unchecked == "" { // else the search came to its end
			s += reached(res)
		}
	}
	return s + "   " + elapsed(r.Wall)
}

// about names the arithmetic of a verdict.
func about(semantics string) string {
	switch semantics {
	case verify.Float32.String():
		return "every float32 execution"
	case verify.Both.String():
		return "real arithmetic and every float32 execution"
	}
	return semantics + " arithmetic"
}

// Human writes what was asked, how it was answered and the headline, for people.
func Human(w io.Writer, r *Run, verbose bool) error {
	var b strings.Builder
	if verbose {
		st := r.Result.Stats
		fmt.Fprintf(&b, "model     %s   sha256 %s   %d weights, %d ReLU", r.Model.Path, short(r.Model.SHA256), st.Params, st.Relus)
		if st.Unstable > 0 { // otherwise all are stable, or the answer came before any bound
			fmt.Fprintf(&b, " (%d unstable)", st.Unstable)
		}
		b.WriteString("\n")
		fmt.Fprintf(&b, "query     %s   sha256 %s\n", r.Query.Path, short(r.Query.SHA256))
		for _, s := range r.Result.Strategy {
			fmt.Fprintf(&b, "step      %s\n", s)
		}
		fmt.Fprintf(&b, "search    %d sub-problems bounded, %d open, read in %s\n", st.Branches, st.Open, elapsed(r.Load))
	}
	b.WriteString(Headline(r) + "\n")
	if wit := r.Result.Witness; wit != nil && r.Result.Verdict == verify.Violated {
		if wit.AnyOrder {
			b.WriteString("          it violates under every float32 summation order: any IEEE runtime replays it\n")
		} else {
			b.WriteString("          thin margin: proved in real arithmetic, a float32 runtime may round it away\n")
		}
	}
	b.WriteString(evidence(r, verbose))
	_, err := io.WriteString(w, b.String())
	return err
}

// evidence says whether the kernel accepted the answer.
func evidence(r *Run, verbose bool) string {
	c := r.Certificate
	switch {
	case c != nil && (c.Path != "" || verbose):
		name := c.Path
		if name == "" {
			name = "a certificate, not kept"
		}
		return fmt.Sprintf("          checked by the kernel: %s, %d bytes, %d leaves, made in %s, checked in %s\n", name,
			len(c.Data), c.Leaves, elapsed(c.Make), elapsed(c.Check))
	case r.Result.Checked:
		return "          checked by the kernel\n"
	case r.Unchecked != "" && verbose:
		return "          not checked: " + r.Unchecked + "\n"
	}
	return ""
}

var reasons = map[string]string{
	"incomplete":  "the method could neither prove nor refute (incomplete)",
	"memory":      "the memory budget is used up: try a larger --memory",
	"interrupted": "interrupted",
	"":            "not decided",
}

func reason(r string) string {
	if s, ok := reasons[r]; ok {
		return s
	}
	return r
}

// reached says how far a search came that did not decide.
func reached(res *verify.Result) string {
	s := "; no bound yet"
	if !math.IsNaN(res.Margin) && !math.IsInf(res.Margin, 0) {
		s = fmt.Sprintf("; best bound on the margin %s (> 0 would be a proof)", number(res.Margin))
	}
	if v := res.Stats.Volume; v > 0 {
		s += fmt.Sprintf("; proved %.1f %%", min(100*v, 99.9)) // what is not decided never reads as all of it
	}
	return s
}

func number(x float64) string { return fmt.Sprintf("%.6g", x) }

func short(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}

func elapsed(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
