package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spai-project/certify/verify/robust"
)

// checkBound returns a usage error unless --bound is a method that goes with the other flags.
func (f *evalFlags) checkBound(opt robust.Options) error {
	if f.bound == "" {
		return nil
	}
	m, ok := robust.LookupBound(f.bound)
	if !ok {
		return usagef("see `certify list bounds`", "--bound: unknown bound %q", f.bound)
	}
	if !slices.Contains(m.Norms, opt.Norm) {
		return usagef("`certify list bounds` says which norms each knows", "--bound: %s does not know the norm %v", m.Name, opt.Norm)
	}
	for _, x := range []struct {
		flag string
		set  bool
	}{{"--attack", f.attacks != nil}, {"--no-attack", f.noAttack}, {"--no-verify", f.noVerify}, {"--method", f.method != ""},
		{"--timeout", f.timeout != 0}} {
		if x.set {
			return usagef("leave "+x.flag+" out", "--bound asks one method alone, and %s is about attacks and the search", x.flag)
		}
	}
	return nil
}

// unbounded classifies the error that a method does not know the network.
func unbounded(model string, err error) *failure {
	if !errors.Is(err, robust.ErrUnbounded) {
		return nil
	}
	return &failure{code: exitUnsupported, kind: "unsupported", msg: model + ": " + trim(err), err: err,
		hint: "`certify inspect " + model + "` lists the operators; `certify list bounds` the other bounds"}
}

// printBound writes the table of one bound: errors as they are counted in the literature, items without a certificate.
func (a *app) printBound(h *robust.Header, rows []robust.Row) {
	g := &grid{head: []string{"eps", "items", "clean errors", "not certified", "clean error", "certified error", "seconds"},
		right: map[string]bool{}}
	for _, c := range g.head[1:] {
		g.right[c] = true
	}
	for k, r := range rows {
		wrong, open := r.Items-r.Clean, r.Items-r.Certified
		g.add(epsText(h, k, r.Eps), r.Items, wrong, open, percent2(wrong, r.Items), percent2(open, r.Items),
			fmt.Sprintf("%.1f", r.Seconds))
	}
	g.text(a.out)
}

func percent2(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", 100*float64(n)/float64(of))
}

func boundGrid() *grid {
	g := &grid{head: []string{"bound", "norms", "meaning", "source"}}
	for _, m := range robust.BoundMethods() {
		var norms []string
		for _, n := range m.Norms {
			norms = append(norms, n.String())
		}
		g.add(m.Name, strings.Join(norms, " "), m.Doc, m.Source)
	}
	return g
}
