"""The models that are measured: what a framework exports, with random weights from fixed seeds.

    FOLDER/model.onnx, FOLDER/test_data_set_0/input_0.pb ...

This is the layout of ONNX's backend tests and of ../../fixtures. Weights are scaled so that activations
neither vanish nor explode. As in an export for inference, batch normalization is part of the convolution
before it, where there is one.
"""

import math
import zlib

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

OPSET = 17
ELEMENTS = (512, 512)


class Model:
    """A model under construction. A tensor is its name; `work` counts multiply-adds."""

    def __init__(self, name):
        self.name, self.work = name, 0
        self.random = np.random.default_rng(zlib.crc32(name.encode()))
        self.shapes, self.inputs, self.constants, self.nodes = {}, {}, [], []

    def normal(self, shape, deviation=1.0, mean=0.0):
        return self.random.standard_normal(shape, np.float32) * np.float32(deviation) + np.float32(mean)

    def input(self, *shape, deviation=1.0):
        name = f"input_{len(self.inputs)}"
        self.inputs[name], self.shapes[name] = self.normal(shape, deviation), shape
        return name

    def constant(self, value, dtype=np.float32):
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        self.shapes[name] = np.shape(value)
        return name

    def node(self, operator, inputs, shape, **attributes):
        """A node with one output of this shape."""
        return self.nodes_of(operator, inputs, [shape], **attributes)[0]

    def nodes_of(self, operator, inputs, shapes, **attributes):
        """A node with an output of each shape."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        outputs = [name] if len(shapes) == 1 else [f"{name}_{index}" for index in range(len(shapes))]
        self.nodes.append(helper.make_node(operator, inputs, outputs, name, **attributes))
        self.shapes.update(zip(outputs, map(tuple, shapes)))
        return outputs

    # --- Layers ---------------------------------------------------------------------------------------------

    def map(self, operator, *inputs, **attributes):
        """A node whose output has the shape of its inputs after broadcasting."""
        shape = np.broadcast_shapes(*(self.shapes[name] for name in inputs))
        return self.node(operator, inputs, shape, **attributes)

    def relu(self, x):
        return self.map("Relu", x)

    def conv(self, x, channels, kernel, stride=1, groups=1, gain=2.0):
        """A convolution that keeps the image's size, but for the stride; `gain` 2 is for a Relu after it."""
        batch, inputs, *size = self.shapes[x]
        pad = kernel // 2
        size = [(length + 2 * pad - kernel) // stride + 1 for length in size]
        weights = (channels, inputs // groups, kernel, kernel)
        shape = (batch, channels, *size)
        self.work += math.prod(shape) * math.prod(weights[1:])
        parameters = [
            self.constant(self.normal(weights, math.sqrt(gain / math.prod(weights[1:])))),
            self.constant(self.normal(channels, 0.1)),
        ]
        attributes = {"pads": [pad] * 4, "strides": [stride] * 2, "dilations": [1, 1], "group": groups}
        return self.node("Conv", [x, *parameters], shape, kernel_shape=[kernel] * 2, **attributes)

    def norm(self, x):
        """A batch normalization that no convolution comes before."""
        channels = self.shapes[x][1]
        scale, bias, mean = (self.normal(channels, 0.1, at) for at in (1.0, 0.0, 0.0))
        variance = self.random.uniform(0.5, 1.5, channels)
        parameters = map(self.constant, (scale, bias, mean, variance))
        return self.node("BatchNormalization", [x, *parameters], self.shapes[x])

    def pool(self, operator, x, kernel, stride, pad=0, **attributes):
        batch, channels, *size = self.shapes[x]
        size = [(length + 2 * pad - kernel) // stride + 1 for length in size]
        attributes |= {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        return self.node(operator, [x], (batch, channels, *size), **attributes)

    def matmul(self, a, b):
        (*batch, rows, inner), columns = self.shapes[a], self.shapes[b][-1]
        self.work += math.prod(batch) * rows * inner * columns
        return self.node("MatMul", [a, b], (*batch, rows, columns))

    def linear(self, x, columns, gain=1.0):
        """A fully connected layer over the last axis, as it is exported for tensors of more than two axes."""
        inner = self.shapes[x][-1]
        weights = self.constant(self.normal((inner, columns), math.sqrt(gain / inner)))
        return self.map("Add", self.constant(self.normal(columns, 0.1)), self.matmul(x, weights))

    def classifier(self, x, classes=1000):
        """Flatten and a fully connected layer, as it is exported for matrices."""
        features = math.prod(self.shapes[x][1:])
        x = self.node("Flatten", [x], (1, features), axis=1)
        self.work += features * classes
        weights = self.constant(self.normal((classes, features), math.sqrt(1 / features)))
        bias = self.constant(self.normal(classes, 0.1))
        return self.node("Gemm", [x, weights, bias], (1, classes), transB=1)

    def mean(self, x):
        return self.node("GlobalAveragePool", [x], (*self.shapes[x][:2], 1, 1))

    def concat(self, *inputs):
        batch, _, *size = self.shapes[inputs[0]]
        channels = sum(self.shapes[name][1] for name in inputs)
        return self.node("Concat", inputs, (batch, channels, *size), axis=1)

    def reshape(self, x, *shape):
        return self.node("Reshape", [x, self.constant(shape, np.int64)], shape)

    def transpose(self, x, *axes):
        return self.node("Transpose", [x], [self.shapes[x][axis] for axis in axes], perm=axes)

    def shuffle(self, x, groups):
        """Channels of groups, one of each group at a time."""
        batch, channels, *size = self.shapes[x]
        apart = self.reshape(x, batch, groups, channels // groups, *size)
        return self.reshape(self.transpose(apart, 0, 2, 1, 3, 4), batch, channels, *size)

    def layer_norm(self, x):
        width = self.shapes[x][-1]
        scale, bias = (self.constant(self.normal(width, 0.1, mean)) for mean in (1.0, 0.0))
        return self.node("LayerNormalization", [x, scale, bias], self.shapes[x], axis=-1, epsilon=1e-12)

    def gelu(self, x):
        erf = self.map("Erf", self.map("Div", x, self.constant(math.sqrt(2))))
        product = self.map("Mul", x, self.map("Add", erf, self.constant(1)))
        return self.map("Mul", product, self.constant(0.5))

    # --- The result -----------------------------------------------------------------------------------------

    def write(self, folder, output):
        """Writes the model and its inputs."""
        data = folder / "test_data_set_0"
        data.mkdir(parents=True, exist_ok=True)
        value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name])
        inputs, outputs = map(value, self.inputs), [value(output)]
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, self.constants)
        opset = helper.make_opsetid("", OPSET)
        save(helper.make_model(graph, ir_version=8, opset_imports=[opset]), folder / "model.onnx")
        for index, (name, array) in enumerate(self.inputs.items()):
            tensor = numpy_helper.from_array(array, name)
            (data / f"input_{index}.pb").write_bytes(tensor.SerializeToString())


# --- Parts of networks --------------------------------------------------------------------------------------


def matmul(m):
    return m.matmul(m.input(512, 512), m.input(512, 512, deviation=1 / math.sqrt(512)))


def gemv(m):
    return m.matmul(m.input(1, 4096), m.constant(m.normal((4096, 4096), 1 / 64)))


def conv(m):
    x = m.input(1, 3, 224, 224)
    for channels, stride in (32, 1), (64, 2), (64, 1):
        x = m.relu(m.conv(x, channels, 3, stride))
    return x


def conv_1x1(m):
    return m.conv(m.input(1, 256, 28, 28), 256, 1, gain=1)


def conv_depthwise(m):
    return m.conv(m.input(1, 192, 56, 56), 192, 3, groups=192, gain=1)


# --- Networks -----------------------------------------------------------------------------------------------


def squeezenet(m):
    """SqueezeNet 1.1."""
    x = m.relu(m.conv(m.input(1, 3, 224, 224), 64, 3, 2))
    x = m.pool("MaxPool", x, 3, 2)
    for index, (squeeze, expand) in enumerate(
        [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]
    ):
        if index in (2, 4):
            x = m.pool("MaxPool", x, 3, 2)
        x = m.relu(m.conv(x, squeeze, 1))
        x = m.concat(m.relu(m.conv(x, expand, 1)), m.relu(m.conv(x, expand, 3)))
    x = m.mean(m.relu(m.conv(x, 1000, 1)))
    return m.node("Flatten", [x], (1, 1000), axis=1)


def shufflenet_v1(m):
    """ShuffleNet 1x with three groups."""

    def unit(x, channels, stride, groups):
        width = channels // 4
        out = channels if stride == 1 else channels - m.shapes[x][1]
        y = m.shuffle(m.relu(m.conv(x, width, 1, groups=groups)), 3)
        y = m.conv(m.conv(y, width, 3, stride, groups=width, gain=1), out, 1, groups=3, gain=0.5)
        if stride == 1:
            return m.relu(m.map("Add", x, y))
        shortcut = m.pool("AveragePool", x, 3, 2, 1, count_include_pad=1)
        return m.relu(m.concat(shortcut, y))

    x = m.relu(m.conv(m.input(1, 3, 224, 224), 24, 3, 2))
    x = m.pool("MaxPool", x, 3, 2, 1)
    for channels, count in (240, 4), (480, 8), (960, 4):
        for index in range(count):
            x = unit(x, channels, 1 if index else 2, 1 if channels == 240 and not index else 3)
    return m.classifier(m.mean(x))


def shufflenet_v2(m):
    """ShuffleNet V2 1x."""

    def branch(x, width, stride):
        x = m.relu(m.conv(x, width, 1))
        return m.relu(m.conv(m.conv(x, width, 3, stride, groups=width, gain=1), width, 1))

    def unit(x, channels, stride):
        width, (batch, _, *size) = channels // 2, m.shapes[x]
        if stride == 1:
            sizes = m.constant([width, width], np.int64)
            left, right = m.nodes_of("Split", [x, sizes], [(batch, width, *size)] * 2, axis=1)
        else:
            left = m.conv(x, m.shapes[x][1], 3, 2, groups=m.shapes[x][1], gain=1)
            left, right = m.relu(m.conv(left, width, 1)), x
        return m.shuffle(m.concat(left, branch(right, width, stride)), 2)

    x = m.relu(m.conv(m.input(1, 3, 224, 224), 24, 3, 2))
    x = m.pool("MaxPool", x, 3, 2, 1)
    for channels, count in (116, 4), (232, 8), (464, 4):
        for index in range(count):
            x = unit(x, channels, 1 if index else 2)
    return m.classifier(m.mean(m.relu(m.conv(x, 1024, 1))))


def densenet121(m):
    def layer(x):
        y = m.relu(m.conv(m.relu(m.norm(x)), 128, 1))
        return m.conv(y, 32, 3, gain=1)

    x = m.relu(m.conv(m.input(1, 3, 224, 224), 64, 7, 2))
    x = m.pool("MaxPool", x, 3, 2, 1)
    for block, layers in enumerate((6, 12, 24, 16)):
        if block:
            x = m.conv(m.relu(m.norm(x)), m.shapes[x][1] // 2, 1)
            x = m.pool("AveragePool", x, 2, 2)
        # The concatenations are as exported: each layer joins all that came before.
        parts = [x]
        for _ in range(layers):
            parts.append(layer(m.concat(*parts)))
        x = m.concat(*parts)
    return m.classifier(m.mean(m.relu(m.norm(x))))


def resnet50(m):
    def bottleneck(x, width, stride):
        y = m.relu(m.conv(x, width, 1))
        y = m.conv(m.relu(m.conv(y, width, 3, stride)), 4 * width, 1, gain=0.3)
        if m.shapes[x] != m.shapes[y]:
            x = m.conv(x, 4 * width, 1, stride, gain=1)
        return m.relu(m.map("Add", y, x))

    x = m.relu(m.conv(m.input(1, 3, 224, 224), 64, 7, 2))
    x = m.pool("MaxPool", x, 3, 2, 1)
    for width, count in (64, 3), (128, 4), (256, 6), (512, 3):
        for index in range(count):
            x = bottleneck(x, width, 2 if width > 64 and not index else 1)
    return m.classifier(m.mean(x))


def encoder_layer(m, length=128, width=384, heads=12):
    """A layer of MiniLM: attention with a mask, two fully connected layers with Gelu."""
    x = m.input(1, length, width)
    mask = np.where(np.arange(length) < length - 8, 0, np.finfo(np.float32).min)
    mask = m.constant(mask.reshape(1, 1, 1, length))
    size = width // heads

    def split(y, *axes):
        return m.transpose(m.reshape(y, 1, length, heads, size), *axes)

    query, key, value = (m.linear(x, width) for _ in range(3))
    scores = m.matmul(split(query, 0, 2, 1, 3), split(key, 0, 2, 3, 1))
    scores = m.map("Add", m.map("Div", scores, m.constant(math.sqrt(size))), mask)
    mixed = m.matmul(m.map("Softmax", scores, axis=-1), split(value, 0, 2, 1, 3))
    mixed = m.reshape(m.transpose(mixed, 0, 2, 1, 3), 1, length, width)
    x = m.layer_norm(m.map("Add", m.linear(mixed, width), x))
    y = m.linear(m.gelu(m.linear(x, 4 * width)), width)
    return m.layer_norm(m.map("Add", y, x))


# --- Functions of elements ----------------------------------------------------------------------------------


def function(operator, **attributes):
    return lambda m: m.map(operator, m.input(*ELEMENTS, deviation=2), **attributes)


def gelu(m):
    return m.gelu(m.input(*ELEMENTS, deviation=2))


# The models by group, and by name: what makes each.
GROUPS = {
    "Parts of networks": {
        "matmul 512x512x512": matmul,
        "gemv 4096x4096": gemv,
        "conv 3x3, 3 layers": conv,
        "conv 1x1": conv_1x1,
        "conv depthwise": conv_depthwise,
    },
    "Networks": {
        "squeezenet": squeezenet,
        "shufflenet v1": shufflenet_v1,
        "shufflenet v2": shufflenet_v2,
        "densenet121": densenet121,
        "resnet50": resnet50,
        "transformer layer": encoder_layer,
    },
    "Functions of 262,144 elements": {
        "exp": function("Exp"),
        "tanh": function("Tanh"),
        "sigmoid": function("Sigmoid"),
        "erf": function("Erf"),
        "gelu": gelu,
        "softmax": function("Softmax", axis=-1),
    },
}


def make(name, build, folder):
    """Writes a model to a folder and returns its number of multiply-adds."""
    model = Model(name)
    model.write(folder, build(model))
    return model.work
