package kernel

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Magic starts every certificate.
const Magic = "NNCERT/1"

// A Problem is a network and a question about it.
type Problem struct {
	net    *network
	query  *query
	boxes  []*box
	cases  []conjunct
	hashes [2][sha256.Size]byte
	// Semantics is that of witnesses, and of the proofs which a Session helps to write: 0 for real arithmetic, 1 for every binary32 execution. What
	// Check checks is said by the certificate.
	Semantics byte
	// Limit bounds the work of one Check in products of integers; 0 stands for 2^42.
	Limit int64
}

// A Result says what became of a proof.
type Result struct {
	Accepted bool
	Claim    string // "unsat" or "sat"
	Float32  bool   // "unsat" is about every binary32 execution, and about real arithmetic
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
	about := "real arithmetic"
	if r.Float32 {
		about = "every binary32 execution, and real arithmetic"
	}
	return fmt.Sprintf("accepted unsat (%s): %d cases, %d leaves, %d splits, %d lemmas, %d bytes, %d products, %v",
		about, r.Cases, r.Leaves, r.Splits, r.Lemmas, r.Bytes, r.Work, r.Time.Round(time.Microsecond))
}

// Open reads a model (ONNX) and a question (VNN-LIB 1.0), uncompressed. It never panics.
func Open(model, question []byte) (p *Problem, err error) {
	defer door(&err)
	p = &Problem{hashes: [2][sha256.Size]byte{sha256.Sum256(model), sha256.Sum256(question)}, net: parseModel(model)}
	p.query = parseQuery(question, p.net.output)
	in, out := p.net.nodes[0].n, p.net.nodes[p.net.output].n
	need(p.query.dim == [2]int{in, out}, "the question is about %d inputs and outputs, the model has %d and %d",
		p.query.dim, in, out)
	p.boxes, p.cases = p.query.split()
	p.query.cases = nil
	return p, nil
}

// Check accepts or refuses a certificate or a witness, uncompressed. It never panics.
func (p *Problem) Check(proof []byte) (res Result) {
	start, err := time.Now(), error(nil)
	res = Result{Claim: "unsat", Bytes: len(proof), Cases: len(p.cases)}
	func() {
		defer door(&err)
		if bytes.HasPrefix(proof, []byte("sat")) {
			res.Claim = "sat"
			res.Case = p.checkWitness(proof)
		} else {
			res.Stats, res.Float32 = p.certificate(proof)
		}
		res.Accepted = true
	}()
	if err != nil {
		res.Accepted, res.Reason = false, err.Error()
	}
	res.Time = time.Since(start)
	return res
}

// certificate checks an NNCERT/1 file: header, bounds of every box, a tree for every case that is not empty. It returns whether the
// proof is about binary32 executions.
func (p *Problem) certificate(proof []byte) (s Stats, float32 bool) {
	limit := p.Limit
	if limit == 0 {
		limit = 1 << 42
	}
	w := &walker{in: &reader{data: proof}, eval: newEvaluator(p.net, &budget{limit: limit})}
	need(len(proof) > len(Magic) && string(w.in.take(len(Magic))) == Magic, "this is no certificate and no witness")
	need(bytes.Equal(w.in.take(sha256.Size), p.hashes[0][:]), "the certificate is for another model")
	need(bytes.Equal(w.in.take(sha256.Size), p.hashes[1][:]), "the certificate is for another question")
	semantics := w.in.take(1)[0]
	need(semantics <= 1, "semantics %d are not checked", semantics)
	roots, live := make([]*Bounds, len(p.boxes)), len(p.boxes)*p.net.size
	need(live <= maxLive, "too many boxes for a network of this size")
	for i, b := range p.boxes {
		w.eval.spend(2 * (p.net.size + p.net.macs))
		roots[i] = w.bounds(p.net.root(b.lo, b.hi, semantics == 1), nil, 0, live)
	}
	for _, c := range p.cases {
		if c.box >= 0 {
			for _, r := range c.rows {
				w.eval.spend(len(r.seeds))
			}
			w.tree(roots[c.box], refute(c.rows), 0, live)
		}
	}
	need(w.in.at == len(proof), "text after the end of the proof at byte %d", w.in.at)
	w.stats.Work = w.eval.budget.work
	return w.stats, semantics == 1
}

// ReadFile reads a file of at most 1 GiB, and through gzip when it is compressed.
func ReadFile(path string) ([]byte, error) {
	const most = 1 << 30
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(data)); err == nil {
			data, err = io.ReadAll(io.LimitReader(z, most+1))
		}
	}
	if err == nil && len(data) > most {
		err = errors.New("more than 1 GiB")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}
