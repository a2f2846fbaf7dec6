package kernel

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"time"
)

// Magic starts every certificate.
const Magic = "NNCERT/1"

// MaxFile bounds the size of an uncompressed file.
const MaxFile = 1 << 30

// A Problem is a network and a question about it.
type Problem struct {
	net    *network
	query  *query
	boxes  []*box
	cases  []conjunct
	hashes [2][sha256.Size]byte
	// Limit bounds the work of one Check in products of integers; 0 stands for 2^42.
	Limit int64
}

// A Result says what became of a proof.
type Result struct {
	Accepted bool
	Claim    string // "unsat" or "sat", once the proof said so
	Case     int    // that a witness satisfies
	Reason   string // of a refusal: what and where
	Stats
	Cases, Bytes int
	Time         time.Duration
}

// String is one line for people.
func (r Result) String() string {
	switch {
	case !r.Accepted:
		return fmt.Sprintf("refused %s: %s", r.Claim, r.Reason)
	case r.Claim == "sat":
		return fmt.Sprintf("accepted sat: case %d, %v", r.Case, r.Time.Round(time.Microsecond))
	}
	return fmt.Sprintf("accepted unsat: %d cases, %d leaves, %d splits, %d lemmas, %d bytes, %d products, %v", r.Cases, r.Leaves, r.Splits,
		r.Lemmas, r.Bytes, r.Work, r.Time.Round(time.Microsecond))
}

// Open reads a model (ONNX) and a question (VNN-LIB 1.0), uncompressed. It never panics.
func Open(model, question []byte) (p *Problem, err error) {
	defer refuse(&err)
	p = &Problem{hashes: [2][sha256.Size]byte{sha256.Sum256(model), sha256.Sum256(question)}}
	if p.net, err = parseModel(model); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if p.query, err = parseQuery(question); err != nil {
		return nil, err
	}
	if in, out := p.net.nodes[0].n, p.net.nodes[p.net.output].n; p.query.dim != [2]int{in, out} {
		return nil, fmt.Errorf("the question is about %d inputs and %d outputs, the model has %d and %d", p.query.dim[0], p.query.dim[1], in, out)
	}
	if p.boxes, p.cases, err = p.query.split(p.net.output); err != nil {
		return nil, err
	}
	p.query.cases = nil
	return p, nil
}

// refuse turns a panic into an error.
func refuse(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("defect of the checker: %v", r)
	}
}

// Check accepts or refuses a certificate or a witness, uncompressed. It never panics.
func (p *Problem) Check(proof []byte) (res Result) {
	start := time.Now()
	res = Result{Bytes: len(proof), Cases: len(p.cases)}
	var err error
	if bytes.HasPrefix(proof, []byte("sat")) {
		res.Claim = "sat"
		res.Case, err = p.witness(proof)
	} else {
		res.Claim = "unsat"
		res.Stats, err = p.certificate(proof)
	}
	if err != nil {
		res.Reason = err.Error()
	} else {
		res.Accepted = true
	}
	res.Time = time.Since(start)
	return res
}

func (p *Problem) witness(text []byte) (at int, err error) {
	defer refuse(&err)
	return p.checkWitness(text)
}

// certificate checks an NNCERT/1 file: header, bounds of every box, a tree for every case that is not empty.
func (p *Problem) certificate(proof []byte) (s Stats, err error) {
	defer refuse(&err)
	w := p.walker(proof)
	head, err := w.in.take(len(Magic) + 2*sha256.Size + 1)
	if err != nil || string(head[:len(Magic)]) != Magic {
		return s, errors.New("this is no certificate and no witness")
	}
	for i, name := range []string{"model", "question"} {
		from := len(Magic) + i*sha256.Size
		if !bytes.Equal(head[from:from+sha256.Size], p.hashes[i][:]) {
			return s, fmt.Errorf("the certificate is for another %s", name)
		}
	}
	if head[len(head)-1] != 0 {
		return s, errors.New("only real arithmetic is checked")
	}
	defer func() { s = w.stats; s.Work = w.eval.work }()
	roots := make([]*Bounds, len(p.boxes))
	for i := range roots {
		if roots[i], err = p.Root(i); err != nil {
			return s, err
		}
		w.eval.work += 2 * int64(p.net.macs)
		if roots[i], err = w.bounds(roots[i], nil, 0, len(roots)*p.net.size); err != nil {
			return s, fmt.Errorf("bounds of box %d: %w", i, err)
		}
	}
	for i := range p.cases {
		if p.cases[i].box < 0 {
			continue
		}
		if _, err := w.tree(roots[p.cases[i].box], &goal{rows: p.cases[i].rows}, 0, len(roots)*p.net.size); err != nil {
			return s, fmt.Errorf("case %d: %w", i, err)
		}
	}
	if w.in.at != len(proof) {
		return s, w.in.fail("text after the end of the proof")
	}
	return s, nil
}

func (p *Problem) walker(data []byte) *walker {
	w := &walker{in: &reader{data: data}, eval: newEvaluator(p.net), limit: p.Limit}
	if w.limit == 0 {
		w.limit = 1 << 42
	}
	return w
}

// ReadFile reads a file, and through gzip when it is compressed.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(data)); err == nil {
			data, err = io.ReadAll(io.LimitReader(z, MaxFile+1))
		}
	}
	if err == nil && len(data) > MaxFile {
		err = errors.New("more than 1 GiB")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// Root returns the interval bounds over a box.
func (p *Problem) Root(box int) (b *Bounds, err error) {
	defer refuse(&err)
	return p.net.root(p.boxes[box].lo, p.boxes[box].hi)
}

// Sizes returns the number of elements of every Relu.
func (p *Problem) Sizes() (n []int) {
	for _, k := range p.net.relus {
		n = append(n, p.net.nodes[k].n)
	}
	return n
}

// Cases returns the box of every case, −1 for cases that are empty, and the number of rows.
func (p *Problem) Cases() (boxes, rows []int) {
	for _, c := range p.cases {
		boxes, rows = append(boxes, c.box), append(rows, len(c.rows))
	}
	return boxes, rows
}

// Hashes returns the SHA-256 of model and question.
func (p *Problem) Hashes() (model, question [sha256.Size]byte) { return p.hashes[0], p.hashes[1] }

// Interval returns numbers near the bounds before element j of Relu r, or of input j for r = −1. They serve heuristics.
func (b *Bounds) Interval(r, j int) (lo, hi float64) {
	k := 0
	if r >= 0 {
		k = b.fr.net.nodes[b.fr.net.relus[r]].src
	}
	return math.Ldexp(float64(b.lo[k][j]), -b.fr.exp[k]), math.Ldexp(float64(b.hi[k][j]), -b.fr.exp[k])
}

// IsEmpty reports whether the bounds contradict each other.
func (b *Bounds) IsEmpty() bool { return b.empty }

// SplitRelu returns the bounds of one child of a split: the element before Relu r is ≤ 0, or ≥ 0 if active.
func (b *Bounds) SplitRelu(r, j int, active bool) *Bounds { return b.splitRelu(r, j, active) }

// SplitInput returns the bounds of one child of a split of input d at num·2^-exp.
func (b *Bounds) SplitInput(d int, num int64, exp int, above bool) (*Bounds, error) {
	return b.splitInput(d, scaled(big.NewInt(num), exp), above)
}

// A Target names what a tree is for: Case, or if Relu ≥ 0 the bound of one side of an element, in Case or, if that is −1,
// without rows.
type Target struct {
	Case             int
	Relu, Elem, Side int
}

func (p *Problem) goal(t Target) *goal {
	g := &goal{}
	if t.Case >= 0 {
		g.rows = p.cases[t.Case].rows
	}
	if t.Relu >= 0 {
		g.bound = sideOf(p.net.nodes[p.net.relus[t.Relu]].src, t.Elem, t.Side)
	}
	return g
}

// A Session lets a writer of proofs ask what pieces prove. It is not safe for concurrent use.
type Session struct {
	p *Problem
	e *evaluator
}

// NewSession returns a session on p.
func (p *Problem) NewSession() *Session { return &Session{p, newEvaluator(p.net)} }

// Tree returns what the encoded tree proves for t on the set that b describes: a lower bound of the named side (of minus
// the element for the upper one), nil when all leaves are empty; for a case just no error.
func (s *Session) Tree(b *Bounds, t Target, data []byte) (v *big.Rat, err error) {
	defer refuse(&err)
	w := s.p.walker(data)
	s.e.work, w.eval = 0, s.e
	if v, err = w.tree(b, s.p.goal(t), 0, 0); err == nil && w.in.at != len(data) {
		err = w.in.fail("text after the end")
	}
	return v, err
}

// Bounds returns b narrowed by encoded bounds, which may use the rows of case c (−1: none).
func (s *Session) Bounds(b *Bounds, c int, data []byte) (nb *Bounds, err error) {
	defer refuse(&err)
	w := s.p.walker(data)
	s.e.work, w.eval = 0, s.e
	return w.bounds(b, s.p.goal(Target{Case: c, Relu: -1}).rows, 0, 0)
}
