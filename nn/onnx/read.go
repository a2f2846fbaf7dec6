package onnx

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spai-project/certify/nn"
)

// Options steer reading. The zero value works.
type Options struct {
	// MaxBytes bounds the decompressed size of a file; 0 means 2 GiB, the most a protocol buffer can be.
	MaxBytes int64
	// NNet steers reading .nnet files.
	NNet NNetOptions
}

func (o Options) maxBytes() int64 {
	if o.MaxBytes <= 0 {
		return 2 << 30
	}
	return o.MaxBytes
}

// ReadFile reads the network in a file with default options; see Options.ReadFile.
func ReadFile(path string) (*nn.Graph, error) { return Options{}.ReadFile(path) }

// Read reads an ONNX network with default options; see Options.Read.
func Read(data []byte) (*nn.Graph, error) { return Options{}.Read(data) }

// ReadFile reads the network in an .onnx or .nnet file, gzipped or not. When path does not exist but path + ".gz" does,
// that is read. Errors are those of Read, or of the file system.
func (o Options) ReadFile(path string) (*nn.Graph, error) {
	data, err := o.load(path)
	if errors.Is(err, fs.ErrNotExist) {
		if packed, err2 := o.load(path + ".gz"); err2 == nil || !errors.Is(err2, fs.ErrNotExist) {
			data, err = packed, err2
		}
	}
	if err != nil {
		return nil, err
	}
	var g *nn.Graph
	if strings.HasSuffix(strings.TrimSuffix(path, ".gz"), ".nnet") {
		g, err = o.ReadNNet(data)
	} else {
		g, err = o.Read(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

func (o Options) load(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	if info.Size() > o.maxBytes() {
		return nil, &LimitError{What: path, Limit: o.maxBytes()}
	}
	data, err := readAll(f, info.Size(), o.maxBytes())
	if err != nil {
		return nil, fmt.Errorf("onnx: %s: %w", path, err)
	}
	return data, nil
}

// readAll reads r to its end but at most limit bytes; hint, which need not be true, is the expected size.
func readAll(r io.Reader, hint, limit int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(max(hint, 0), limit)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return nil, err
	}
	if int64(b.Len()) > limit {
		return nil, &LimitError{What: "decompressed size", Limit: limit}
	}
	return b.Bytes(), nil
}

// Read reads an ONNX network; gzipped data are recognised by their magic bytes. A malformed file is a *FormatError, one that
// is too large a *LimitError, one that uses what is not supported a *nn.UnsupportedError. Inputs that have an initialiser
// are constants (in IR 3 all are; later it is a default that Read does not let callers replace). Unknown dimensions are 1.
// Read does not keep data.
func (o Options) Read(data []byte) (*nn.Graph, error) {
	data, err := o.unpack(data)
	if err != nil {
		return nil, err
	}
	sum := make(chan string, 1) // hashing and decoding take about as long, and both only read
	go func() {
		h := sha256.Sum256(data)
		sum <- hex.EncodeToString(h[:])
	}()
	d, err := decodeModel(data)
	hash := <-sum
	if err != nil {
		return nil, err
	}
	d.Hash = hash
	return build(d)
}

// build makes the graph and turns what nn finds malformed into a FormatError.
func build(d *nn.Draft) (*nn.Graph, error) {
	g, err := nn.Build(d)
	var bad *nn.GraphError
	if errors.As(err, &bad) {
		return nil, &FormatError{Offset: -1, What: bad.Node, Why: bad.Why, Err: bad}
	}
	return g, err
}

// unpack undoes gzip if data are gzipped.
func (o Options) unpack(data []byte) ([]byte, error) {
	if len(data) < 2 || data[0] != 0x1f || data[1] != 0x8b {
		if int64(len(data)) > o.maxBytes() {
			return nil, &LimitError{What: "size", Limit: o.maxBytes()}
		}
		return data, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, &FormatError{Offset: 0, What: "gzip header", Why: err.Error(), Err: err}
	}
	out, err := readAll(z, packedHint(data), o.maxBytes())
	var limit *LimitError
	if err != nil && !errors.As(err, &limit) {
		return nil, &FormatError{Offset: -1, What: "gzip data", Why: err.Error(), Err: err}
	}
	return out, err
}

// packedHint returns the decompressed size the gzip trailer claims, as far as deflate (1032 : 1 at best) can deliver it.
func packedHint(data []byte) int64 {
	if len(data) < 4 {
		return 0
	}
	size := int64(binary.LittleEndian.Uint32(data[len(data)-4:]))
	return min(size, 1032*int64(len(data)))
}
