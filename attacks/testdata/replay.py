#!/usr/bin/env python3
"""Replays witnesses of TestSuites under onnxruntime. Needs numpy and onnxruntime.

    replay.py SUITES FOLDER

SUITES is the folder of the suites, FOLDER what CERTIFY_WITNESSES named. A witness replays when its float32 numbers satisfy the input
constraints, whose constants are rounded to float32 as NumPy 2 does in the checker of VNN-COMP 2026, and the outputs of onnxruntime, as
float64, satisfy every row of some disjunct; there is no tolerance. "In the decimal box" counts those whose numbers also satisfy the
input constraints as float64, which none can where a decimal interval holds no float32 number. The rows are those of VNN-LIB 1.0
queries in the forms of these suites. Prints counts for every suite, the instances that fail, and the largest difference between the
recorded outputs and those of onnxruntime.
"""
import collections, glob, gzip, os, re, sys

import numpy as np
import onnxruntime as ort


def read(path):
    if os.path.exists(path + ".gz"):
        path += ".gz"
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
        return f.read()


def parse(text):
    """S-expressions as nested lists."""
    stack = [[]]
    for t in re.findall(r"[()]|[^\s()]+", re.sub(r";[^\n]*", "", text)):
        if t == "(":
            stack.append([])
        elif t == ")":
            e = stack.pop()
            stack[-1].append(e)
        else:
            stack[-1].append(t)
    return stack[0]


def holds(e, env, number):
    op = e[0]
    if op == "and":
        return all(holds(a, env, number) for a in e[1:])
    if op == "or":
        return any(holds(a, env, number) for a in e[1:])
    if "Y_" in str(e):
        number = float
    a, b = (value(x, env, number) for x in e[1:3])
    return {"<=": a <= b, ">=": a >= b, "<": a < b, ">": a > b}[op]


def value(e, env, number):
    if isinstance(e, list):
        v = [value(x, env, number) for x in e[1:]]
        return {"+": sum(v), "-": v[0] - sum(v[1:]) if len(v) > 1 else -v[0], "*": np.prod(v)}[e[0]]
    return env[e] if e in env else number(e)


def main(suites, folder):
    strict = collections.Counter()
    sessions, count, worst = {}, collections.Counter(), collections.defaultdict(float)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    for path in sorted(glob.glob(os.path.join(folder, "*.txt"))):
        text = open(path).read()
        model, query = re.findall(r"^; (\S+)$", text, re.M)[:2]
        suite = model.split("/")[0]
        pairs = re.findall(r"\(([XY])_(\d+) ([^\s)]+)\)", text)
        x = np.array([float(v) for k, _, v in pairs if k == "X"])
        recorded = np.array([float(v) for k, _, v in pairs if k == "Y"])
        if model not in sessions:
            sessions.clear()
            sessions[model] = ort.InferenceSession(read(os.path.join(suites, model)), options, providers=["CPUExecutionProvider"])
        s = sessions[model]
        i = s.get_inputs()[0]
        shape = [d if isinstance(d, int) and d > 0 else 1 for d in i.shape]
        dtype = np.float64 if i.type == "tensor(double)" else np.float32
        y = np.concatenate([np.asarray(o, dtype=np.float64).ravel() for o in s.run(None, {i.name: x.astype(dtype).reshape(shape)})])
        worst[suite] = max(worst[suite], float(np.max(np.abs(y - recorded) / (1 + np.abs(recorded)))))
        env = {f"X_{k}": float(v) for k, v in enumerate(x.astype(dtype))}
        env |= {f"Y_{k}": float(v) for k, v in enumerate(y)}
        asserts = [e[1] for e in parse(read(os.path.join(suites, query)).decode()) if e[0] == "assert"]
        ok = all(holds(e, env, lambda t: float(np.float32(t))) for e in asserts)
        count[suite, ok] += 1
        strict[suite] += all(holds(e, env, float) for e in asserts)
        if not ok:
            print("does not replay:", model, query)
    print("onnxruntime", ort.__version__)
    for suite in sorted(worst):
        print(f"{suite:36} {count[suite, True]:4} replay, {count[suite, False]} do not; {strict[suite]:4} in the decimal box; largest relative difference {worst[suite]:.1e}")
    print(f"{'all':36} {sum(v for (s, ok), v in count.items() if ok):4} replay, {sum(v for (s, ok), v in count.items() if not ok)} do not; {sum(strict.values())} in the decimal box")


main(*sys.argv[1:])
