package benchmarks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/spai-project/certify/verify/report"
)

// A Certificate is what became of the proof of an unsat. The instance's Checked says that one was made and that the kernel accepted
// it twice: in the process that made it, and in one that read the file. Times are seconds.
type Certificate struct {
	Make      float64 `json:"make_s"`       // making it, or trying to
	Check     float64 `json:"check_s"`      // the kernel's check in the second process, alone
	CheckWall float64 `json:"check_wall_s"` // all of that process: its start, reading and hashing the files, and the check
	CheckCPU  float64 `json:"check_cpu_s"`
	PeakMiB   float64 `json:"peak_mib"` // of the first process, search included
	Bytes     int     `json:"bytes"`
	Leaves    int     `json:"leaves"`
	Why       string  `json:"why,omitempty"` // there is none
}

// certificate fills in what an answer says about its proof, and takes what came after the answer off the times.
func (r *Result) certificate(o *report.Object) {
	if r.ProofLimit == 0 || o.Decided == nil {
		return
	}
	whole := r.PeakMiB
	r.Wall -= o.Time.Wall - o.Decided.Wall
	r.CPU -= o.Time.CPU - o.Decided.CPU
	if o.Decided.PeakRSS > 0 {
		r.PeakMiB = float64(o.Decided.PeakRSS) / (1 << 20)
	}
	if o.Verdict != "unsat" {
		return
	}
	r.Certificate = &Certificate{Make: o.Time.Phases["proof"], PeakMiB: whole, Why: o.Unchecked}
	if p := o.Proof; p != nil {
		r.Certificate.Make, r.Certificate.Bytes, r.Certificate.Leaves = p.Make, p.Bytes, p.Leaves
	} else if r.Certificate.Why == "" {
		r.Certificate.Why = "no certificate was made"
	}
	r.Checked = r.Checked && r.Certificate.Why == ""
}

// checkAgain has a process of its own check the certificate in a file. A refusal there is an error of the instance.
func (r *Runner) checkAgain(ctx context.Context, i *Instance, res *Result, file string) {
	if !res.Checked {
		return
	}
	res.Checked = false
	p := r.start(ctx, r.limit(i)+r.proofLimit(i)+grace, []string{"check", "--json", i.Path(i.Model), i.Path(i.Query), file})
	c := res.Certificate
	c.CheckWall, c.CheckCPU = p.wall, p.cpu
	var o report.Check
	switch err := json.Unmarshal(p.out, &o); {
	case errors.Is(p.killed, context.DeadlineExceeded), p.over:
		c.Why = "the check from the file was killed"
	case err != nil || o.Schema != report.CheckSchema:
		res.Verdict, res.Error = "error", "certify check: "+firstLines(p.errs, 3)
	case !o.Accepted:
		res.Verdict, res.Error = "error", "certify check refuses the certificate: "+o.Reason
	default:
		c.Check, res.Checked = o.Time.Check, true
	}
}

// A CertificateRow sums up the certificates of a suite under one semantics. Seconds are sums over the instances with an accepted
// one.
type CertificateRow struct {
	Suite, Semantics string
	Unsat, Certified int
	Search, CPU      float64 // of the answers, whole processes
	Make             float64
	Check            float64 // the kernel alone
	CheckWall        float64 // whole processes
	CheckCPU         float64 // the same, processor seconds
	NoLonger         int     // instances whose check took no longer than their search, whole processes both
	NoLongerCPU      int     // the same in processor seconds
	Slowest          float64 // check, a whole process
	Bytes, Leaves    int
}

// ErrNoCertificates is returned when no certificates were asked for.
var ErrNoCertificates = errors.New("benchmarks: no result was asked for a certificate; bench run --check asks")

// CertificateRows sums up certificates by semantics and suite, both sorted; after more than one suite the semantics' total comes.
func CertificateRows(results []Result) (rows []CertificateRow, err error) {
	by := map[string][]Result{}
	for _, r := range results {
		if r.ProofLimit > 0 {
			by[r.Semantics] = append(by[r.Semantics], r)
		}
	}
	if len(by) == 0 {
		return nil, ErrNoCertificates
	}
	for semantics, all := range by {
		suites, total := map[string]*CertificateRow{}, &CertificateRow{Suite: "total", Semantics: semantics}
		for _, r := range Latest(all) {
			if r.Verdict != "unsat" || !r.Solved() {
				continue
			}
			if suites[r.Suite] == nil {
				suites[r.Suite] = &CertificateRow{Suite: r.Suite, Semantics: semantics}
			}
			suites[r.Suite].add(&r)
			total.add(&r)
		}
		for _, row := range suites {
			rows = append(rows, *row)
		}
		if len(suites) != 1 {
			rows = append(rows, *total)
		}
	}
	slices.SortFunc(rows, func(p, q CertificateRow) int {
		return cmp.Or(cmp.Compare(rank(p.Semantics), rank(q.Semantics)), cmp.Compare(p.Semantics, q.Semantics),
			isTotal(p)-isTotal(q), cmp.Compare(p.Suite, q.Suite))
	})
	return rows, nil
}

// rank puts real arithmetic first.
func rank(semantics string) int {
	if semantics == "real" {
		return 0
	}
	return 1
}

func isTotal(r CertificateRow) int {
	if r.Suite == "total" {
		return 1
	}
	return 0
}

func (w *CertificateRow) add(r *Result) {
	w.Unsat++
	c := r.Certificate
	if c == nil || !r.Checked {
		return
	}
	w.Certified++
	w.Search, w.CPU = w.Search+r.Wall, w.CPU+r.CPU
	w.Make, w.Check, w.CheckWall, w.CheckCPU = w.Make+c.Make, w.Check+c.Check, w.CheckWall+c.CheckWall, w.CheckCPU+c.CheckCPU
	w.Bytes, w.Leaves = w.Bytes+c.Bytes, w.Leaves+c.Leaves
	w.Slowest = max(w.Slowest, c.CheckWall)
	if c.CheckWall <= r.Wall {
		w.NoLonger++
	}
	if c.CheckCPU <= r.CPU {
		w.NoLongerCPU++
	}
}
