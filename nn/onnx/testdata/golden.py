#!/usr/bin/env python3
"""Records what onnxruntime computes, as the oracle of this package's tests. Needs onnx, onnxruntime and numpy.

    golden.py small          writes small.json: tiny models made here (as base64), an input each, all outputs
    golden.py suites ROOT    writes suites.json: SHA-256 of every model under ROOT/vnncomp/*/onnx, its first outputs

Input i of a model is splitmix64(seed + i) >> 40, times 2^-24: a float32 number in [0, 1), the same in any language.
"""
import base64, glob, gzip, hashlib, json, os, sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

HERE = os.path.dirname(os.path.abspath(__file__))


def splitmix(seed, n):
    with np.errstate(over="ignore"):
        z = np.arange(n, dtype=np.uint64) + np.uint64(seed)
        z = z * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) * 2.0**-24


def run(data, seed):
    """Returns the concatenated inputs and outputs of one run; unknown dimensions are 1."""
    so = ort.SessionOptions()
    so.log_severity_level = 4
    so.intra_op_num_threads = 1
    s = ort.InferenceSession(data, so, providers=["CPUExecutionProvider"])
    shapes = [[d if isinstance(d, int) and d > 0 else 1 for d in i.shape] for i in s.get_inputs()]
    x = splitmix(seed, sum(int(np.prod(p)) for p in shapes))
    feed, at = {}, 0
    for i, p in zip(s.get_inputs(), shapes):
        n = int(np.prod(p))
        t = np.float64 if i.type == "tensor(double)" else np.float32
        feed[i.name] = x[at:at + n].astype(t).reshape(p)
        at += n
    y = np.concatenate([np.asarray(o, dtype=np.float64).ravel() for o in s.run(None, feed)])
    return x, y


def weights(name, shape, seed, scale=2.0, dtype=np.float32):
    n = int(np.prod(shape))
    return nh.from_array(((splitmix(seed, n) - 0.5) * scale).astype(dtype).reshape(shape), name)


def vi(name, *shape, t=T.FLOAT):
    return h.make_tensor_value_info(name, t, list(shape))


def model(name, nodes, inputs, outputs, inits=(), opset=13, ir=7):
    g = h.make_graph(list(nodes), name, list(inputs), list(outputs), list(inits))
    m = h.make_model(g, opset_imports=[h.make_opsetid("", opset)], producer_name="golden.py", ir_version=ir)
    return name, m.SerializeToString()


def small_models():
    n, i64 = h.make_node, lambda name, v: nh.from_array(np.array(v, dtype=np.int64), name)
    w1, b1, w2 = weights("W1", (4, 3), 1), weights("b1", (4,), 2), weights("W2", (2, 4), 3)
    mlp = [n("Gemm", ["x", "W1", "b1"], ["z"], transB=1), n("Relu", ["z"], ["a"]), n("Gemm", ["a", "W2"], ["y"], transB=1)]
    yield model("mlp", mlp, [vi("x", "batch", 3)], [vi("y", 1, 2)], [w1, b1, w2])
    # Initialisers also listed as inputs, and typed data instead of raw data (IR 3).
    typed = [h.make_tensor(w.name, T.FLOAT, w.dims, nh.to_array(w).ravel().tolist()) for w in (w1, b1, w2)]
    ins = [vi("x", 1, 3), vi("W1", 4, 3), vi("b1", 4), vi("W2", 2, 4)]
    yield model("ir3", [n("Gemm", ["x", "W1", "b1"], ["z"], transB=1), n("Relu", ["z"], ["a"]),
                        n("Gemm", ["a", "W2", "c"], ["y"], transB=1)],
                ins + [vi("c", 2)], [vi("y", 1, 2)], typed + [h.make_tensor("c", T.FLOAT, [2], [0.25, -1.5])], 9, 3)
    # Float16 weights, typed and raw, through Cast; a double network.
    f16 = nh.to_array(w1).astype(np.float16)
    half = h.make_tensor("H", T.FLOAT16, [4, 3], f16.ravel().tolist())
    raw = nh.from_array(nh.to_array(b1).astype(np.float16), "h")
    yield model("float16", [n("Cast", ["H"], ["W"], to=T.FLOAT), n("Cast", ["h"], ["b"], to=T.FLOAT),
                            n("Gemm", ["x", "W", "b"], ["y"], transB=1)],
                [vi("x", 1, 3)], [vi("y", 1, 4)], [half, raw])
    yield model("double", [n("MatMul", ["x", "W"], ["z"]), n("Relu", ["z"], ["y"])], [vi("x", 1, 3, t=T.DOUBLE)],
                [vi("y", 1, 4, t=T.DOUBLE)], [weights("W", (3, 4), 5, dtype=np.float64)], 14)
    # Constant nodes, a shape chain that folds, integers of both widths, a dead branch.
    yield model("shapes", [
        n("Constant", [], ["zero"], value=h.make_tensor("", T.INT64, [], [0])),
        n("Constant", [], ["minus"], value_ints=[-1]),
        n("Shape", ["x"], ["s"]), n("Gather", ["s", "zero"], ["b"], axis=0),
        n("Constant", [], ["ax"], value_ints=[0]), n("Unsqueeze", ["b", "ax"], ["b1"]),
        n("Concat", ["b1", "minus"], ["to"], axis=0), n("Reshape", ["x", "to"], ["f"]),
        n("MatMul", ["f", "W"], ["z"]), n("Constant", [], ["half"], value_float=0.5), n("Mul", ["z", "half"], ["y"]),
        n("Exp", ["z"], ["dead"]),
    ], [vi("x", "n", 2, 2, 3)], [vi("y", 1, 5)], [weights("W", (12, 5), 6)], 13)
    # A convolutional network with a residual branch, its nodes written in reverse order.
    conv = [
        n("Conv", ["x", "K", "kb"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1]),
        n("Relu", ["c"], ["r"]), n("Conv", ["r", "K2"], ["d"], kernel_shape=[1, 1]), n("Add", ["d", "c"], ["e"]),
        n("MaxPool", ["e"], ["p"], kernel_shape=[2, 2], strides=[2, 2]), n("Flatten", ["p"], ["f"]),
        n("Gemm", ["f", "W", "b"], ["y"], alpha=0.5, beta=2.0),
    ]
    yield model("conv", conv, [vi("x", 1, 2, 4, 4)], [vi("y", 1, 3)],
                [weights("K", (3, 2, 3, 3), 7), weights("kb", (3,), 8), weights("K2", (3, 3, 1, 1), 9),
                 weights("W", (12, 3), 10), weights("b", (3,), 11)], 11)
    # Two inputs, two outputs, one of them an initialiser's sum.
    yield model("two", [n("Concat", ["u", "v"], ["x"], axis=1), n("Gemm", ["x", "W"], ["p"]), n("Sub", ["u", "k"], ["q"])],
                [vi("u", 1, 2), vi("v", 1, 3)], [vi("p", 1, 2), vi("q", 1, 2)],
                [weights("W", (5, 2), 12), weights("k", (2,), 13)])
    # Constants that need arithmetic: weights computed by the network itself.
    yield model("rounding", [n("MatMul", ["x0", "W"], ["c"]), n("Relu", ["c"], ["rc"]), n("MatMul", ["x", "W"], ["z"]),
                             n("Relu", ["z"], ["r"]), n("Sub", ["r", "rc"], ["y"])],
                [vi("x", 1, 3)], [vi("y", 1, 4)], [weights("x0", (1, 3), 14), weights("W", (3, 4), 15)])
    # Optional operands left out in the middle, and the largest integer as "to the end".
    yield model("slice", [n("Clip", ["x", "", "top"], ["c"]), n("Slice", ["c", "from", "to", "axes"], ["s"]),
                          n("Sigmoid", ["s"], ["y"])],
                [vi("x", 1, 6)], [vi("y", 1, 4)],
                [nh.from_array(np.float32(0.5), "top"), i64("from", [2]), i64("to", [2**63 - 1]), i64("axes", [1])])


def small():
    out = []
    for name, data in small_models():
        if name == "conv":  # the reader must sort; onnxruntime is asked about the sorted file
            m = onnx.load_from_string(data)
            nodes = list(m.graph.node)[::-1]
            _, y = run(data, 1)
            del m.graph.node[:]
            m.graph.node.extend(nodes)
            data = m.SerializeToString()
        else:
            _, y = run(data, 1)
        out.append({"name": name, "seed": 1, "model": base64.b64encode(data).decode(), "outputs": y.tolist()})
    write("small.json", out)


def suites(root):
    out = []
    for f in sorted(glob.glob(os.path.join(root, "vnncomp", "*", "onnx", "*.onnx.gz"))):
        data = gzip.open(f).read()
        name = f.split(os.sep)[-3] + "/" + os.path.basename(f)[:-3]
        entry = {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "seed": 1}
        try:
            x, y = run(data, 1)
            entry |= {"inputs": len(x), "count": len(y), "scale": float(np.max(np.abs(y))), "outputs": y[:16].tolist()}
        except Exception as e:  # a model the oracle cannot run is recorded as such
            entry["error"] = str(e).splitlines()[0][:200]
        out.append(entry)
        print(name, entry.get("error", ""), file=sys.stderr)
    write("suites.json", out)


def write(name, out):
    with open(os.path.join(HERE, name), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(e) for e in out) + "\n]\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["small"]:
        small()
    elif sys.argv[1:2] == ["suites"] and len(sys.argv) == 3:
        suites(sys.argv[2])
    else:
        sys.exit(__doc__)
