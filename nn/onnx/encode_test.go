package onnx_test

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The functions below encode small ONNX files piece by piece, independently of Write, so that tests can also make wrong ones.

type pb []byte

func (b pb) int(id protowire.Number, v int64) pb {
	return protowire.AppendVarint(protowire.AppendTag(b, id, protowire.VarintType), uint64(v))
}

func (b pb) bytes(id protowire.Number, v []byte) pb {
	return protowire.AppendBytes(protowire.AppendTag(b, id, protowire.BytesType), v)
}

func (b pb) str(id protowire.Number, s string) pb { return b.bytes(id, []byte(s)) }

// encNode encodes a NodeProto; parts are further fields.
func encNode(name, typ string, in, out []string, parts ...pb) pb {
	var b pb
	for _, s := range in {
		b = b.str(1, s)
	}
	for _, s := range out {
		b = b.str(2, s)
	}
	b = b.str(3, name).str(4, typ)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// encFloats encodes a float TensorProto with raw data.
func encFloats(name string, dims []int64, v ...float32) pb {
	var raw []byte
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return encTensor(name, 1, dims, pb(nil).bytes(9, raw))
}

// encTensor encodes a TensorProto of the element type typ; data are its data fields.
func encTensor(name string, typ int64, dims []int64, data pb) pb {
	var b pb
	for _, d := range dims {
		b = b.int(1, d)
	}
	return append(b.int(2, typ).str(8, name), data...)
}

// encPort encodes a float ValueInfoProto; a dimension of 0 is left out.
func encPort(name string, dims ...int64) pb {
	var shape pb
	for _, d := range dims {
		var dim pb
		if d != 0 {
			dim = dim.int(1, d)
		}
		shape = shape.bytes(1, dim)
	}
	tensor := pb(nil).int(1, 1).bytes(2, shape)
	return pb(nil).str(1, name).bytes(2, pb(nil).bytes(1, tensor))
}

// encGraph encodes a GraphProto.
func encGraph(nodes, inits, inputs, outputs []pb) pb {
	var b pb
	for id, list := range map[protowire.Number][]pb{1: nodes, 5: inits, 11: inputs, 12: outputs} {
		for _, p := range list {
			b = b.bytes(id, p)
		}
	}
	return b
}

// encModel encodes a ModelProto.
func encModel(opset int64, graph pb) []byte {
	return pb(nil).int(1, 7).bytes(7, graph).bytes(8, pb(nil).int(2, opset))
}

// relu is the network y = relu(x) with x of shape [1, 3].
func relu() pb {
	return encGraph([]pb{encNode("r", "Relu", []string{"x"}, []string{"y"})}, nil, []pb{encPort("x", 1, 3)}, []pb{encPort("y", 1, 3)})
}
