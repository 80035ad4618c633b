"""Runs real models and compares them with onnxruntime. `run` installs what this needs and says how it is
called.
"""

import argparse
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

sys.path.insert(0, str(Path(__file__).parent.parent / "speed"))

import graphs
import large
import packaged
import report
from made import MADE
from packaged import CACHE, PACKAGED, ROOT, TWINS, Constant
from times import Engine, rounds

# How much further from onnxruntime's result than its own results are from each other, with and without its
# optimizations, with inputs moved by a few roundings, and by another form of the model; and from how far on.
FACTOR, FLOOR = 10, 1e-5

# A model of at most so many steps also runs by the JIT, or by the interpreter.
JIT, INTERPRETER = 1e9, 1e8

onnxruntime.set_default_logger_severity(4)


class Refused(Exception):
    """The command failed."""


def command(*words):
    """What the command answers in JSON."""
    run = subprocess.run([*map(str, words), "--json"], capture_output=True, text=True)
    if run.returncode:
        try:
            raise Refused(json.loads(run.stdout)["error"]["message"])
        except json.JSONDecodeError:
            raise Refused(f"it ended with {run.returncode}: {run.stderr[-200:]}") from None
    return json.loads(run.stdout)


def built(*arguments):
    """The executable that a cargo command builds."""
    words = ["cargo", *arguments, "--message-format=json-render-diagnostics"]
    output = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    messages = [json.loads(line) for line in output.splitlines()]
    return [message["executable"] for message in messages if message.get("executable")][-1]


class Case:
    """A model with its inputs, in a folder."""

    def __init__(self, name):
        self.name = name
        self.folder = CACHE / "models" / "".join(c if c.isalnum() else "-" for c in name)
        (self.folder / "test_data_set_0").mkdir(parents=True, exist_ok=True)
        if name in PACKAGED:
            package, inside, inputs = PACKAGED[name]
            self.path = packaged.member(package, inside, self.folder)
        else:
            self.path, inputs = MADE[name](self.folder)
        self.twin = name in TWINS and packaged.member(package, TWINS[name], self.folder)
        random = np.random.default_rng(zlib.crc32(name.encode()))
        arrays = {name: make(random) for name, make in inputs.items()}
        fixed = [name for name, make in inputs.items() if isinstance(make, Constant)]
        self.constants = {name: arrays.pop(name) for name in fixed}
        self.inputs = arrays
        self.model = onnx.load(self.path, load_external_data=False)
        self.nodes, self.parameters = counted(self.model.graph)
        self.outputs = [output.name for output in self.model.graph.output]

    def options(self):
        """Options with the shapes of the inputs that leave theirs open, and with constants."""
        options = []
        for name, array in self.constants.items():
            np.save(self.folder / "constant.npy", array)
            options += ["--constant", f"{name}={self.folder / 'constant.npy'}"]
        for declared in self.model.graph.input:
            dimensions = declared.type.tensor_type.shape.dim
            is_open = any(dimension.dim_value < 1 for dimension in dimensions)
            if declared.name in self.inputs and is_open:
                shape = ",".join(map(str, self.inputs[declared.name].shape))
                options += ["--shape", f"{declared.name}={shape}"]
        return options

    def files(self):
        """Options with the inputs."""
        options = []
        for index, (name, array) in enumerate(self.inputs.items()):
            path = self.folder / f"input_{index}.npy"
            np.save(path, array)
            options += ["--input", f"{name}={path}"]
        return options

    def prepared(self, name, fixed):
        """Writes the model and its inputs as those read them who are timed. `fixed`: with the shapes of its
        inputs, and constants inside, since nothing is given to the compiler."""
        model, arrays = onnx.load(self.path), {**self.inputs, **self.constants}
        if fixed:
            for value in [value for value in model.graph.input if value.name in self.constants]:
                model.graph.input.remove(value)
                model.graph.initializer.append(numpy_helper.from_array(arrays.pop(value.name), value.name))
            for value in model.graph.input:
                sizes = self.inputs[value.name].shape if value.name in arrays else []
                for dimension, size in zip(value.type.tensor_type.shape.dim, sizes):
                    dimension.dim_value = size
        folder = self.folder / name
        data = folder / "test_data_set_0"
        data.mkdir(parents=True, exist_ok=True)
        onnx.save(model, folder / "model.onnx")
        order = [value.name for value in model.graph.input if value.name in arrays]
        for index, name in enumerate(order):
            onnx.save_tensor(numpy_helper.from_array(arrays[name], name), data / f"input_{index}.pb")
        return folder


def counted(graph):
    """The operators of a graph, those inside of others too, and the elements of its constants."""
    operators, elements = {}, sum(int(np.prod(tensor.dims)) for tensor in graph.initializer)
    for node in graph.node:
        if node.op_type != "Constant":
            operators[node.op_type] = operators.get(node.op_type, 0) + 1
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                elements += int(np.prod(attribute.t.dims))
            if attribute.type == onnx.AttributeProto.GRAPH:
                inner, more = counted(attribute.g)
                elements += more
                for name, count in inner.items():
                    operators[name] = operators.get(name, 0) + count
    return operators, elements


def theirs(path, case, level, inputs):
    """What onnxruntime makes of inputs."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = {declared.name for declared in session.get_inputs()}
    given = {name: array for name, array in {**inputs, **case.constants}.items() if name in names}
    return session.run(case.outputs, given)


def moved(array):
    """Floats, each moved by a few roundings, unless they are whole numbers. A single one would often be lost where
    numbers are quantized."""
    if array.dtype.kind != "f" or np.array_equal(array, np.trunc(array)):
        return array
    sign = np.random.default_rng(0).choice([-1, 1], array.shape)
    return (array * (1 + 8 * np.finfo(array.dtype).eps * sign)).astype(array.dtype)


def difference(ours, other):
    """The largest difference, relative to the largest number of each output. Infinite if shapes differ, or
    places of what is no number."""
    largest = 0.0
    for one, two in zip(ours, other, strict=True):
        if one.shape != two.shape or one.dtype != two.dtype:
            return np.inf
        one, two = one.astype(np.float64), two.astype(np.float64)
        finite = np.isfinite(two)
        same = np.array_equal(one[~finite], two[~finite], equal_nan=True)
        if not same or not np.isfinite(one[finite]).all():
            return np.inf
        if finite.any():
            scale = np.abs(two[finite]).max() or 1.0
            largest = max(largest, np.abs(one[finite] - two[finite]).max() / scale)
    return float(largest)


def outputs(answer, case):
    return [np.load(answer["outputs"][name]) for name in case.outputs]


def judge(case, opml):
    """Compiles and runs a model on every backend that is quick enough, and compares."""
    image = case.folder / "model.opml"
    options, inputs = case.options(), case.files()
    result = {"nodes": case.nodes, "parameters": case.parameters}
    command(opml, "compile", case.path, "-o", image, *options)
    result["steps"] = command(opml, "check", case.path, *options)["costs"]["steps"]

    def run(backend):
        folder = case.folder / backend
        return outputs(command(opml, "run", image, *inputs, "--backend", backend, "-o", folder), case)

    ours = run("native")
    result["backends"] = ["native"]
    for backend, most in [("jit", JIT), ("interpreter", INTERPRETER)]:
        if result["steps"] <= most:
            result["backends"].append(backend)
            if [array.tobytes() for array in run(backend)] != [array.tobytes() for array in ours]:
                raise Refused(f"{backend} gives other bits than native")
    levels = onnxruntime.GraphOptimizationLevel

    def their(path=case.path, level=levels.ORT_DISABLE_ALL, inputs=case.inputs):
        return theirs(path, case, level, inputs)

    plain, best = their(), their(level=levels.ORT_ENABLE_ALL)
    others = [best, their(inputs={name: moved(array) for name, array in case.inputs.items()})]
    others += [their(case.twin)] if case.twin else []
    result["difference"] = min(difference(ours, best), difference(ours, plain))
    result["own"] = max(difference(other, plain) for other in others)
    result["agrees"] = result["difference"] <= max(FACTOR * result["own"], FLOOR)
    return result


def timed(case, executable, count):
    """Processor time of a run with one thread, by engine."""
    engines = {
        name: Engine(name, case.prepared(name, fixed=name == "opml"), executable, CACHE)
        for name in ("onnxruntime", "opml")
    }
    try:
        for name, engine in engines.items():
            if engine.refusal:
                raise Refused(f"{name}, to be timed: {engine.refusal}")
        return rounds(engines, count)[0]
    finally:
        for engine in engines.values():
            engine.close()


def main():
    parser = argparse.ArgumentParser(prog="tests/real/run")
    parser.add_argument("--rounds", type=int, default=5, help="how often every engine has its turn")
    parser.add_argument("--no-times", action="store_true", help="only compare")
    parser.add_argument("--large", action="store_true", help="time how models of many nodes compile instead")
    parser.add_argument("--graphs", type=int, help="compare so many random graphs instead")
    parser.add_argument("--seed", type=int, default=0, help="the number of the first random graph")
    parser.add_argument("model", nargs="*", help="only these models")
    arguments = parser.parse_args()
    opml = os.environ.get("OPML") or built("build", "--release", "-p", "opml")
    if arguments.large:
        text = large.table(opml)
        print(text)
        return report.bless("large", text) if os.environ.get("OPML_BLESS") else None
    if arguments.graphs:
        text, wrong = graphs.compare(opml, arguments.graphs, arguments.seed)
        print(text)
        sys.exit("\n".join(wrong) or None)
    executable = None
    if not arguments.no_times:
        bench = ["bench", "--no-run", "-p", "opml-native", "--bench", "models"]
        executable = os.environ.get("OPML_MODELS") or built(*bench)
    results = {}
    for name in [*PACKAGED, *MADE]:
        if arguments.model and name not in arguments.model:
            continue
        case = Case(name)
        try:
            results[name] = judge(case, opml)
            if executable:
                results[name]["times"] = timed(case, executable, arguments.rounds)
        except Refused as error:
            known = {"nodes": case.nodes, "parameters": case.parameters}
            results.setdefault(name, known)["refused"] = str(error)
        print(report.line(name, results[name]), file=sys.stderr, flush=True)
    text = report.page(results)
    print(text)
    if os.environ.get("OPML_BLESS"):
        report.bless("real", text)
    sys.exit("\n".join(report.wrong(results)) or None)


if __name__ == "__main__":
    main()
