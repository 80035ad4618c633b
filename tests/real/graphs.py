"""Random graphs of well-typed nodes, run here and by onnxruntime.

    tests/real/run --graphs COUNT [--seed SEED]

Shapes and element types of all nodes are those that ONNX's own inference finds; a node that it refuses is
left out. Results may differ as far as rounding explains. A graph that differs more, or that only onnxruntime
runs, is kept in .cache/real/graphs.
"""

import json
import subprocess

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, shape_inference

from packaged import CACHE

FOLDER = CACHE / "graphs"
FLOAT, INT64, INT32, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL
NODES = 8

# How far results may be from each other, relative to the largest number.
TOLERANCE = 1e-4


class Graph:
    """A graph under construction: the type and the shape of every tensor."""

    def __init__(self, random):
        self.random, self.nodes, self.constants, self.inputs = random, [], [], {}
        self.types = {}
        for index in range(random.integers(1, 4)):
            self.input(f"x{index}")

    def pick(self, *choices):
        return choices[self.random.integers(len(choices))]

    def input(self, name):
        """A tensor of floats, or of integers; often of the shape of the last one."""
        shapes = [shape for _, shape in self.types.values()]
        if shapes and self.random.random() < 0.6:
            shape = shapes[-1]
        else:
            shape = tuple(self.pick(1, 2, 3, 4, 5, 8) for _ in range(self.random.integers(1, 5)))
        dtype = self.pick(FLOAT, FLOAT, FLOAT, INT64, INT32)
        value = self.random.standard_normal(shape) * (2 if dtype == FLOAT else 5)
        self.inputs[name] = value.astype(helper.tensor_dtype_to_np_dtype(dtype))
        self.types[name] = dtype, shape

    def constant(self, value, dtype=np.int64):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def tensor(self):
        names = list(self.types)
        return self.pick(*names[-4:]) if self.random.random() < 0.75 else self.pick(*names)

    def axis(self, shape):
        return int(self.random.integers(-len(shape), len(shape))) if shape else 0

    def proposed(self):
        """A node, by its operator, inputs and attributes."""
        x, y = self.tensor(), self.tensor()
        dtype, shape = self.types[x]
        axis, rank = self.axis(shape), len(shape)
        unary = ["Relu", "Tanh", "Sigmoid", "Abs", "Neg", "Erf", "Softplus", "Elu"]
        unary += ["HardSwish", "Floor", "Round", "Sign"]
        binary = ["Add", "Sub", "Mul", "Max", "Min", "Equal", "Less", "Greater"]
        size, ones = shape[axis] if shape else 1, [1] * (rank - 2)
        list_of, random = self.constant, self.random

        def floats(*sizes):
            return self.constant(random.standard_normal(sizes), np.float32)

        def places(*sizes):
            return self.constant(random.integers(0, size, sizes))

        keep = {"keepdims": self.pick(0, 1)}
        reduce = self.pick("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum")
        mode, doubled = self.pick("constant", "edge"), [2 * one for one in ones]
        halves = {"kernel_shape": doubled}
        kinds = [
            lambda: (self.pick(*unary), [x], {}),
            lambda: (self.pick(*binary), [x, y], {}),
            lambda: ("MatMul", [x, y], {}),
            lambda: ("Softmax", [x], {"axis": axis}),
            lambda: ("Transpose", [x], {"perm": random.permutation(rank).tolist()}),
            lambda: ("Concat", [x, y], {"axis": axis}),
            lambda: (reduce, [x, list_of([axis])], keep),
            lambda: (self.pick("ArgMax", "ArgMin"), [x], {"axis": axis, **keep}),
            lambda: ("Reshape", [x, list_of([shape[0] if shape else 1, -1])], {}),
            lambda: ("Unsqueeze", [x, list_of([axis])], {}),
            lambda: ("Cast", [x], {"to": self.pick(FLOAT, INT64, INT32, BOOL)}),
            lambda: ("Where", [self.tensor(), x, y], {}),
            lambda: ("Gather", [x, places(3)], {"axis": axis}),
            lambda: ("GatherElements", [x, places(*shape)], {"axis": axis}),
            lambda: ("Slice", [x, list_of([0]), list_of([max(size - 1, 1)]), list_of([axis])], {}),
            lambda: ("Pad", [x, list_of(random.integers(0, 3, 2 * rank))], {"mode": mode}),
            lambda: ("CumSum", [x, list_of(axis)], {"reverse": self.pick(0, 1)}),
            lambda: ("TopK", [x, list_of([max(size // 2, 1)])], {"axis": axis}),
            lambda: ("MaxPool", [x], {**halves, "pads": [1] * (2 * rank - 4)}),
            lambda: ("AveragePool", [x], {**halves, "strides": doubled}),
            lambda: ("Conv", [x, floats(3, shape[1], *ones)], {}),
            lambda: ("LayerNormalization", [x, floats(shape[-1])], {}),
            lambda: ("Tile", [x, list_of(random.integers(1, 3, rank))], {}),
            lambda: ("Resize", [x, "", self.constant([1, 1, *doubled], np.float32)], {"mode": "linear"}),
        ]
        return self.pick(*kinds)()

    def add(self):
        """Adds a node if it is well-typed."""
        count = len(self.constants)
        try:
            operator, inputs, attributes = self.proposed()
            outputs = [f"y{len(self.nodes)}"] + ([f"y{len(self.nodes)}b"] if operator == "TopK" else [])
            node = helper.make_node(operator, inputs, outputs, f"n{len(self.nodes)}", **attributes)
            types = self.inferred(node)
        except Exception:
            types = None
        if not types or not all(0 < np.prod(shape) <= 4096 for _, shape in types.values()):
            del self.constants[count:]
            return
        self.nodes.append(node)
        self.types |= types

    def inferred(self, node):
        """The types of a node's outputs; nothing if it isn't known that the node is right."""
        made = self.model([node], self.types, node.output)
        made = shape_inference.infer_shapes(made, check_type=True, strict_mode=True, data_prop=True)
        types = {}
        for value in [*made.graph.value_info, *made.graph.output]:
            tensor = value.type.tensor_type
            if value.name in node.output:
                types[value.name] = tensor.elem_type, tuple(size.dim_value for size in tensor.shape.dim)
        known = len(types) == len(node.output) and all(dtype for dtype, _ in types.values())
        # Linear interpolation of integers is rounded here, and cut off there.
        apart = node.op_type == "Resize" and self.types[node.input[0]][0] != FLOAT
        return types if known and not apart else None

    def model(self, nodes, inputs, outputs):
        inputs = [helper.make_tensor_value_info(name, *self.types[name]) for name in inputs]
        known = {name: self.types.get(name) for name in outputs}
        outputs = [helper.make_tensor_value_info(name, *known[name]) if known[name] else
                   onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(nodes, "random", inputs, outputs, self.constants)
        return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])


def theirs(model, inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


def ours(opml, folder, inputs):
    """Our results, the same on all backends; a message if there are none."""
    def run(*words):
        done = subprocess.run([opml, *map(str, words), "--json"], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError((done.stdout + done.stderr)[:400])
        return json.loads(done.stdout)

    run("compile", folder / "model.onnx", "-o", folder / "model.opml")
    given = []
    for name, value in inputs.items():
        np.save(folder / f"{name}.npy", value)
        given += ["--input", f"{name}={folder / name}.npy"]
    results = []
    for backend in ("native", "jit", "interpreter"):
        answer = run("run", folder / "model.opml", *given, "--backend", backend, "-o", folder / backend)
        results.append({name: np.load(path) for name, path in answer["outputs"].items()})
    for other in results[1:]:
        if any(other[name].tobytes() != value.tobytes() for name, value in results[0].items()):
            raise RuntimeError("backends differ")
    return results[0]


def close(one, two):
    if one.shape != two.shape or one.dtype != two.dtype:
        return False
    one, two = one.astype(np.float64), two.astype(np.float64)
    finite = np.isfinite(one) & np.isfinite(two)
    if not np.array_equal(one[~finite], two[~finite], equal_nan=True):
        return False
    scale = max(1.0, np.abs(two[finite]).max(initial=0))
    return bool((np.abs(one[finite] - two[finite]) <= TOLERANCE * scale).all())


def compare(opml, count, seed):
    """Runs so many graphs. Returns what to say, and what is wrong."""
    wrong, done, operators = [], 0, set()
    for number in range(seed, seed + count):
        graph = Graph(np.random.default_rng(number))
        for _ in range(4 * NODES):
            if len(graph.nodes) < NODES:
                graph.add()
        outputs = [name for node in graph.nodes[-3:] for name in node.output]
        inputs = {name: value for name, value in graph.inputs.items()}
        model = graph.model(graph.nodes, inputs, outputs)
        try:
            expected = theirs(model, inputs)
        except Exception:
            continue  # onnxruntime lacks some operators for some types.
        folder = FOLDER / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(model, folder / "model.onnx")
        try:
            found = ours(opml, folder, inputs)
            bad = [name for name, value in zip(outputs, expected) if not close(found[name], value)]
            problem = f"{', '.join(bad)} differ" if bad else None
        except RuntimeError as error:
            problem = str(error)
        done += 1
        operators |= {node.op_type for node in graph.nodes}
        if problem:
            wrong.append(f"graph {number}: {problem}")
        else:
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            folder.rmdir()
    return f"{done} graphs of {len(operators)} operators; {len(wrong)} are wrong.", wrong
