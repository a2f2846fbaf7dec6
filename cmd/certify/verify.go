package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/report"
)

// verifyFlags are the flags of `certify verify`.
type verifyFlags struct {
	timeout   seconds
	memory    byteSize
	networks  []string
	spec      string
	json      bool
	engine    string
	results   string
	serialise string
	progress  string
	failOn    []string
	semantics string
	vacuous   bool
	profile   string
	proof     string
	check     string
	proofTime seconds
	opt       verify.Options
}

func (a *app) verifyCmd() *cobra.Command {
	f := &verifyFlags{}
	c := &cobra.Command{
		Use:   "verify QUERY --network NAME=MODEL | verify MODEL QUERY",
		Short: "Decide a VNN-LIB query: sat (a counterexample exists), unsat (none exists), unknown or timed-out",
		Long: "Decide a VNN-LIB query. Standard output carries only the answer in the form of the VNN-LIB 2.0 standard;\n" +
			"everything for people goes to standard error. Models and queries are told apart by their contents.",
		Example: "  certify verify net.onnx prop.vnnlib -t 60\n  certify verify prop.vnnlib --network N=net.onnx --timeout 60 --json",
		Args:    cobra.MaximumNArgs(2),
	}
	f.register(c)
	c.RunE = runE(func(c *cobra.Command, args []string) error { return a.verify(c.Context(), c, f, args) })
	return c
}

func (f *verifyFlags) register(c *cobra.Command) {
	fs := c.Flags()
	fs.VarP(&f.timeout, "timeout", "t", "answer before this limit: 60, 60s, 2m (default: none)")
	fs.StringArrayVar(&f.networks, "network", nil, "the model, as NAME=FILE with the query's network name")
	fs.StringArrayVar(&f.networks, "net", nil, "the model")
	fs.StringVar(&f.spec, "spec", "", "the query")
	fs.IntVarP(&f.opt.Workers, "workers", "j", 0, "threads (default: the cores)")
	fs.Uint64Var(&f.opt.Seed, "seed", 0, "seed of everything random")
	fs.Var(&f.memory, "memory", "memory budget: 8GiB, 500MB (default: 4 GiB for the search)")
	fs.BoolVar(&f.json, "json", false, "print one certify.result/1 object instead of the standard's text")
	fs.StringVar(&f.results, "results-file", "", "also write a VNN-COMP results file, at once and whole")
	fs.StringVar(&f.serialise, "serialise-assignments", "", "write the witness into this folder, one ONNX TensorProto per variable, instead of as text")
	fs.StringVar(&f.serialise, "assignments", "", "alias of --serialise-assignments")
	fs.StringVar(&f.progress, "progress", "auto", "auto, plain, json or none")
	fs.StringSliceVar(&f.failOn, "fail-on", nil, "exit with 1 on these verdicts: sat, unsat, unknown, timed-out (or violated, proved)")
	fs.StringVar(&f.opt.Method, "method", "", "limit the search to the method of this `name` ('certify list methods')")
	fs.StringVar(&f.engine, "engine", "", "what searches: bab (branch and bound, the default), reluplex or smt")
	fs.BoolVar(&f.opt.NoAttack, "no-attack", false, "do not look for counterexamples before bounding")
	fs.StringVar(&f.semantics, "semantics", "real",
		"the arithmetic the verdict is about: real, float32 (every IEEE binary32 execution) or both")
	fs.StringVar(&f.proof, "proof", "", "write a certificate of unsat, which 'certify check' accepts, to this `file`")
	fs.StringVar(&f.check, "check", checkAuto,
		"have the kernel check the answer: auto (in a fifth of the time spent), always (what it does not accept is unknown) or never")
	fs.Var(&f.proofTime, "proof-timeout", "time for --proof or --check always, beside --timeout (default: what --timeout leaves)")
	fs.BoolVar(&f.vacuous, "allow-vacuous", false, "answer unsat when the input constraints contradict each other, instead of refusing")
	fs.StringVar(&f.profile, "cpuprofile", "", "write a CPU profile, its samples labelled with phase and part, to this `file`")
	for _, h := range []string{"net", "spec", "assignments", "cpuprofile"} {
		_ = fs.MarkHidden(h)
	}
}

func (a *app) verify(ctx context.Context, c *cobra.Command, f *verifyFlags, args []string) error {
	j, err := f.job(c, args)
	if err != nil {
		return err
	}
	if f.results != "" {
		if err := writable(f.results, "results", "--results-file"); err != nil {
			return err
		}
	}
	if f.proof != "" {
		if err := writable(f.proof, "certificate", "--proof"); err != nil {
			return err
		}
	}
	if f.serialise != "" {
		if err := os.MkdirAll(f.serialise, 0o777); err != nil {
			return err
		}
	}
	tr, done, err := a.progress(f.progress)
	if err != nil {
		return err
	}
	j.opt.Trace, j.showWarnings = tr, a.notef
	stop, err := profile(f.profile)
	if err != nil {
		done()
		return err
	}
	r, sig, err := a.decide(ctx, j)
	done()
	if err = cmp.Or(err, stop()); err != nil {
		return err
	}
	lost := j.keepProof(r)
	if err := a.deliver(f, r); err != nil {
		return err
	}
	if lost != nil {
		return lost
	}
	switch _, asked := j.checks(); {
	case asked && r.Unchecked != "" && r.Result.Verdict != verify.Unknown: // else that is the reason
		a.notef("warning[unchecked]: the answer was not checked: %s", r.Unchecked)
	case j.proof != "" && r.Result.Verdict == verify.Violated:
		a.notef("note: no certificate is written for sat: what is printed proves it, and `certify check` takes that")
	}
	if sig != nil {
		a.notef("interrupted: %s", report.Headline(r))
		return &status{sig.code()}
	}
	if f.listed(r.Result.Verdict) {
		return &status{exitListed}
	}
	return nil
}

// keepProof writes the certificate where it was asked for.
func (j *job) keepProof(r *report.Run) error {
	if j.proof == "" || r.Certificate == nil {
		return nil
	}
	if err := writeAtomic(j.proof, func(w *os.File) error { _, err := w.Write(r.Certificate.Data); return err }); err != nil {
		return &failure{code: exitResources, kind: "certificate", msg: "the certificate was not written: " + err.Error(), err: err,
			hint: "the answer stands; give another --proof"}
	}
	r.Certificate.Path = j.proof
	return nil
}

// deliver writes the answer everywhere it was asked for: first the results file, then standard output.
func (a *app) deliver(f *verifyFlags, r *report.Run) error {
	if f.results != "" {
		if err := writeAtomic(f.results, func(w *os.File) error { return report.VNNCOMP(w, r) }); err != nil {
			return err
		}
	}
	if !a.quiet {
		if err := report.Human(a.err, r, a.verbose); err != nil {
			return err
		}
	}
	switch {
	case f.json:
		return report.JSON(a.out, r)
	case f.serialise != "" && r.Result.Verdict == verify.Violated:
		if err := report.Serialise(f.serialise, r); err != nil {
			return err
		}
		_, err := fmt.Fprintln(a.out, r.Result.Verdict)
		return err
	}
	return report.Strict(a.out, r)
}

// job turns the flags and arguments into a job.
func (f *verifyFlags) job(c *cobra.Command, args []string) (*job, error) {
	var ok bool
	if f.opt.Semantics, ok = verify.ParseSemantics(f.semantics); !ok {
		return nil, usagef("the semantics are real, float32 and both", "--semantics: unknown semantics %q", f.semantics)
	}
	for i, w := range f.failOn {
		v, ok := verdictWords[strings.ToLower(w)]
		if !ok {
			return nil, usagef("the verdicts are sat, unsat, unknown and timed-out", "--fail-on: %q is not a verdict", w)
		}
		f.failOn[i] = v
	}
	if f.check != checkAuto && f.check != checkAlways && f.check != checkNever {
		return nil, usagef("the values are auto, always and never", "--check: unknown value %q", f.check)
	}
	if f.check == checkNever && f.proof != "" {
		return nil, usagef("leave one of them out: a certificate is written when the kernel accepted it",
			"--check never and --proof exclude each other")
	}
	if f.proofTime > 0 && f.check != checkAlways && f.proof == "" {
		return nil, usagef("add --proof FILE or --check always", "--proof-timeout is for proofs that are asked for")
	}
	if f.opt.Method == "auto" {
		f.opt.Method = ""
	}
	if err := f.chooseEngine(); err != nil {
		return nil, err
	}
	if !knownMethod(f.opt.Method) {
		return nil, usagef("see `certify list methods`", "--method: unknown method %q", f.opt.Method)
	}
	if f.opt.Workers < 0 {
		return nil, usagef("", "--workers: %d is negative", f.opt.Workers)
	}
	model, query, err := f.files(args)
	if err != nil {
		return nil, err
	}
	return &job{model: model, query: query, limit: time.Duration(f.timeout), memory: int64(f.memory), opt: f.opt,
		realGiven: c.Flags().Changed("semantics"), allowVacuous: f.vacuous, proof: f.proof, check: f.check,
		proofLimit: time.Duration(f.proofTime)}, nil
}

// chooseEngine merges --engine into the method; branch and bound is every method but reluplex and smt.
func (f *verifyFlags) chooseEngine() error {
	switch f.engine {
	case "":
	case "bab":
		if f.opt.Method == "reluplex" || f.opt.Method == "smt" {
			return usagef("leave one of them out", "--engine bab and --method %s exclude each other", f.opt.Method)
		}
	case "reluplex", "smt":
		if f.opt.Method != "" && f.opt.Method != f.engine {
			return usagef("leave one of them out", "--engine %s and --method %s exclude each other", f.engine, f.opt.Method)
		}
		f.opt.Method = f.engine
	default:
		return usagef("the engines are bab, reluplex and smt", "--engine: unknown engine %q", f.engine)
	}
	return nil
}

var verdictWords = map[string]string{
	"sat": "sat", "violated": "sat", "unsat": "unsat", "holds": "unsat", "proved": "unsat", "unknown": "unknown",
	"timed-out": "timed-out", "timeout": "timed-out",
}

func (f *verifyFlags) listed(v verify.Verdict) bool { return slices.Contains(f.failOn, v.String()) }

// refuse returns an error for a query whose answer would mislead.
func (j *job) refuse(p *spec.Problem) error {
	if v := floatVar(p); v != nil && (j.opt.Semantics == verify.Real || !strings.EqualFold(v.Type, "float32")) {
		if !j.realGiven {
			return unsupportedf("pass --semantics float32 or both where it is float32, or --semantics real to ask about real arithmetic",
				"%s: variable %s is declared %s, and the answer would be about another arithmetic", j.query, v.Name, v.Type)
		}
		j.showWarnings("note: %s: %s is declared %s; as asked, the answer is about real arithmetic", j.query, v.Name, v.Type)
	}
	if len(p.Vacuous) == 0 {
		return nil
	}
	if len(p.Cases) == 0 && !j.allowVacuous {
		return &failure{code: exitMalformed, kind: "vacuous", msg: j.query + ": the input constraints are empty: every property would be \"proved\"",
			detail: p.Vacuous, hint: "correct the query, or pass --allow-vacuous"}
	}
	j.showWarnings("warning[vacuous]: %s: contradictory input constraints: %s", j.query, strings.Join(p.Vacuous, "; "))
	return nil
}

// floatVar returns a variable of a VNN-LIB 2.0 query that is not declared real, nil when there is none. The numbers of a
// 1.0 query are reals by its definition.
func floatVar(p *spec.Problem) *spec.Var {
	if !strings.HasPrefix(p.Version, "2") {
		return nil
	}
	for i := range p.Vars {
		if !strings.EqualFold(p.Vars[i].Type, "real") {
			return &p.Vars[i]
		}
	}
	return nil
}
