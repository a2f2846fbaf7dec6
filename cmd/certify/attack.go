package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/attacks"
	"github.com/spai-project/certify/attacks/access"
	"github.com/spai-project/certify/attacks/defense"
	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/report"
	"github.com/spai-project/certify/verify/robust"
)

// attackFlags are the flags of `certify attack`.
type attackFlags struct {
	dataFlags
	timeout           seconds
	eps, norm         string
	attacks           []string
	targeted          string
	access            string
	surrogate         string
	substitute        int
	queries, grads    int
	workers           int
	seed              uint64
	json, diagnose    bool
	out, progress     string
	results, semantic string
}

func (a *app) attackCmd() *cobra.Command {
	f := &attackFlags{}
	c := &cobra.Command{
		Use:   "attack MODEL QUERY | attack MODEL --data SPEC --eps LIST | attack MODEL --input FILE --label L --eps LIST",
		Short: "Look for counterexamples only: of a VNN-LIB query, or near the items of a data set",
		Long: "Look for counterexamples and prove nothing. With a query, the falsifiers that `verify` runs first are run alone, and the " +
			"answer is\nsat or unknown in the form of the standard. With data, attacks of the literature are run on every item; the table says how many\n" +
			"fell, how far they were moved and what was asked of the network. Every success is shown by a rigorous evaluation.",
		Example: "  certify attack net.onnx prop.vnnlib -t 10\n" +
			"  certify attack net.onnx --data mnist:test[0:100] --eps 0.1,0.2 --attack auto\n" +
			"  certify attack net.onnx --data digits.npz --norm l2 --attack cw-l2 --attack fab --out adversarial\n" +
			"  certify attack net.onnx --data digits.npz --eps 0.3 --access labels --queries 5000 --attack hopskipjump",
		Args: cobra.RangeArgs(1, 2),
	}
	f.dataFlags.register(c, true)
	fs := c.Flags()
	fs.StringVar(&f.eps, "eps", "", "radii, as 0.1 or 1/255,2/255 (default: the smallest perturbation, for attacks that look for it)")
	fs.StringVar(&f.norm, "norm", "linf", "linf, l2, l1 or l0")
	fs.StringArrayVar(&f.attacks, "attack", nil, "an `attack` with parameters, as pgd:steps=100,loss=dlr; can be repeated (default: auto; `certify list attacks`)")
	fs.StringVar(&f.targeted, "targeted", "", "reach a class: least-likely, second, next (label + 1), or its number (default: leave the label's)")
	fs.StringVar(&f.access, "access", "gradients", "what attacks see: gradients, scores or labels")
	fs.StringVar(&f.surrogate, "surrogate", "", "another `network`, which is differentiated in place of the attacked one (transfer)")
	fs.IntVar(&f.substitute, "substitute", 0, "train a network on the labels of the first `N` items and of points near them, and differentiate that; the other items are attacked")
	fs.IntVar(&f.queries, "queries", 0, "evaluations without gradient allowed for each item (default: the attack's own number)")
	fs.IntVar(&f.grads, "gradients", 0, "evaluations with gradient allowed for each item (default: the attack's own number)")
	fs.VarP(&f.timeout, "timeout", "t", "stop after this time and report what was found: 60, 60s, 2m (default: 10 s for a query, none for data)")
	fs.IntVarP(&f.workers, "workers", "j", 0, "threads (default: the cores)")
	fs.Uint64Var(&f.seed, "seed", 0, "seed of everything random")
	fs.BoolVar(&f.diagnose, "diagnose", false, "first look for signs that gradients are hidden rather than small, on up to 64 items")
	fs.BoolVar(&f.json, "json", false, "print JSON instead of text")
	fs.StringVar(&f.out, "out", "", "write what was found into this `folder`: adversarial.npz and .npy, a sheet of pictures, a counterexample file for each item")
	fs.StringVar(&f.progress, "progress", "auto", "auto, plain, json or none")
	fs.StringVar(&f.results, "results-file", "", "with a query: also write a VNN-COMP results file")
	fs.StringVar(&f.semantic, "semantics", "real", "the arithmetic in which a success counts: real, float32 or both")
	c.RunE = runE(func(c *cobra.Command, args []string) error {
		if len(args) == 2 {
			return a.attackQuery(c, f, args)
		}
		return a.attackData(c.Context(), f, args[0])
	})
	return c
}

// attackQuery runs the falsification portfolio on a query.
func (a *app) attackQuery(c *cobra.Command, f *attackFlags, args []string) error {
	for _, name := range []string{"data", "input", "eps", "attack", "targeted", "access", "surrogate", "out", "norm"} {
		if c.Flags().Changed(name) {
			return usagef("leave out the query, or the flag", "--%s is for data, and %s is a query", name, args[1])
		}
	}
	v := &verifyFlags{json: f.json, results: f.results, semantics: f.semantic, check: checkAuto, progress: f.progress, timeout: f.timeout}
	v.opt.Seed, v.opt.Workers, v.opt.Method = f.seed, f.workers, "attack"
	if v.timeout == 0 {
		v.timeout = seconds(10 * time.Second)
	}
	j, err := v.job(c, args)
	if err != nil {
		return err
	}
	g, p, err := j.read()
	if err != nil {
		return err
	}
	if _, err := g.Lower(); err != nil { // no bounds and no gradients: what is left are evaluations
		return a.attackScores(c.Context(), v, j, g, p)
	}
	return a.verify(c.Context(), c, v, args)
}

// attackScores looks for a counterexample of a query about a network with operators that cannot be bounded.
func (a *app) attackScores(ctx context.Context, v *verifyFlags, j *job, g *nn.Graph, p *spec.Problem) error {
	a.notef("note: the network cannot be bounded (`certify inspect %s` says why): it is attacked through evaluations alone, and what is found "+
		"is replayed in float64 and in float32, not proved", j.model)
	ctx, stop := signals(ctx)
	defer stop()
	start := time.Now()
	x, err := attacks.SearchScores(ctx, access.Graph(g), p, func(x []float64) bool { return replays(g, p, x) },
		attacks.Options{Seed: v.opt.Seed, Time: time.Duration(v.timeout)})
	if err != nil {
		return modelError(j.model, err)
	}
	res := &verify.Result{Verdict: verify.Unknown, Reason: "incomplete"}
	res.Stats.Wall = time.Since(start)
	r := &report.Run{Model: report.File{Path: j.model, SHA256: g.Hash}, Query: report.File{Path: j.query, SHA256: p.Hash},
		Semantics: j.opt.Semantics.String(), Problem: p, Result: res, Seed: j.opt.Seed, Tool: tool(), Unchecked: "replayed, not proved"}
	quiet := a.quiet
	if x != nil {
		y, err := g.EvalFlat(x)
		if err != nil {
			return modelError(j.model, err)
		}
		res.Verdict, res.Reason, res.Witness = verify.Violated, "", &spec.Witness{X: x, Y: y}
		a.notef("VIOLATED  by an input that was replayed in float64 and in float32, not proved   %s", clock(res.Stats.Wall))
		a.quiet = true // the usual sentence says more than is known
	}
	err = a.deliver(v, r)
	a.quiet = quiet
	var sig *interrupt
	if err == nil && errors.As(context.Cause(ctx), &sig) {
		return &status{sig.code()}
	}
	return err
}

// replays reports whether x violates the problem in float64 and in float32 evaluation.
func replays(g *nn.Graph, p *spec.Problem, x []float64) bool {
	for _, eval := range []func([]float64) ([]float64, error){g.EvalFlat, g.EvalFloat32} {
		y, err := eval(x)
		if err != nil {
			return false
		}
		violated := false
		for i := range p.Cases {
			m, _ := p.Cases[i].Margin(x, y)
			violated = violated || m >= 0 && p.Boxes[p.Cases[i].Box].Contains(x)
		}
		if !violated {
			return false
		}
	}
	return true
}

// attackData runs attacks on a data set.
func (a *app) attackData(ctx context.Context, f *attackFlags, path string) error {
	opt, sem, texts, err := f.campaign()
	if err != nil {
		return err
	}
	path, err = locate(path)
	if err != nil {
		return err
	}
	g, err := loadModel(path)
	if err != nil {
		return err
	}
	m, err := robust.NewModel(g, sem)
	if err != nil {
		return robustError(path, path, err)
	}
	if f.surrogate != "" {
		if opt.Surrogate, err = loadSurrogate(f.surrogate, g); err != nil {
			return err
		}
	}
	it, err := f.items(m)
	if err != nil {
		return err
	}
	opt.Domain = it.domain
	a.describe(path, m, it)
	a.notef("data      %s   %d items of shape %v, %s   sha256 %s", it.spec, it.set.Len(), it.set.Shape, it.valid(), shortHash(it.set.Hash))
	warnings, err := m.Inspect(ctx, it.set)
	if err != nil {
		return robustError(path, it.spec, err)
	}
	a.warn(warnings)
	if f.diagnose {
		if err := a.diagnose(ctx, m, it, opt); err != nil {
			return attackError(path, it.spec, err)
		}
	}
	show, end, err := a.counter(f.progress)
	if err != nil {
		return err
	}
	opt.Progress = show
	ctx, stop := signals(ctx)
	defer stop()
	if f.substitute > 0 {
		if opt.Surrogate, err = a.trainSubstitute(ctx, f, m, it); err != nil {
			return attackError(path, it.spec, err)
		}
	}
	limited, cancel := ctx, context.CancelFunc(func() {})
	if f.timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, time.Duration(f.timeout))
	}
	defer cancel()
	rows, err := m.Campaign(limited, it.set, opt)
	end()
	var sig *interrupt
	interrupted := errors.As(context.Cause(ctx), &sig)
	if err != nil && limited.Err() == nil {
		return attackError(path, it.spec, err)
	}
	report := &attackReport{path: path, m: m, it: it, f: f, rows: rows, eps: texts}
	if err := report.write(a); err != nil {
		return err
	}
	switch {
	case interrupted:
		a.notef("interrupted: the table holds what was found; items counted as stopped were not finished, and shares are of those that were")
		return &status{sig.code()}
	case err != nil:
		a.notef("timed out after %v: items counted as stopped were not finished, and shares are of those that were", time.Duration(f.timeout))
	}
	return nil
}

// trainSubstitute trains a network on the labels of the first items, which are then left out.
func (a *app) trainSubstitute(ctx context.Context, f *attackFlags, m *robust.Model, it *items) (access.Gradients, error) {
	n := f.substitute
	if n >= it.set.Len() {
		return nil, usagef("name more data, or fewer seeds", "--substitute %d leaves none of %d items to attack", n, it.set.Len())
	}
	tasks, err := m.Tasks(it.set.Slice(0, 1), it.domain)
	if err != nil {
		return nil, err
	}
	var seeds [][]float64
	for i := range n {
		seeds = append(seeds, it.set.Item(i))
	}
	start := time.Now()
	s, labels, err := evasion.TrainSubstitute(ctx, access.OnlyLabels(m.Access()), seeds, evasion.SubstituteOptions{Lower: tasks[0].Lower,
		Upper: tasks[0].Upper, Seed: f.seed, Workers: f.workers})
	if err != nil {
		return nil, err
	}
	it.set = it.set.Slice(n, it.set.Len())
	a.notef("substitute trained on %d labels   %s", labels, clock(time.Since(start)))
	return s, nil
}

// diagnose prints signs of hidden gradients.
func (a *app) diagnose(ctx context.Context, m *robust.Model, it *items, opt robust.CampaignOptions) error {
	g, ok := m.Access().(access.Gradients)
	if !ok || len(opt.Eps) == 0 {
		return usagef("leave out --diagnose", "a diagnosis needs gradients and --eps")
	}
	tasks, err := m.Tasks(it.set.Slice(0, min(64, it.set.Len())), opt.Domain)
	if err != nil {
		return err
	}
	found, err := defense.Diagnose(ctx, g, tasks, defense.DiagnoseOptions{Norm: opt.Norm, Eps: slices.Max(opt.Eps), Seed: opt.Seed,
		Workers: opt.Workers, Shape: it.set.Shape})
	if err != nil {
		return err
	}
	for _, f := range found {
		a.notef("sign[%s]: %v", f.Name, f)
	}
	if len(found) == 0 {
		a.notef("diagnosis  no sign of hidden gradients in %d items; that proves nothing", len(tasks))
	}
	return nil
}

// campaign checks the flags and makes options of them; texts are the radii as they were written.
func (f *attackFlags) campaign() (opt robust.CampaignOptions, sem verify.Semantics, texts []string, err error) {
	ok := false
	if sem, ok = verify.ParseSemantics(f.semantic); !ok {
		return opt, sem, nil, usagef("the semantics are real, float32 and both", "--semantics: unknown semantics %q", f.semantic)
	}
	if opt.Norm, err = evasion.ParseNorm(strings.ToLower(f.norm)); err != nil {
		return opt, sem, nil, usagef("the norms are linf, l2, l1 and l0", "--norm: unknown norm %q", f.norm)
	}
	if f.eps != "" {
		if opt.Eps, texts, err = robust.ParseEpsList(f.eps); err != nil {
			return opt, sem, nil, usagef("write 0.1, or several as 1/255,2/255", "--eps: %s", trim(err))
		}
	}
	levels := []string{"labels", "scores", "gradients"}
	k := slices.Index(levels, f.access)
	if k < 0 {
		return opt, sem, nil, usagef("the levels are gradients, scores and labels", "--access: unknown level %q", f.access)
	}
	opt.Access = access.Level(k)
	if f.queries < 0 || f.grads < 0 || f.workers < 0 {
		return opt, sem, nil, usagef("", "--queries, --gradients and --workers cannot be negative")
	}
	if opt.Attacks = f.attacks; len(f.attacks) == 0 {
		opt.Attacks = []string{"auto"}
		if f.eps == "" {
			opt.Attacks = []string{"fab"}
		}
	}
	for _, t := range opt.Attacks {
		e, _, err := evasion.Parse(t)
		if err != nil {
			return opt, sem, nil, usagef("see `certify list attacks`", "--attack: %s", strings.TrimPrefix(err.Error(), "evasion: "))
		}
		if f.eps == "" && !e.Minimal {
			return opt, sem, nil, usagef("add --eps 0.1, or take an attack that `certify list attacks` marks minimal",
				"--attack %s needs a radius", t)
		}
	}
	if opt.Target, err = targetRule(f.targeted); err != nil {
		return opt, sem, nil, err
	}
	if f.substitute < 0 || f.substitute > 0 && f.surrogate != "" {
		return opt, sem, nil, usagef("give one of them, with a positive number of seeds", "--substitute %d and --surrogate %q", f.substitute, f.surrogate)
	}
	opt.Queries, opt.Gradients, opt.Seed, opt.Workers = f.queries, f.grads, f.seed, f.workers
	return opt, sem, texts, nil
}

// targetRule reads --targeted.
func targetRule(text string) (func(item int, y []float64, label int) int, error) {
	switch text {
	case "":
		return nil, nil
	case "next":
		return func(_ int, y []float64, label int) int { return (label + 1) % len(y) }, nil
	case "least-likely", "second":
		sign := 1.0
		if text == "second" {
			sign = -1
		}
		return func(_ int, y []float64, label int) int {
			best := -1
			for j, v := range y {
				if j != label && (best < 0 || sign*v < sign*y[best]) {
					best = j
				}
			}
			return best
		}, nil
	}
	k, err := strconv.Atoi(text)
	if err != nil || k < 0 {
		return nil, usagef("write least-likely, second, next or the number of a class", "--targeted: %q is no class", text)
	}
	return func(_ int, y []float64, label int) int {
		if k == label {
			return -1 // it is there already: any other will do
		}
		return k
	}, nil
}

// items reads the data: one item when one was chosen, else all.
func (f *attackFlags) items(m *robust.Model) (*items, error) {
	it, err := f.read(m.Graph)
	if err != nil {
		return nil, err
	}
	if f.index >= 0 || f.label >= 0 {
		if _, _, err := f.one(it, m.Classes()); err != nil {
			return nil, err
		}
	}
	if it.set.Labels == nil {
		return nil, usagef("add --label, or --labels FILE", "%s has no labels", it.spec)
	}
	if err := it.set.CheckLabels(m.Classes()); err != nil {
		return nil, dataError(err)
	}
	return it, nil
}

// loadSurrogate reads the network to differentiate.
func loadSurrogate(path string, g *nn.Graph) (access.Gradients, error) {
	path, err := locate(path)
	if err != nil {
		return nil, err
	}
	s, err := loadModel(path)
	if err != nil {
		return nil, err
	}
	s, _ = s.Logits()
	if s.NumInputs() != g.NumInputs() || s.NumOutputs() != g.NumOutputs() {
		return nil, usagef("", "--surrogate %s has %d inputs and %d outputs, the attacked network %d and %d", path, s.NumInputs(),
			s.NumOutputs(), g.NumInputs(), g.NumOutputs())
	}
	p, err := s.Lower()
	if err != nil {
		return nil, modelError(path, err)
	}
	return access.Program(p), nil
}

// attackError classifies what package robust or evasion says.
func attackError(model, where string, err error) error {
	if text, ok := strings.CutPrefix(err.Error(), "evasion: "); ok {
		return usagef("`certify list attacks` says what every attack needs", "%s", text)
	}
	return robustError(model, where, err)
}

// radius writes a radius for people.
func radius(eps float64, k int, texts []string) string {
	switch {
	case math.IsInf(eps, 1):
		return "smallest"
	case k < len(texts):
		return texts[k]
	}
	return fmt.Sprint(eps)
}
