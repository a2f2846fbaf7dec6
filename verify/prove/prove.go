// Package prove makes certificates: for a question that a search has answered with unsat it builds a proof that verify/kernel accepts
// (docs/design/0011-proofs.md).
//
// It searches again, in a plainer way than verify does, on the bounds that the kernel computes: a proof holds only what the kernel can
// follow. Few varying inputs are bisected by the kernel itself (cert.Builder.Bisect); otherwise ReLUs are split by verify/bab, which
// records the multipliers of every leaf.
package prove

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"

	"github.com/spai-project/certify/nn/prog"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/relax"
	"github.com/spai-project/certify/verify/bab"
	"github.com/spai-project/certify/verify/cert"
	"github.com/spai-project/certify/verify/kernel"
)

// Options steer Unsat. The zero value works.
type Options struct {
	Workers int   // 0: number of cores
	Memory  int64 // bytes for open branches, 0: 4 GiB

	relus bool // split ReLUs however few inputs vary (for tests)
	lean  bool // without trying fixed bounds first (for tests)
}

// maxSplitInputs is the number of varying inputs up to which boxes are bisected.
const maxSplitInputs = 10

// ErrNoProof is a question for which no proof was found: its search ended, or the kernel cannot follow.
var ErrNoProof = errors.New("prove: no proof found")

// Unsat returns a certificate that no input satisfies p on the network full, the lowered form of the model that k was opened with.
// Errors wrap ErrNoProof or are those of the context.
func Unsat(ctx context.Context, k *kernel.Problem, full *prog.Program, p *spec.Problem, opt Options) (*cert.Proof, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	if opt.Memory <= 0 {
		opt.Memory = 4 << 30
	}
	b, err := cert.NewBuilder(k)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	v := &prover{ctx: ctx, b: b, p: p, opt: opt, full: full}
	for i := range full.Nodes {
		if full.Nodes[i].Kind == prog.Relu {
			v.relus = append(v.relus, i)
		}
	}
	if err := v.match(k); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoProof, err)
	}
	boxes, _ := k.Cases()
	byBox := map[int][]int{}
	var order []int
	for c, box := range boxes {
		if box < 0 {
			continue
		}
		if byBox[box] == nil {
			order = append(order, box)
		}
		byBox[box] = append(byBox[box], c)
	}
	for _, box := range order {
		if err := guarded(func() error { return v.box(box, byBox[box]) }); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, fmt.Errorf("%w: %w", ErrNoProof, err)
		}
	}
	return b.Proof()
}

// guarded calls f and turns a panic into an error: a defect here may lose a proof, and nothing else.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a defect of the prover: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}

// prover makes the proof of one question.
type prover struct {
	ctx   context.Context
	b     *cert.Builder
	p     *spec.Problem
	opt   Options
	full  *prog.Program
	relus []int // nodes of full, in the kernel's order
	at    []int // per case of the kernel, the case of p, −1 for none
	net   *relax.Net
	macs  int64 // multiply-adds of a pass
	pool  *relax.Pool
}

// match pairs the kernel's cases and Relus with those of p and full.
func (v *prover) match(k *kernel.Problem) error {
	boxes, rows := k.Cases()
	n := 0
	for c, box := range boxes {
		v.at = append(v.at, -1)
		if box < 0 {
			continue
		}
		if n < len(v.p.Cases) && len(v.p.Cases[n].Rows) != rows[c] {
			return fmt.Errorf("case %d has %d rows here and %d for the kernel", n, len(v.p.Cases[n].Rows), rows[c])
		}
		v.at[c] = n
		n++
	}
	if n != len(v.p.Cases) {
		return fmt.Errorf("the question has %d cases here and %d for the kernel", len(v.p.Cases), n)
	}
	sizes := v.b.Sizes()
	if len(sizes) != len(v.relus) {
		return fmt.Errorf("the network has %d Relus here and %d for the kernel", len(v.relus), len(sizes))
	}
	for i, r := range v.relus {
		if v.full.Nodes[r].N != sizes[i] {
			return fmt.Errorf("relu %d has %d elements here and %d for the kernel", i, v.full.Nodes[r].N, sizes[i])
		}
	}
	return nil
}

// box proves the cases of a box.
func (v *prover) box(box int, cases []int) error {
	sb := &v.p.Boxes[v.p.Cases[v.at[cases[0]]].Box]
	free := 0
	rb := relax.Box{Lo: sb.Lower, Hi: sb.Upper}
	for i := range rb.Lo {
		if rb.Varies(i) {
			free++
		}
	}
	cases, err := v.simple(cases)
	if err != nil || len(cases) == 0 {
		return err
	}
	if free <= maxSplitInputs && !v.opt.relus {
		for _, c := range cases {
			if err := v.b.Bisect(v.ctx, c, math.MaxInt); err != nil {
				return err
			}
		}
		return nil
	}
	// Interval bounds before the first Relu are exact.
	for _, share := range []float64{0.05, 0.1, 0.2, 0.4, 1} {
		if n, err := v.b.Ranked(box, cases, 1, share); err != nil {
			return err
		} else if n == 0 {
			break
		}
		if cases, err = v.simple(cases); err != nil || len(cases) == 0 {
			return err
		}
		if cases, err = v.split(box, rb, cases, glanceWork); err != nil || len(cases) == 0 {
			return err
		}
	}
	if cases, err = v.split(box, rb, cases, plainWork); err != nil || len(cases) == 0 {
		return err
	}
	for _, c := range cases {
		n, err := v.lean(box, rb, c)
		if err != nil {
			return err
		}
		v.b.SetCase(c, n)
	}
	return nil
}

// simple proves the cases that one leaf without a search refutes and returns the others.
func (v *prover) simple(cases []int) (rest []int, err error) {
	for _, c := range cases {
		done := false
		n := len(v.p.Cases[v.at[c]].Rows)
		for r := 0; r < n && !done; r++ {
			plan := &cert.Plan{Lambda: make([]float64, n), Plain: true}
			plan.Lambda[r] = 1
			if err = v.b.Case(c, plan); err != nil && !errors.Is(err, cert.ErrWeak) {
				return nil, err
			}
			done = err == nil
		}
		if !done {
			rest = append(rest, c)
		}
	}
	return rest, nil
}

const (
	// glanceWork is the number of passes through the network that ReLU splitting may take before more elements are bounded: enough for
	// the ascent at its root. Before branches get bounds of their own, whose proofs cost some hundred times as much, it is plainWork.
	glanceWork = 1
	plainWork  = 1e5
)

// split proves cases by splitting ReLUs on fixed bounds and returns the others.
func (v *prover) split(box int, rb relax.Box, cases []int, work int64) (rest []int, err error) {
	v.prepare()
	for _, c := range cases {
		n, err := v.plain(v.b.Root(box), rb, c, work)
		switch {
		case err == nil:
			v.b.SetCase(c, n)
		case errors.Is(err, errPlain) || errors.Is(err, cert.ErrWeak):
			rest = append(rest, c)
		default:
			return nil, err
		}
	}
	return rest, nil
}

var errPlain = errors.New("the plain search ends")

// prepare makes what searches in floats need.
func (v *prover) prepare() {
	if v.net == nil {
		v.net = relax.NewNet(v.full)
		v.pool = relax.NewPool(v.net, v.opt.Workers)
		for _, w := range v.pool.W {
			w.Stop = func() bool { return v.ctx.Err() != nil }
		}
		v.macs = 1
		for k := range v.full.Nodes {
			for _, t := range v.full.Nodes[k].Terms {
				out, in := t.Map.Dims()
				row, col := t.Map.Fan()
				v.macs += min(int64(out)*int64(row), int64(in)*int64(col))
			}
		}
	}
}

// plain proves a case by splitting ReLUs on fixed bounds.
func (v *prover) plain(kb *kernel.Bounds, rb relax.Box, c int, work int64) (*cert.Node, error) {
	if v.opt.lean {
		return nil, errPlain
	}
	q := &bab.Query{Net: v.net, Box: rb, Cases: v.p.Cases[v.at[c] : v.at[c]+1]}
	cfg := &bab.Config{Pool: v.pool, Memory: v.opt.Memory, Work: work * v.macs, Trees: make([]*bab.Tree, 1)}
	out := bab.ReluSplit(v.ctx, q, v.frame(kb, rb, nil, nil), []int32{0}, cfg)
	if out.Status != bab.Closed || cfg.Trees[0] == nil {
		return nil, fmt.Errorf("%w after %d branches: %s", errPlain, out.Branches, out.Reason)
	}
	index := map[int]int{}
	for r, k := range v.relus {
		index[k] = r
	}
	return v.b.Tree(kb, c, plan(cfg.Trees[0], len(q.Cases[0].Rows), index))
}

// frame makes a frame over rb of bounds near the kernel's. Elements that splits have decided get their bounds from wide: they are open
// in the frame.
func (v *prover) frame(kb *kernel.Bounds, rb relax.Box, splits []relax.Split, wide map[relax.Split][2]float64) *relax.Frame {
	b := v.net.NewBounds()
	v.net.IBP(rb, b)
	for r, k := range v.relus {
		src := v.full.Nodes[k].Src
		for j := range b.L[k] {
			lo, hi := kb.Interval(r, j)
			b.L[src][j], b.U[src][j] = max(b.L[src][j], lo), min(b.U[src][j], hi)
		}
	}
	for _, s := range splits {
		src, ends := v.full.Nodes[s.Act].Src, wide[relax.Split{Act: s.Act, Elem: s.Elem}]
		b.L[src][s.Elem], b.U[src][s.Elem] = ends[0], ends[1]
	}
	for _, k := range v.relus {
		src := v.full.Nodes[k].Src
		for j := range b.L[k] {
			b.L[k][j], b.U[k][j] = max(b.L[src][j], 0), max(b.U[src][j], 0)
		}
	}
	return v.net.NewFrame(rb, b, v.net.NewScale(b))
}

// plan turns a recorded tree into a plan.
func plan(t *bab.Tree, rows int, index map[int]int) *cert.Plan {
	if t.Act == 0 {
		p := &cert.Plan{Lambda: make([]float64, rows), Nu: t.Nu}
		p.Lambda[t.Row] = 1
		return p
	}
	return &cert.Plan{Relu: index[t.Act], Elem: t.Elem, Child: [2]*cert.Plan{plan(t.Kids[0], rows, index), plan(t.Kids[1], rows, index)}}
}
