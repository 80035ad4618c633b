"""Runs classical models and compares them with onnxruntime. `run` installs what this needs and says how it is called."""

import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.append(str(Path(__file__).parent.parent / "speed"))

from models import MODELS
from page import ROOT, computer, number, table

CACHE = ROOT / ".cache/classical"
PAGE = ROOT / "docs/classical-models.md"
BEGIN, END = "<!-- classical: made by tests/classical/run -->\n", "<!-- end of classical -->\n"

# How far a result may be from onnxruntime's, relative to the largest number of the output; and how much further than
# what its own result moves if the examples move by one rounding.
TOLERANCE, FACTOR = 1e-4, 10

onnxruntime.set_default_logger_severity(4)


class Refused(Exception):
    """The command failed."""


def command(*words):
    """What the command answers in JSON."""
    run = subprocess.run([*map(str, words), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode:
        try:
            raise Refused(json.loads(run.stdout)["error"]["message"])
        except json.JSONDecodeError:
            raise Refused(f"it ended with {run.returncode}: {run.stderr[-200:]}") from None
    return json.loads(run.stdout)


def expected(model, x):
    """What onnxruntime gives, as our outputs are: scores for a list of maps, numbers for strings."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for name, value in zip(names, session.run(None, {session.get_inputs()[0].name: x})):
        if isinstance(value, list):
            value = np.array([[row[key] for key in row] for row in value], np.float32)
        yield name, value


def moved(x):
    """Examples, each number moved by one rounding."""
    if x.dtype.kind != "f":
        return x
    up = np.random.default_rng(0).random(x.shape) < 0.5
    return np.nextafter(x, np.where(up, np.inf, -np.inf).astype(x.dtype))


def difference(ours, theirs):
    """The largest difference, relative to the largest number; how many labels differ."""
    if theirs.dtype == object:
        # Names are in the order of their numbers.
        return float((np.unique(theirs, return_inverse=True)[1] != np.unique(ours, return_inverse=True)[1]).sum())
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return np.inf
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    finite = np.isfinite(theirs)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return np.inf
    scale = np.abs(theirs[finite]).max(initial=0) or 1.0
    return float(np.abs(ours[finite] - theirs[finite]).max(initial=0) / scale)


def judge(opml, name, make):
    """Trains a model, compiles it, runs it on every backend, and compares."""
    try:
        model, x = make()
    except Exception as error:
        return {"state": f"not converted: {' '.join(str(error).split())[:70]}"}
    folder = CACHE / "models" / re.sub(r"\W+", "-", name)
    folder.mkdir(parents=True, exist_ok=True)
    path, image, examples = folder / "model.onnx", folder / "model.opml", folder / "x.npy"
    path.write_bytes(model.SerializeToString())
    np.save(examples, x)
    result = {"bytes": path.stat().st_size, "operators": sorted({node.op_type for node in model.graph.node})}
    try:
        theirs = dict(expected(path.read_bytes(), x))
    except Exception as error:
        return result | {"state": f"onnxruntime: {' '.join(str(error).split())[:70]}"}
    given = model.graph.input[0].name
    options = ["--shape", f"{given}={','.join(map(str, x.shape))}"]
    try:
        command(opml, "compile", path, "-o", image, *options)
        result["steps"] = command(opml, "check", path, *options)["costs"]["steps"]
        runs = {}
        for backend in ("native", "jit", "interpreter"):
            words = ["--input", f"{given}={examples}", "--backend", backend, "-o", folder / backend]
            answer = command(opml, "run", image, *words)
            runs[backend] = {name: np.load(answer["outputs"][name]) for name in theirs}
            if backend == "native":
                result["seconds"] = answer.get("seconds")
            if any(runs[backend][name].tobytes() != runs["native"][name].tobytes() for name in theirs):
                raise Refused(f"{backend} gives other bits than native")
    except Refused as error:
        return result | {"state": " ".join(str(error).split())[:110]}
    result["difference"] = max(difference(runs["native"][name], theirs[name]) for name in theirs)
    if result["difference"] <= TOLERANCE:
        return result | {"state": "agrees"}
    others = dict(expected(path.read_bytes(), moved(x)))
    own = max(difference(others[name], theirs[name]) for name in theirs)
    return result | {"state": "agrees" if result["difference"] <= FACTOR * own else "WRONG"}


def row(name, result):
    steps, difference = result.get("steps"), result.get("difference")
    return [
        name,
        number(result["bytes"] / 1e3) if "bytes" in result else "-",
        number(steps / 16) if steps else "-",
        number(result["seconds"] * 1e3) if result.get("seconds") else "-",
        "-" if difference is None else f"{difference:.0e}",
        result["state"],
    ]


def report(results):
    head = ["model", "kB", "steps an example", "native ms for 16", "difference", "state"]
    text = f"Measured on {date.today()}: {computer(['onnxruntime', 'scikit-learn', 'lightgbm', 'xgboost'])}.\n\n"
    text += table([head, *(row(name, result) for name, result in results.items())]) + "\n"
    states = [result["state"] for result in results.values()]
    other = sum(state.startswith(("not converted", "onnxruntime")) for state in states)
    text += f"{states.count('agrees')} of {len(states) - other} models agree"
    return text + (f"; {other} more can't be converted, or not be run by onnxruntime.\n" if other else ".\n")


def main():
    opml = os.environ.get("OPML")
    if not opml:
        words = ["cargo", "build", "--release", "-p", "opml", "--message-format=json-render-diagnostics"]
        lines = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout.splitlines()
        opml = [line["executable"] for line in map(json.loads, lines) if line.get("executable")][-1]
    results = {}
    for name, make in MODELS.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            results[name] = judge(opml, name, make)
            print(" | ".join(row(name, results[name])), file=sys.stderr, flush=True)
    text = report(results)
    print(text)
    if os.environ.get("OPML_BLESS"):
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")
    bad = [name for name, result in results.items() if result["state"] != "agrees" and "steps" in result]
    sys.exit("\n".join(bad) or None)


if __name__ == "__main__":
    main()
