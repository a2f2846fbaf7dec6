package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/robust"
)

// robustFlags are the flags that robust, eval and radius share: how to search.
type robustFlags struct {
	dataFlags
	timeout   seconds
	memory    byteSize
	workers   int
	seed      uint64
	norm      string
	attacks   []string
	noAttack  bool
	noVerify  bool
	semantics string
	method    string
	json      bool
}

func (f *robustFlags) register(c *cobra.Command, one bool, timeout string) {
	f.dataFlags.register(c, one)
	fs := c.Flags()
	fs.VarP(&f.timeout, "timeout", "t", timeout)
	fs.IntVarP(&f.workers, "workers", "j", 0, "threads (default: the cores)")
	fs.Var(&f.memory, "memory", "memory budget of all searches together (default: 4 GiB)")
	fs.Uint64Var(&f.seed, "seed", 0, "seed of everything random")
	fs.StringVar(&f.norm, "norm", "linf", "linf, l2, l1 or l0; the search proves in linf only")
	fs.StringArrayVar(&f.attacks, "attack", nil,
		"an `attack` with parameters, as pgd:steps=100; can be repeated (default: "+robust.DefaultAttack+")")
	fs.BoolVar(&f.noAttack, "no-attack", false, "run no attack before verifying")
	fs.StringVar(&f.semantics, "semantics", "real", "the arithmetic the answer is about: real, float32 or both")
	fs.StringVar(&f.method, "method", "", "limit the verifier to the method of this `name` ('certify list methods')")
	fs.BoolVar(&f.json, "json", false, "print JSON instead of text")
}

// options checks the flags and makes options of them.
func (f *robustFlags) options() (opt robust.Options, sem verify.Semantics, err error) {
	sem, ok := verify.ParseSemantics(f.semantics)
	if !ok {
		return opt, sem, usagef("the semantics are real, float32 and both", "--semantics: unknown semantics %q", f.semantics)
	}
	if opt.Norm, err = evasion.ParseNorm(strings.ToLower(f.norm)); err != nil {
		return opt, sem, usagef("the norms are linf, l2, l1 and l0", "--norm: unknown norm %q", f.norm)
	}
	if f.method == "auto" {
		f.method = ""
	}
	if !knownMethod(f.method) {
		return opt, sem, usagef("see `certify list methods`", "--method: unknown method %q", f.method)
	}
	if f.workers < 0 {
		return opt, sem, usagef("", "--workers: %d is negative", f.workers)
	}
	if f.noAttack && (f.noVerify || opt.Norm != evasion.Linf) {
		return opt, sem, usagef("leave --no-attack out", "with neither attacks nor verification there is nothing to do")
	}
	for _, t := range f.attacks {
		if _, _, err := evasion.Parse(t); err != nil {
			return opt, sem, usagef("see `certify list attacks`", "--attack: %s", strings.TrimPrefix(err.Error(), "evasion: "))
		}
	}
	opt.Timeout, opt.Attacks, opt.NoAttack, opt.NoVerify = time.Duration(f.timeout), f.attacks, f.noAttack, f.noVerify
	opt.Workers, opt.Memory, opt.Seed, opt.Method = f.workers, int64(f.memory), f.seed, f.method
	return opt, sem, nil
}

// load reads the model and the data.
func (f *robustFlags) load(path string, sem verify.Semantics) (*robust.Model, *items, error) {
	path, err := locate(path)
	if err != nil {
		return nil, nil, err
	}
	g, err := loadModel(path)
	if err != nil {
		return nil, nil, err
	}
	m, err := robust.NewModel(g, sem)
	if err != nil {
		return nil, nil, robustError(path, path, err)
	}
	it, err := f.read(g)
	if err != nil {
		return nil, nil, err
	}
	return m, it, nil
}

// robustError classifies an error of package robust about a model and where else it may be.
func robustError(model, where string, err error) error {
	var header *robust.HeaderError
	var format *robust.FormatError
	var internal *robust.InternalError
	if f := unbounded(model, err); f != nil {
		return f
	}
	switch {
	case errors.As(err, &internal):
		return &failure{code: exitInternal, kind: "internal", msg: err.Error(), detail: []string{string(internal.Stack)}, err: err,
			hint: "this is a defect of certify: please report it with the command line and the output of `certify doctor`"}
	case errors.As(err, &header):
		return &failure{code: exitUsage, kind: "resume", msg: header.Path + " holds the results of another run",
			detail: header.Diffs, err: err,
			hint: "name another file with -o, delete this one, or repeat what it was made with"}
	case errors.As(err, &format):
		return &failure{code: exitMalformed, kind: "results", msg: fmt.Sprintf("%s:%d: %s", format.Path, format.Line, format.Why),
			err: err}
	case errors.Is(err, robust.ErrUnattackable):
		f := &failure{code: exitUnsupported, kind: "unsupported", msg: model + ": " + trim(err), err: err,
			hint: "`certify inspect " + model + "` lists what cannot be bounded"}
		if uns, ok := errors.AsType[*nn.UnsupportedError](err); ok {
			g := unsupportedOps(err, uns.Nodes)
			f.msg, f.detail = model+": "+g.msg+", so there are no gradients, and every attack needs them", g.detail
		}
		return f
	case errors.Is(err, robust.ErrInput):
		return &failure{code: exitMalformed, kind: "input", msg: where + ": " + trim(err), err: err}
	}
	return dataError(err)
}

// trim leaves out the names that packages put before their messages.
func trim(err error) string {
	s := strings.ReplaceAll(err.Error(), robust.ErrInput.Error()+": ", "")
	return strings.ReplaceAll(s, "robust: ", "")
}

func parseNumber(s string) (float64, error) { return strconv.ParseFloat(strings.TrimSpace(s), 64) }

// describe writes what is asked of which network on stderr.
func (a *app) describe(path string, m *robust.Model, it *items) {
	s := m.Graph.Summary()
	a.notef("model     %s   %d→%d, %d ReLU, %d weights   sha256 %s", path, m.Inputs(), m.Classes(), s.Relus, s.Params,
		shortHash(m.Graph.Hash))
	if m.Unverifiable != nil {
		a.notef("note: nothing can be proved about the network: %s", strings.Join(strings.Fields(trim(m.Unverifiable)), " "))
	}
	for _, n := range it.notes {
		a.notef("%s", n)
	}
}

func shortHash(h string) string { return h[:min(12, len(h))] }

// clock writes a time for people.
func clock(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	case d < 100*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
