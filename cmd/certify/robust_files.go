package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"time"

	"github.com/spai-project/certify/nn/data"
	"github.com/spai-project/certify/nn/spec"
	"github.com/spai-project/certify/verify"
	"github.com/spai-project/certify/verify/kernel"
	"github.com/spai-project/certify/verify/prove"
	"github.com/spai-project/certify/verify/robust"
)

// A ballProof is a certificate that a ball holds, with the query it is about.
type ballProof struct {
	data, query   []byte
	leaves        int
	made, checked time.Duration
	why           string // there is none
}

// queryFile is where the query of a certificate is written.
func queryFile(proof string) string { return proof + ".vnnlib" }

// proveBall makes a certificate and has the kernel check it. The query is read by the kernel from the very bytes that are
// written.
func (a *app) proveBall(ctx context.Context, j *ballJob, b *robust.Ball) *ballProof {
	p := &ballProof{}
	if b.Verdict == robust.Violated {
		p.why = "a counterexample needs none; --out keeps it"
		return p
	}
	if b.Verdict != robust.Holds {
		p.why = "nothing was proved"
		return p
	}
	if j.m.Cut {
		p.why = "the answer is about the scores below the file's Softmax, and the kernel reads the whole file"
		return p
	}
	if err := p.make(ctx, j, b); err != nil {
		p.data, p.why = nil, err.Error()
	}
	return p
}

func (p *ballProof) make(ctx context.Context, j *ballJob, b *robust.Ball) error {
	path, err := locate(j.path)
	if err != nil {
		return err
	}
	model, err := kernel.ReadFile(path)
	if err != nil {
		return err
	}
	var q bytes.Buffer
	if err := spec.WriteVNNLIB(&q, b.Problem); err != nil {
		return err
	}
	p.query = q.Bytes()
	k, err := kernel.Open(model, p.query)
	if err != nil {
		return fmt.Errorf("the kernel cannot read this: %w; docs/design/0009-certificates.md says what it reads", err)
	}
	if j.m.Semantics != verify.Real {
		k.Semantics = 1
	}
	full, res, err := verify.Lower(j.m.Graph, j.m.Semantics)
	if err != nil || res != nil {
		return errors.Join(err, errors.New("the network cannot be lowered"))
	}
	start := time.Now()
	proof, err := prove.Unsat(ctx, k, full, b.Problem, prove.Options{Workers: j.opt.Workers, Memory: j.opt.Memory})
	if err != nil {
		return err
	}
	p.made = time.Since(start)
	p.data = proof.Encode()
	v := k.Check(p.data)
	p.leaves, p.checked = v.Leaves, v.Time
	if !v.Accepted {
		return errors.New("the kernel refuses the certificate, a defect of certify, please report it: " + v.Reason)
	}
	return nil
}

func (p *ballProof) write(path string) error {
	if err := writeBytes(queryFile(path), p.query); err != nil {
		return err
	}
	return writeBytes(path, p.data)
}

func writeBytes(path string, b []byte) error {
	return writeAtomic(path, func(w *os.File) error { _, err := w.Write(b); return err })
}

// write puts the counterexample into the folder that was asked for and returns the names of the files.
func (j *ballJob) write(b *robust.Ball) (names []string, err error) {
	if j.out == "" || b.Witness == nil {
		return nil, nil
	}
	if err := os.MkdirAll(j.out, 0o777); err != nil {
		return nil, err
	}
	put := func(name string, write func(*bytes.Buffer) error) {
		var buf bytes.Buffer
		if err == nil {
			err = write(&buf)
		}
		if path := filepath.Join(j.out, name); err == nil {
			if err = writeBytes(path, buf.Bytes()); err == nil {
				names = append(names, path)
			}
		}
	}
	w, shape := b.Witness, j.it.set.Shape
	put("cex.npy", func(buf *bytes.Buffer) error { return data.WriteNPY(buf, append([]int{1}, shape...), narrow(w.X)) })
	put("cex.png", func(buf *bytes.Buffer) error {
		sheet, err := j.it.sheet(j.x, w.X)
		if err != nil {
			return err
		}
		return png.Encode(buf, sheet)
	})
	put("cex.vnnlib", func(buf *bytes.Buffer) error {
		y, err := j.m.Outputs(w.X)
		if err != nil {
			return err
		}
		buf.WriteString("sat\n")
		return spec.WriteCounterexample(buf, w.X, y)
	})
	if j.linf() {
		put("ball.vnnlib", func(buf *bytes.Buffer) error { return spec.WriteVNNLIB(buf, b.Problem) })
	}
	return names, err
}

// sheet is a row of pictures: original, difference in full colour at its largest, adversarial.
func (it *items) sheet(x, adversarial []float64) (image.Image, error) {
	lo, hi := it.colours(x, adversarial)
	row, err := pictures(it.set, x, adversarial, lo, hi)
	if err != nil {
		return nil, err
	}
	return contactSheet([][]image.Image{row})
}

// contactSheet puts rows of pictures together, small ones enlarged.
func contactSheet(rows [][]image.Image) (image.Image, error) {
	return data.Grid(rows, max(1, 112/max(1, rows[0][0].Bounds().Dx())))
}

// colours are the values that are drawn black and white: the valid range, else those of the items.
func (it *items) colours(items ...[]float64) (lo, hi float64) {
	d := it.domain
	if len(d.Lower) > 0 {
		lo, hi = d.Lower[0], d.Upper[0]
		for i := range d.Lower {
			lo, hi = min(lo, d.Lower[i]), max(hi, d.Upper[i])
		}
		return lo, hi
	}
	lo, hi = items[0][0], items[0][0]
	for _, x := range items {
		for _, v := range x {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if lo == hi {
		hi = lo + 1
	}
	return lo, hi
}

func narrow(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}
