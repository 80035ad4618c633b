"""Models that a script makes: an encoder of a package's weights, and what onnxruntime's quantizer makes.

A maker writes the model into a folder, and gives its path and its inputs.
"""

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

import minilm
from packaged import PACKAGED, below, member, value

LENGTH = 128
TEXT = {
    "input_ids": below(30522, 1, LENGTH),
    "attention_mask": value(1, 1, LENGTH, dtype=np.int64),
    "token_type_ids": value(0, 1, LENGTH, dtype=np.int64),
}


class Samples(CalibrationDataReader):
    """What the quantizer finds the ranges of numbers by."""

    def __init__(self, inputs, count=4):
        random = np.random.default_rng(1)
        self.samples = iter([{name: make(random) for name, make in inputs.items()} for _ in range(count)])

    def get_next(self):
        return next(self.samples, None)


def encoder(folder):
    path = folder / "minilm.onnx"
    minilm.export(path)
    return path, TEXT


def detector(folder):
    package, name, inputs = PACKAGED["nudenet"]
    return member(package, name, folder), inputs


def dynamic(source):
    def make(folder):
        path, inputs = source(folder)
        quantize_dynamic(path, folder / "dynamic.onnx", weight_type=QuantType.QInt8)
        return folder / "dynamic.onnx", inputs

    return make


def static(source, form, **options):
    def make(folder):
        path, inputs = source(folder)
        quantize_static(path, folder / "static.onnx", Samples(inputs), quant_format=form, **options)
        return folder / "static.onnx", inputs

    return make


QDQ, OPERATORS = QuantFormat.QDQ, QuantFormat.QOperator
# Products by rows of signed bytes are what most quantize to; activations may be unsigned.
CHANNELS = {"per_channel": True, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}

MADE = {
    "MiniLM": encoder,
    "MiniLM, dynamic": dynamic(encoder),
    "MiniLM, QDQ": static(encoder, QDQ),
    "MiniLM, QOperator": static(encoder, OPERATORS),
    "nudenet, dynamic": dynamic(detector),
    "nudenet, QDQ": static(detector, QDQ, **CHANNELS),
    "nudenet, QOperator": static(detector, OPERATORS, **CHANNELS),
}
