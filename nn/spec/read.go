package spec

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
)

// ReadFile reads a VNN-LIB query, 1.0 or 2.0, plain or gzip-compressed (recognised by content). When path does not exist,
// path+".gz" is tried. A query that does not fit shape, or is malformed, gives a *SyntaxError (wrapping ErrMismatch in the
// first case), one that uses parts of the language that are not decided an *UnsupportedError. A nil shape takes what the
// file declares.
func ReadFile(path string, shape *Signature) (*Problem, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if gz, err2 := os.Open(path + ".gz"); err2 == nil {
			f, err = gz, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	defer f.Close()
	p, err := Read(path, f, shape)
	if loc := location(err); loc != nil && loc.Source == "" && loc.Col > 0 {
		if _, err := f.Seek(0, io.SeekStart); err == nil {
			fetchLine(f, loc)
		}
	}
	return p, err
}

// Read reads a query from r; name stands for the file in errors. See ReadFile.
func Read(name string, r io.Reader, shape *Signature) (*Problem, error) {
	return read(name, r, shape, defaultLimits)
}

func read(name string, r io.Reader, shape *Signature, lim limits) (*Problem, error) {
	src, err := plainText(r)
	if err != nil {
		return nil, fmt.Errorf("spec: %s: %w", name, err)
	}
	src.left = lim.bytes
	p := &parser{lx: newLexer(src), lim: lim, nums: newNumbers(), sig: shape}
	err = p.parse()
	p.lx.buf = nil
	var out *Problem
	if err == nil {
		out, err = p.expand()
	}
	if err == nil {
		out.Hash = hex.EncodeToString(src.sum.Sum(nil))
		return out, nil
	}
	if loc := location(err); loc != nil {
		loc.File = name
		return nil, err
	}
	return nil, fmt.Errorf("spec: %s: %w", name, err)
}

// location returns where a SyntaxError or UnsupportedError points, nil for other errors.
func location(err error) *Location {
	if e, ok := errors.AsType[*SyntaxError](err); ok {
		return &e.Location
	}
	if e, ok := errors.AsType[*UnsupportedError](err); ok {
		return &e.Location
	}
	return nil
}

// A source is the decompressed text: hashed as it is read and limited in length.
type source struct {
	r    io.Reader
	sum  hash.Hash
	left int64
}

// plainText looks for gzip's magic bytes and undoes the compression.
func plainText(r io.Reader) (*source, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	magic, err := b.Peek(2)
	if err != nil && err != io.EOF {
		return nil, err
	}
	s := &source{r: b, sum: sha256.New()}
	if bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if s.r, err = gzip.NewReader(b); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Read implements io.Reader; reaching the limit is an error.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if s.left -= int64(n); s.left < 0 {
		return 0, errors.New("the query is too long (more than 1 GiB after decompression)")
	}
	s.sum.Write(p[:n])
	return n, err
}

// fetchLine fills loc.Source from the file; a failure leaves it empty.
func fetchLine(r io.Reader, loc *Location) {
	src, err := plainText(r)
	if err != nil {
		return
	}
	src.left = defaultLimits.bytes
	b := bufio.NewReaderSize(src, 1<<16)
	for line := 1; line < loc.Line; {
		part, err := b.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
		if bytes.HasSuffix(part, []byte{'\n'}) {
			line++
		}
	}
	skip := max(0, loc.Col-1-history)
	if n, err := b.Discard(skip); err != nil || n < skip {
		return
	}
	piece, _ := b.Peek(2 * history)
	if i := bytes.IndexByte(piece, '\n'); i >= 0 {
		piece = piece[:i]
	}
	loc.mark(piece, loc.Col-1-skip, loc.width, skip > 0, len(piece) == 2*history)
}
