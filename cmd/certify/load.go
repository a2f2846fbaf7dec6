package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spai-project/certify/nn"
	"github.com/spai-project/certify/nn/onnx"
	"github.com/spai-project/certify/nn/op"
	"github.com/spai-project/certify/nn/spec"
)

// This file is the only one that knows how models and queries are read.

// loadModel reads a network.
func loadModel(path string) (*nn.Graph, error) {
	g, err := onnx.ReadFile(path)
	if err != nil {
		return nil, modelError(path, err)
	}
	return g, nil
}

// modelError says what is wrong with a model and what to do about it.
func modelError(path string, err error) error {
	var (
		format *onnx.FormatError
		limit  *onnx.LimitError
		uns    *nn.UnsupportedError
	)
	switch {
	case errors.As(err, &uns):
		f := unsupportedOps(err, uns.Nodes)
		f.msg = path + ": " + f.msg
		return f
	case errors.As(err, &limit):
		return &failure{code: exitResources, kind: "model", msg: inFile(path, err).Error(), err: err}
	case errors.As(err, &format):
		return &failure{code: exitMalformed, kind: "model", msg: inFile(path, err).Error(), err: err,
			hint: "check that the file is whole, and an ONNX model at all; if so, export it again"}
	}
	return inFile(path, err)
}

// loadQuery reads a query; g, when not nil, is the network it asks about.
func loadQuery(path string, g *nn.Graph) (*spec.Problem, error) {
	var sig *spec.Signature
	if g != nil {
		sig = signature(g)
	}
	p, err := spec.ReadFile(path, sig)
	if err != nil {
		return nil, inFile(path, err)
	}
	return p, nil
}

// typeNames spells ONNX element types as VNN-LIB does.
var typeNames = map[op.DType]string{
	op.Float16: "float16", op.Float32: "float32", op.Float64: "float64", op.Bool: "bool",
	op.Uint8: "uint8", op.Int8: "int8", op.Int32: "int32", op.Int64: "int64",
}

// signature returns what a query about g must declare.
func signature(g *nn.Graph) *spec.Signature {
	ports := func(ps []nn.Port) (out []spec.Port) {
		for _, p := range ps {
			out = append(out, spec.Port{Name: p.Name, Shape: p.Shape, Type: typeNames[p.Type]})
		}
		return out
	}
	return &spec.Signature{Inputs: ports(g.Inputs), Outputs: ports(g.Outputs)}
}

// inFile makes sure the message names the file.
func inFile(path string, err error) error {
	if strings.Contains(err.Error(), path) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// locate returns path, or path with .gz appended when only that exists: suites are stored compressed.
func locate(path string) (string, error) {
	if st, err := os.Stat(path); err == nil {
		if st.IsDir() {
			return "", malformedf("", "%s is a folder, not a model or query", path)
		}
		return path, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if _, err := os.Stat(path + ".gz"); err == nil {
		return path + ".gz", nil
	}
	return "", malformedf("check the path; MODEL.onnx, MODEL.onnx.gz, QUERY.vnnlib and QUERY.vnnlib.gz are read", "%s does not exist", path)
}

// isQuery tells queries from models by their contents: a query is text that starts with a parenthesis or a comment.
func isQuery(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	b := bufio.NewReader(f)
	if magic, _ := b.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return false, malformedf("the file is truncated or not gzip", "%s: %v", path, err)
		}
		b = bufio.NewReader(z)
	}
	for {
		c, err := b.ReadByte()
		if err == io.EOF {
			return false, malformedf("", "%s is empty", path)
		}
		if err != nil {
			return false, malformedf("the file is truncated or damaged", "%s: %v", path, err)
		}
		switch c {
		case ' ', '\t', '\r', '\n', 0xef, 0xbb, 0xbf:
			continue
		}
		return c == '(' || c == ';', nil
	}
}
