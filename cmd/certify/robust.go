package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/attacks/evasion"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/report"
	"github.com/spai-project/certify/verify/robust"
)

func (a *app) robustCmd() *cobra.Command {
	f := &robustFlags{}
	var eps, proof, out, progress string
	c := &cobra.Command{
		Use:   "robust MODEL --input FILE | --data SPEC --index N",
		Short: "Decide one ε-ball: is every valid input near this one classified as its label?",
		Long: "Decide whether some valid input within --eps of the given one makes another class score at least as much as the\n" +
			"label: the input itself is looked at, then bounds, attacks and the complete verifier. A tie counts as misclassified.\n" +
			"No query file is needed.",
		Example: "  certify robust net.onnx --input seven.png --label 7 --eps 2/255\n" +
			"  certify robust net.onnx --data mnist:test --index 3 --eps 0.1 -t 60 --proof ball.cert --out evidence",
		Args: cobra.ExactArgs(1),
	}
	f.register(c, true, "answer before this limit: 60, 60s, 2m (default: none)")
	c.Flags().StringVar(&eps, "eps", "", "the radius, as 0.1 or 2/255")
	c.Flags().StringVar(&proof, "proof", "",
		"write a certificate to this `file`, and the query it is about to FILE.vnnlib; 'certify check' takes both")
	c.Flags().StringVar(&out, "out", "",
		"write the counterexample into this `folder`: cex.npy, cex.png, cex.vnnlib and the query, ball.vnnlib")
	c.Flags().StringVar(&progress, "progress", "auto", "auto, plain, json or none")
	c.RunE = runE(func(c *cobra.Command, args []string) error {
		opt, sem, err := f.options()
		if err != nil {
			return err
		}
		b := &ballJob{path: args[0], f: f, opt: opt, text: eps, proof: proof, out: out}
		if eps == "" {
			return noRadius()
		}
		if b.eps, err = robust.ParseEps(eps); err != nil {
			return usagef("write 0.1 or 2/255", "--eps: %q is no radius", eps)
		}
		if proof != "" {
			if err := writable(proof, "certificate", "--proof"); err != nil {
				return err
			}
		}
		tr, done, err := a.progress(progress)
		if err != nil {
			return err
		}
		b.opt.Trace, b.done = tr, done
		return a.ball(c.Context(), b, sem)
	})
	return c
}

func noRadius() error { return usagef("for example --eps 0.1 or --eps 2/255", "no radius is given") }

// ballJob is one ε-ball as the command line asked for it.
type ballJob struct {
	path, text, proof, out string
	f                      *robustFlags
	opt                    robust.Options
	eps                    float64
	done                   func()

	m     *robust.Model
	it    *items
	x     []float64
	label int
}

func (a *app) ball(ctx context.Context, j *ballJob, sem verify.Semantics) error {
	var err error
	defer j.done()
	if j.m, j.it, err = j.f.load(j.path, sem); err != nil {
		return err
	}
	if j.x, j.label, err = j.f.one(j.it, j.m.Classes()); err != nil {
		return err
	}
	a.describe(j.path, j.m, j.it)
	warnings, err := j.m.Inspect(ctx, j.it.set)
	if err != nil {
		return robustError(j.path, j.it.spec, err)
	}
	a.warn(warnings)
	a.notef("query     ‖x − x₀‖ in %v ≤ %s, %s; class %d must win", j.opt.Norm, j.text, j.it.valid(), j.label)
	j.opt.Domain, j.opt.Shape = j.it.domain, j.it.set.Shape
	if limit := j.opt.Timeout; limit > 0 {
		j.opt.Timeout = max(limit-margin(limit)-time.Since(a.start), time.Millisecond)
	}
	ctx, stop := signals(ctx)
	defer stop()
	b, err := j.m.Decide(ctx, j.x, j.label, j.eps, j.opt)
	if err != nil {
		return robustError(j.path, j.it.spec, err)
	}
	j.done()
	var cert *ballProof
	if j.proof != "" {
		cert = a.proveBall(ctx, j, b)
	}
	if err := a.tellBall(j, b, cert); err != nil {
		return err
	}
	var sig *interrupt
	if errors.As(context.Cause(ctx), &sig) {
		return &status{sig.code()}
	}
	return nil
}

func (a *app) warn(warnings []robust.Warning) {
	for _, w := range warnings {
		a.notef("warning[%s]: %s", w.Kind, w.Text)
	}
}

// tellBall writes the answer and its evidence.
func (a *app) tellBall(j *ballJob, b *robust.Ball, cert *ballProof) error {
	if b.Attack > 0 && b.By != "attack" {
		a.notef("attack    %s   %s", attackWords(b), clock(b.Attack))
	}
	if r := b.Result; r != nil && a.verbose {
		for _, s := range r.Strategy {
			a.notef("step      %s", s)
		}
	}
	if r := b.Result; r != nil {
		a.notef("verifier  %d sub-problems bounded, %.4g %% proved   %s", r.Stats.Branches, 100*r.Stats.Volume, clock(b.Verify))
	}
	files, err := j.write(b)
	if err != nil {
		return err
	}
	if cert != nil && cert.data != nil {
		if err := cert.write(j.proof); err != nil {
			return err
		}
	}
	if j.f.json {
		return json.NewEncoder(a.out).Encode(a.ballObject(j, b, cert))
	}
	fmt.Fprintln(a.out, ballHeadline(j, b)+"   "+clock(b.Wall))
	for _, line := range ballDetails(j, b, cert, files) {
		a.notef("          %s", line)
	}
	return nil
}

func attackWords(b *robust.Ball) string {
	if b.Witness != nil && b.Result == nil {
		return "found a counterexample"
	}
	return "nothing found"
}

// ballHeadline is the answer in one line.
func ballHeadline(j *ballJob, b *robust.Ball) string {
	switch b.Verdict {
	case robust.Holds:
		return "PROVED    no valid input in the ball is classified differently"
	case robust.Violated:
		if b.By == "input" {
			return fmt.Sprintf("VIOLATED  the input itself is not classified as %d: class %d scores as much or more", j.label,
				b.Witness.Class)
		}
		return fmt.Sprintf("VIOLATED  class %d reachable at distance %s (found by %s)", b.Witness.Class,
			robust.FormatUp(b.Witness.Distance), b.By)
	case robust.Timeout:
		return "TIMED OUT not decided" + reachedBound(b)
	}
	return "UNKNOWN   " + b.Reason + reachedBound(b)
}

func reachedBound(b *robust.Ball) string {
	if math.IsInf(b.Margin, 0) || math.IsNaN(b.Margin) {
		return ""
	}
	return fmt.Sprintf("; best bound on the margin %.4g (> 0 would be a proof)", b.Margin)
}

// ballDetails are the lines below the headline.
func ballDetails(j *ballJob, b *robust.Ball, cert *ballProof, files []string) (lines []string) {
	if w := b.Witness; w != nil {
		switch {
		case w.AnyOrder:
			lines = append(lines, fmt.Sprintf("margin %.4g at least, under every float32 summation order: any IEEE runtime replays it",
				w.Margin))
		case w.Rigorous:
			lines = append(lines, fmt.Sprintf("margin %.4g at least in real arithmetic; a float32 runtime may round it away", w.Margin))
		default:
			lines = append(lines, "replayed in float64 and float32; this network cannot be enclosed rigorously")
		}
		if len(files) > 0 {
			lines = append(lines, "wrote "+join(files)+" (the array is the evidence, the picture is rounded to 8 bits)")
		}
	}
	if b.Verdict == robust.Holds {
		lines = append(lines, "about "+semanticsWords(j.m.Semantics))
	}
	switch {
	case cert == nil:
	case cert.why != "":
		lines = append(lines, "no certificate: "+cert.why)
	case cert.data != nil:
		lines = append(lines, fmt.Sprintf("checked by the kernel: %s, %d bytes, %d leaves, made in %s, checked in %s; repeat with",
			j.proof, len(cert.data), cert.leaves, clock(cert.made), clock(cert.checked)),
			fmt.Sprintf("certify check %s %s %s", j.path, queryFile(j.proof), j.proof))
	}
	return lines
}

func semanticsWords(s verify.Semantics) string {
	return [...]string{"real arithmetic", "every float32 execution", "real arithmetic and every float32 execution"}[s]
}

func join(files []string) string {
	s := ""
	for i, f := range files {
		if i > 0 {
			s += " "
		}
		s += f
	}
	return s
}

// ballSchema names the object of `certify robust --json`.
const ballSchema = "certify.robust/1"

type ballObject struct {
	Schema    string         `json:"schema"`
	Verdict   robust.Verdict `json:"verdict"`
	Reason    string         `json:"reason,omitempty"`
	By        string         `json:"by,omitempty"`
	Semantics string         `json:"semantics"`
	Model     report.File    `json:"model"`
	Input     struct {
		Spec   string `json:"spec"`
		Name   string `json:"name"`
		SHA256 string `json:"sha256"`
		Label  int    `json:"label"`
	} `json:"input"`
	Eps     float64      `json:"eps"`
	EpsText string       `json:"eps_text"`
	Norm    string       `json:"norm"`
	Clip    []any        `json:"clip"`
	Bound   *float64     `json:"bound"` // rigorous lower bound on the margin of an undecided question
	Witness *ballWitness `json:"witness"`
	Time    struct {
		Wall   float64 `json:"wall"`
		Attack float64 `json:"attack"`
		Verify float64 `json:"verify"`
	} `json:"time"`
	Search *report.Search `json:"search,omitempty"`
	Proof  *report.Proof  `json:"proof,omitempty"`
	Tool   report.Tool    `json:"tool"`
	Seed   uint64         `json:"seed"`
}

type ballWitness struct {
	X        []float64 `json:"x"`
	Y        []float64 `json:"y"`
	Class    int       `json:"class"`
	Distance float64   `json:"distance"`
	Margin   *float64  `json:"margin"`
	AnyOrder bool      `json:"any_order"`
	Rigorous bool      `json:"rigorous"`
}

func (a *app) ballObject(j *ballJob, b *robust.Ball, cert *ballProof) *ballObject {
	o := &ballObject{Schema: ballSchema, Verdict: b.Verdict, Reason: b.Reason, By: b.By, Semantics: j.m.Semantics.String(),
		Eps:     j.eps,
		EpsText: j.text, Norm: j.opt.Norm.String(), Bound: finiteOrNil(b.Margin), Tool: tool(), Seed: j.opt.Seed,
		Model: report.File{Path: j.path, SHA256: j.m.Graph.Hash}}
	o.Input.Spec, o.Input.Name, o.Input.SHA256, o.Input.Label = j.it.spec, j.it.set.Names[0], j.it.set.Hash, j.label
	if !math.IsInf(j.it.lo, -1) {
		o.Clip = []any{j.it.lo, j.it.hi}
	}
	if w := b.Witness; w != nil {
		o.Bound = nil
		y, err := j.m.Outputs(w.X)
		if err != nil { // which the scores did not have
			y = w.Y
		}
		o.Witness = &ballWitness{w.X, y, w.Class, w.Distance, finiteOrNil(w.Margin), w.AnyOrder, w.Rigorous}
	}
	o.Time.Wall, o.Time.Attack, o.Time.Verify = b.Wall.Seconds(), b.Attack.Seconds(), b.Verify.Seconds()
	if r := b.Result; r != nil {
		o.Search = &report.Search{Branches: r.Stats.Branches, Open: r.Stats.Open, Closed: r.Stats.Closed,
			Volume: finiteOrNil(r.Stats.Volume)}
	}
	if cert != nil && cert.data != nil {
		o.Proof = &report.Proof{Path: j.proof, Bytes: len(cert.data), Leaves: cert.leaves, Make: cert.made.Seconds(),
			Check: cert.checked.Seconds()}
	}
	return o
}

func finiteOrNil(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	return &v
}

// linf reports whether a ball can be written as a query.
func (j *ballJob) linf() bool { return j.opt.Norm == evasion.Linf }
