"""Writes golden.json: single-operator models run by onnxruntime. Needs onnx, onnxruntime and numpy; the tests do not.

    python3 gen.py > golden.json

A float32 is written as the shortest decimal that rounds to it.
"""
import json
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

ort.set_default_logger_severity(4)
rng = np.random.default_rng(1)
CASES = []
FAILED = []


def f(*shape):
    return np.round(rng.uniform(-2, 2, shape), 2).astype(np.float32)


def i64(*v):
    return np.array(v, dtype=np.int64)


def tensor(a):
    decimal = (lambda v: float(str(v))) if a.dtype == np.float32 else float
    return {"type": helper.np_dtype_to_tensor_dtype(a.dtype), "shape": list(a.shape), "data": [decimal(v) for v in a.ravel()]}


def attr(v):
    if isinstance(v, str):
        return {"s": v}
    if isinstance(v, float):
        return {"f": float(np.float32(v))}
    if isinstance(v, int):
        return {"i": v}
    if isinstance(v, np.ndarray):
        return {"t": tensor(v)}
    if v and isinstance(v[0], float):
        return {"fs": [float(np.float32(x)) for x in v]}
    return {"is": list(v)}


def case(op, opset, inputs, outputs=1, **attrs):
    names = ["x%d" % k if a is not None else "" for k, a in enumerate(inputs)]
    outs = ["y%d" % k for k in range(outputs)]
    node_attrs = {k: onnx.numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v for k, v in attrs.items()}
    node = helper.make_node(op, names, outs, **node_attrs)
    vis = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
           for n, a in zip(names, inputs) if a is not None]
    g = helper.make_graph([node], "g", vis, [helper.make_empty_tensor_value_info(o) for o in outs])
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    try:
        opts = ort.SessionOptions()
        opts.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        s = ort.InferenceSession(m.SerializeToString(), opts, providers=["CPUExecutionProvider"])
        got = s.run(None, {n: a for n, a in zip(names, inputs) if a is not None})
    except Exception as e:  # listed on stderr; onnxruntime lacks some opset and attribute combinations
        FAILED.append((op, opset, {k: str(v) for k, v in attrs.items()}, str(e)[:160]))
        return
    CASES.append({"op": op, "opset": opset, "outputs": outputs, "attrs": {k: attr(v) for k, v in attrs.items()},
                  "in": [None if a is None else tensor(a) for a in inputs], "want": [tensor(np.asarray(a)) for a in got]})


X = f(2, 3, 4)
for op in ["Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"]:
    a, b = f(2, 1, 3), f(4, 1)
    if op == "Pow":
        a = np.abs(a) + np.float32(0.5)
    if op == "Div":
        b = np.abs(b) + np.float32(0.5)
    case(op, 13, [a, b])
case("Div", 13, [i64(7, -7, 7, -7), i64(2, 2, -2, -2)])
case("Pow", 15, [i64(2, 3), i64(3, 2)])
case("Pow", 13, [f(3), np.array(2, np.float32)])
case("Sum", 13, [f(2, 3), f(3), f(2, 1)])
case("Max", 8, [f(2, 3), f(3), f(2, 1)])
case("PRelu", 9, [f(1, 3, 2, 2), f(3, 1, 1)])
case("LeakyRelu", 6, [f(6)])
case("LeakyRelu", 16, [f(6)], alpha=0.3)
case("HardSigmoid", 6, [f(8) * 3])
case("Elu", 6, [f(8)])
for op in ["Relu", "Neg", "Abs", "Sigmoid", "Tanh", "Sin", "Cos", "Exp", "Floor", "Ceil", "Sign", "Erf", "Softplus", "Softsign", "Identity"]:
    case(op, 13, [f(2, 5)])
case("Round", 11, [np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.4], np.float32)])
case("Clip", 6, [f(8)], min=-0.5, max=0.75)
case("Clip", 6, [f(8)], max=0.75)
case("Clip", 11, [f(8), np.array(-0.5, np.float32)])
case("Clip", 12, [f(8), None, np.array(0.5, np.float32)])
case("Clip", 13, [f(8), np.array(1, np.float32), np.array(-1, np.float32)])

case("MatMul", 13, [f(2, 3), f(3, 2)])
case("MatMul", 13, [f(3), f(3, 2)])
case("MatMul", 13, [f(2, 3), f(3)])
case("MatMul", 13, [f(3), f(3)])
case("MatMul", 13, [f(4), f(2, 4, 3)])
case("MatMul", 13, [f(2, 3, 4), f(4)])
case("MatMul", 13, [f(2, 1, 2, 3), f(3, 3, 2)])
for ta in (0, 1):
    for tb in (0, 1):
        case("Gemm", 13, [f(*((3, 2) if ta else (2, 3))), f(*((4, 3) if tb else (3, 4))), f(4)], transA=ta, transB=tb, alpha=0.5, beta=0.25)
case("Gemm", 11, [f(2, 3), f(3, 4)])
case("Gemm", 11, [f(2, 3), f(3, 4), f(2, 1)])
case("Gemm", 9, [f(1, 3), f(4, 3), f(1)], transB=1)

case("Conv", 11, [f(1, 2, 5, 6), f(3, 2, 3, 2), f(3)])
case("Conv", 11, [f(2, 4, 5, 6), f(4, 2, 3, 2)], group=2, strides=[2, 1], pads=[1, 0, 2, 1], dilations=[1, 2])
case("Conv", 11, [f(1, 4, 5, 5), f(4, 1, 3, 3)], group=4, pads=[1, 1, 1, 1])
case("Conv", 11, [f(1, 2, 7), f(3, 2, 3), f(3)], strides=[2], pads=[1, 0])
case("Conv", 11, [f(1, 1, 4, 4), f(1, 1, 2, 2)], kernel_shape=[2, 2])
for ap in ["SAME_UPPER", "SAME_LOWER", "VALID"]:
    case("Conv", 11, [f(1, 1, 5, 6), f(2, 1, 2, 4)], auto_pad=ap, strides=[2, 1])
    case("MaxPool", 12, [f(1, 2, 5, 6)], auto_pad=ap, kernel_shape=[2, 4], strides=[2, 3])
    case("AveragePool", 11, [f(1, 2, 5, 6)], auto_pad=ap, kernel_shape=[2, 4], strides=[2, 3])
    case("ConvTranspose", 11, [f(1, 2, 3, 4), f(2, 1, 3, 4)], auto_pad=ap, strides=[2, 3])
case("ConvTranspose", 11, [f(1, 2, 3, 4), f(2, 3, 3, 2), f(3)])
case("ConvTranspose", 11, [f(1, 4, 3, 4), f(4, 3, 3, 2)], group=2, strides=[2, 3], pads=[1, 0, 0, 1], output_padding=[1, 2])
case("ConvTranspose", 11, [f(1, 2, 3, 4), f(2, 3, 2, 3)], strides=[2, 2], dilations=[2, 1], pads=[1, 1, 1, 1])
case("ConvTranspose", 11, [f(1, 1, 4), f(1, 2, 3)], strides=[2])
case("ConvTranspose", 11, [f(1, 1, 3, 3), f(1, 2, 3, 3)], strides=[3, 2], output_shape=[10, 8], output_padding=[1, 1])
case("ConvTranspose", 11, [f(1, 1, 3, 3), f(1, 2, 3, 3)], strides=[2, 2], output_shape=[6, 6])
case("ConvTranspose", 11, [f(1, 1, 3, 3), f(1, 2, 3, 3)], strides=[2, 2], output_shape=[6, 6], auto_pad="SAME_UPPER")

case("BatchNormalization", 9, [f(2, 3, 2), f(3), f(3), f(3), np.abs(f(3))], epsilon=0.8)
case("BatchNormalization", 15, [f(2, 3), f(3), f(3), f(3), np.abs(f(3))])

for op in ["MaxPool", "AveragePool"]:
    for ceil in (0, 1):
        for k, s, p in [([2, 2], [2, 2], [0, 0, 0, 0]), ([3, 3], [2, 2], [1, 1, 1, 1]), ([3, 2], [2, 3], [0, 1, 1, 0]), ([2, 3], [3, 2], [0, 0, 0, 1]),
                        ([2, 2], [3, 3], [0, 0, 1, 1])]:
            for inc in ((0, 1) if op == "AveragePool" else (0,)):
                extra = {"count_include_pad": inc} if op == "AveragePool" else {}
                case(op, 19 if op == "AveragePool" else 12, [f(1, 2, 5, 6)], kernel_shape=k, strides=s, pads=p, ceil_mode=ceil, **extra)
    case(op, 10, [f(1, 1, 7)], kernel_shape=[3], strides=[2], ceil_mode=1)
    case(op, 10, [f(1, 1, 3, 4, 3)], kernel_shape=[2, 2, 2])
    case(op, 19, [f(1, 1, 7, 6)], kernel_shape=[3, 2], dilations=[2, 3])
    case(op, 19, [f(1, 1, 7, 6)], kernel_shape=[3, 2], dilations=[2, 3], pads=[1, 1, 1, 1], strides=[2, 2], ceil_mode=1)
case("GlobalAveragePool", 1, [f(2, 2, 3, 3)])
case("GlobalMaxPool", 1, [f(2, 2, 3, 3)])

case("Pad", 9, [f(2, 3)], pads=[1, 0, 0, 2], value=0.5)
for mode in ["constant", "edge", "reflect"]:
    case("Pad", 13, [f(2, 3, 4), i64(0, 1, 2, 0, 2, 1)], mode=mode)
    case("Pad", 13, [f(3, 4), i64(-1, 1, 1, -2)], mode=mode)
case("Pad", 13, [f(2, 3), i64(1, 0, -1, 2), np.array(0.25, np.float32)])
case("Pad", 18, [f(2, 3), i64(1, 2), np.array(0.25, np.float32), i64(-1)])
case("Pad", 19, [f(2, 3), i64(1, 2, 0, 3)], mode="wrap")
for ax in (0, 1, -1):
    case("Concat", 13, [f(2, 2, 2), f(2, 2, 2)], axis=ax)
case("Concat", 13, [f(2, 1), f(2, 3)], axis=1)

case("Slice", 9, [X], starts=[0, 1], ends=[1, 9223372036854775807], axes=[0, 2])
case("Slice", 9, [X], starts=[-1], ends=[1000])
for s, e, ax, st in [([1], [3], [2], [1]), ([-1], [-1000], [2], [-1]), ([0], [9223372036854775807], [-1], [2]), ([3], [-9223372036854775808], [2], [-2]),
                     ([1000], [0], [1], [-1]), ([-2, 0], [-1, 2], [1, 0], [1, 1]), ([3], [1], [2], [1]), ([2], [-5], [2], [-9223372036854775807])]:
    case("Slice", 13, [X, i64(*s), i64(*e), i64(*ax), i64(*st)])
case("Slice", 10, [X, i64(1, 0), i64(2, -1)])
case("Slice", 13, [X, i64(0, 1), i64(2, 3), None, i64(1, 2)])
case("Split", 11, [f(2, 6)], 3, axis=1)
case("Split", 11, [f(2, 6)], 2, axis=-1, split=[2, 4])
case("Split", 13, [f(4, 3)], 2)
case("Split", 13, [f(4, 3), i64(1, 3)], 2)
case("Split", 18, [f(7)], 3, num_outputs=3)
for ax in (0, 1, -1):
    case("Gather", 13, [X, i64(0, -1)], axis=ax)
    case("Gather", 13, [X, np.array(1)], axis=ax)
case("Gather", 11, [X, np.array([[0, 1], [1, 0]])], axis=0)

case("Reshape", 13, [X, i64(0, -1)])
case("Reshape", 13, [X, i64(4, 0, -1)])
case("Reshape", 14, [np.zeros((0, 3), np.float32), i64(3, 0)], allowzero=1)
case("Flatten", 9, [X])
for ax in (0, 2, 3, -1, -3):
    case("Flatten", 13, [X], axis=ax)
case("Squeeze", 11, [f(1, 2, 1)])
case("Squeeze", 11, [f(1, 2, 1)], axes=[0])
case("Squeeze", 13, [f(1, 2, 1), i64(-1)])
case("Unsqueeze", 11, [f(2, 3)], axes=[0, 3])
case("Unsqueeze", 13, [f(2, 3), i64(-1, 1)])
case("Unsqueeze", 13, [f(2, 3), i64(2, 0)])
case("Transpose", 13, [X])
case("Transpose", 13, [X], perm=[1, 2, 0])
case("Expand", 13, [f(3, 1), i64(2, 1, 4)])
case("Expand", 13, [f(3, 1), i64(1)])
case("Tile", 13, [f(2, 3), i64(2, 3)])
case("DepthToSpace", 13, [f(1, 8, 2, 3)], blocksize=2)
case("DepthToSpace", 13, [f(1, 8, 2, 3)], blocksize=2, mode="CRD")
case("SpaceToDepth", 13, [f(1, 2, 4, 6)], blocksize=2)

for op in ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2", "ReduceSumSquare"]:
    case(op, 11, [X])
    case(op, 11, [X], axes=[0, -1], keepdims=0)
    case(op, 18, [X, i64(1)])
    case(op, 18, [X, i64(-1, 0)], keepdims=0)
    case(op, 18, [X], noop_with_empty_axes=1)
case("ReduceSum", 13, [X, i64(-1)], keepdims=0)
case("ReduceMean", 13, [X], axes=[1])

for coord in ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric", "tf_half_pixel_for_nn"]:
    for near in ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]:
        opset = 19 if coord == "half_pixel_symmetric" else 11 if coord == "tf_half_pixel_for_nn" else 13
        case("Resize", opset, [f(1, 1, 2, 3), np.zeros(0, np.float32), np.array([1, 1, 2, 1.5], np.float32)],
             coordinate_transformation_mode=coord, nearest_mode=near)
        if coord == "half_pixel_symmetric" and near == "floor":
            continue  # a coordinate is exactly 2, and 1.9999999 in onnxruntime's float32
        case("Resize", opset, [f(1, 1, 5, 4), np.zeros(0, np.float32), np.zeros(0, np.float32) if opset == 11 else None, i64(1, 1, 3, 1)],
             coordinate_transformation_mode=coord, nearest_mode=near)
case("Resize", 10, [f(1, 1, 2, 3), np.array([1, 1, 2, 3], np.float32)])
case("Resize", 10, [f(1, 1, 4, 6), np.array([1, 1, 0.5, 0.4], np.float32)])
case("Resize", 18, [f(1, 1, 2, 3), None, None, i64(4, 6)], axes=[2, 3])
case("Upsample", 7, [f(1, 1, 2, 3)], scales=[1.0, 1.0, 2.0, 3.0])
case("Upsample", 9, [f(1, 1, 2, 3), np.array([1, 1, 2, 1.6], np.float32)])

case("Dropout", 10, [f(3)], 2, ratio=0.5)
case("Dropout", 13, [f(3), np.array(0.5, np.float32)], 2)
V = np.array([1.7, -1.7, 0, 0.5, -0.2], np.float32)
for to in (1, 6, 7, 9, 11, 10):
    case("Cast", 13, [V], to=to)
case("Cast", 13, [np.array([0.1, 1e9 + 1])], to=1)
case("Cast", 13, [i64(300, -1, 7)], to=2)
case("Cast", 13, [i64(300, -1, 200)], to=3)
case("Cast", 13, [i64(16777217, 2)], to=1)
case("Cast", 13, [np.array([1.0009765, 2049.0, 1e-8, 60001, 5.9e-8, 65519], np.float32)], to=10)
case("CastLike", 15, [V, i64(1)])

for opset, axes in [(11, (0, 1, 2, -1)), (13, (0, 1, 2, -1))]:
    case("Softmax", opset, [X])
    case("LogSoftmax", opset, [X])
    for ax in axes:
        case("Softmax", opset, [X], axis=ax)
for op in ["ArgMax", "ArgMin"]:
    T = np.array([[1, 3, 3], [2, 2, 0]], np.float32)
    case(op, 13, [T], axis=1)
    case(op, 13, [T], axis=-1, keepdims=0, select_last_index=1)
    case(op, 11, [T])
case("OneHot", 11, [i64(0, 2, -1, 5), np.array(3), np.array([0.5, 2], np.float32)])
case("OneHot", 11, [np.array([[0, 2], [1, 0]]), np.array(3), np.array([0, 1], np.float32)], axis=1)
for op in ["Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"]:
    case(op, 16, [np.array([[1, 2], [3, 4]], np.float32), np.array([2, 4], np.float32)])
B1, B2 = np.array([True, True, False, False]), np.array([True, False, True, False])
for op in ["And", "Or", "Xor"]:
    case(op, 7, [B1, B2])
case("Not", 1, [B1])
case("IsNaN", 13, [np.array([1, np.nan], np.float32)])
case("Where", 16, [np.array([[True], [False]]), f(2, 3), f(3)])
case("Shape", 13, [X])
case("Shape", 15, [X], start=-2, end=-1)
case("Size", 13, [X])
case("Constant", 13, [], value=f(2, 2))
case("Constant", 13, [], value_ints=[1, 2])
case("Constant", 13, [], value_float=0.5)
case("ConstantOfShape", 9, [i64(2, 3)], value=np.array([7], np.int64))
case("ConstantOfShape", 9, [i64(2)])
case("Range", 11, [np.array(10), np.array(1), np.array(-3)])
case("Range", 11, [np.array(0, np.float32), np.array(1, np.float32), np.array(0.3, np.float32)])
case("ScatterND", 16, [f(4, 2), np.array([[2], [-4]]), f(2, 2)])
case("ScatterND", 16, [f(4, 2), np.array([[2, 1], [0, 0]]), f(2)], reduction="add")
case("ScatterND", 11, [f(2, 2, 2), np.array([[[0, 1]], [[1, 0]]]), f(2, 1, 2)])
case("Sqrt", 13, [np.abs(f(4))])
case("Log", 13, [np.abs(f(4)) + np.float32(0.1)])
case("Reciprocal", 13, [np.abs(f(4)) + np.float32(0.1)])
case("Tan", 7, [f(4)])

for c in CASES:
    for t in c["in"] + c["want"]:
        if t:
            t["data"] = ["NaN" if v != v else v for v in t["data"]]
json.dump(CASES, sys.stdout, separators=(",", ":"))
for x in FAILED:
    print(*x, file=sys.stderr)
print(len(CASES), "cases,", len(FAILED), "refused by onnxruntime", file=sys.stderr)
