"""Models of many nodes, whose compile times `tests/real/run --large` measures.

A model is a chain of small layers, or layers of nodes that each read two of the layer before. Its definitions
are all equal, or as distinct as sizes can make them.
"""

import subprocess
import sys
from datetime import date

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from packaged import CACHE
from page import computer, number
from page import table as markdown

WIDTH = 16


def chain(nodes, distinct):
    """Products with weights, biases and activations, one behind the other."""
    name, made, weights, width = "x", [], [], WIDTH
    for index in range(nodes // 3):
        # Sizes that differ make definitions that differ.
        size = WIDTH + (index % 61 if distinct else 0)
        for part, shape in (("w", (width, size)), ("b", (size,))):
            value = np.full(shape, (1 + index % 7) / 64, np.float32)
            weights.append(numpy_helper.from_array(value, f"{part}{index}"))
        made.append(helper.make_node("MatMul", [name, f"w{index}"], [f"m{index}"], f"matmul{index}"))
        made.append(helper.make_node("Add", [f"m{index}", f"b{index}"], [f"a{index}"], f"add{index}"))
        operator = ("Tanh", "Sigmoid", "Relu")[index % 3 if distinct else 0]
        made.append(helper.make_node(operator, [f"a{index}"], [f"y{index}"], f"act{index}"))
        name, width = f"y{index}", size
    return made, weights, name, width


def wide(nodes, distinct):
    """Layers of 100 nodes, each of two of those before; in the end the sum of all."""
    layer, made = ["x"] * 100, []
    operators = ("Add", "Mul", "Sub", "Max") if distinct else ("Add",)
    for index in range(nodes // 100 - 1):
        following = []
        for place in range(100):
            inputs = [layer[place], layer[(place * 37 + index) % 100]]
            output = f"n{index}_{place}"
            operator = operators[(place + index) % len(operators)]
            made.append(helper.make_node(operator, inputs, [output], output))
            following.append(output)
        layer = following
    made.append(helper.make_node("Sum", layer, ["sum"], "sum"))
    return made, [], "sum", WIDTH


def write(shape, nodes, distinct, path):
    made, weights, name, width = {"chain": chain, "wide": wide}[shape](nodes, distinct)
    value = helper.make_tensor_value_info
    inputs = [value("x", TensorProto.FLOAT, [1, WIDTH])]
    outputs = [value(name, TensorProto.FLOAT, [1, width])]
    graph = helper.make_graph(made, f"{shape} of {nodes}", inputs, outputs, weights)
    save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)


def compiled(opml, path):
    """Processor time and memory of a compilation, which is the only child of a process."""
    code = (
        "import resource, subprocess, sys;"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    words = [sys.executable, "-c", code, opml, "compile", path, "-o", path.with_suffix(".opml")]
    seconds, kilobytes = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return float(seconds), int(kilobytes) * 1024


def table(opml):
    """The text for the page."""
    folder = CACHE / "large"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [["model", "nodes", "definitions", "seconds", "memory MB"]]
    for shape in ("chain", "wide"):
        for nodes in (5000, 50000):
            for distinct in (False, True):
                path = folder / "model.onnx"
                write(shape, nodes, distinct, path)
                seconds, memory = compiled(opml, path)
                kind = "distinct" if distinct else "equal"
                rows.append([shape, f"{nodes:,}", kind, number(seconds), number(memory / 1e6)])
    place = computer([]).rstrip(",\n")
    return f"Measured on {date.today()}: {place}.\n\n{markdown(rows)}"
