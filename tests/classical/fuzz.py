"""Random models of single operators against onnxruntime, natively and interpreted.

    OPML=target/release/opml .cache/classical/venv/bin/python tests/classical/fuzz.py [COUNT [SEED]]
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from measure import Refused, command, difference, expected

OPML = os.environ["OPML"]
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
TRANSFORMS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"]
ROWS, FEATURES = 5, 3


def half(random, *shape):
    """Few different numbers, so that many are equal."""
    return (random.integers(-3, 4, shape) / 2).astype(np.float32)


def examples(random):
    x = half(random, ROWS, FEATURES)
    x[random.random(x.shape) < 0.1] = np.nan
    return x


def trees(random, modes):
    """Nodes as lists, tree after tree: the tree, the number, the mode, and the children of splits."""
    nodes, leaves = [], []
    for tree in range(random.integers(1, 6)):
        own = [["LEAF", 0, 0]]
        for _ in range(random.integers(0, 7)):
            at = random.choice([i for i, node in enumerate(own) if node[0] == "LEAF"])
            own[at] = [str(random.choice(modes)), len(own), len(own) + 1]
            own += [["LEAF", 0, 0], ["LEAF", 0, 0]]
        nodes += [(tree, number, *node) for number, node in enumerate(own)]
        leaves += [(tree, number) for number, node in enumerate(own) if node[0] == "LEAF"]
    return nodes, leaves


def numbered(random, what, ids, positive):
    modes = MODES if random.random() < 0.5 else [random.choice(MODES)]
    nodes, leaves = trees(random, modes)
    one = random.random() < 0.5
    weights = [
        (tree, node, target) for tree, node in leaves for target in ([ids[tree % len(ids)]] if one else ids)
    ]
    values = half(random, len(weights))
    return {
        "nodes_treeids": [node[0] for node in nodes],
        "nodes_nodeids": [node[1] for node in nodes],
        "nodes_modes": [node[2] for node in nodes],
        "nodes_truenodeids": [node[3] for node in nodes],
        "nodes_falsenodeids": [node[4] for node in nodes],
        "nodes_featureids": random.integers(0, FEATURES, len(nodes)).tolist(),
        "nodes_values": half(random, len(nodes)).tolist(),
        "nodes_missing_value_tracks_true": random.integers(0, 2, len(nodes)).tolist(),
        f"{what}_treeids": [weight[0] for weight in weights],
        f"{what}_nodeids": [weight[1] for weight in weights],
        f"{what}_ids": [int(weight[2]) for weight in weights],
        f"{what}_weights": (np.abs(values) if positive else values).tolist(),
    }


def regressor(random):
    targets = int(random.integers(1, 4))
    attributes = numbered(random, "target", list(range(targets)), False)
    attributes |= {"n_targets": targets, "aggregate_function": str(random.choice(["SUM", "AVERAGE", "MIN", "MAX"]))}
    if random.random() < 0.5:
        attributes["base_values"] = half(random, targets).tolist()
    return "TreeEnsembleRegressor", attributes | {"post_transform": str(random.choice(TRANSFORMS))}, ["y"], examples(random)


def classifier(random):
    classes = int(random.integers(2, 5))
    ids = list(range(classes)) if random.random() < 0.6 else [int(random.integers(0, classes))]
    attributes = numbered(random, "class", ids, random.random() < 0.5)
    attributes["classlabels_int64s"] = (10 * np.arange(1, classes + 1)).tolist()
    bases = random.choice([0, classes] if classes > 2 else [0, 1, 2])
    if bases:
        attributes["base_values"] = half(random, bases).tolist()
    attributes["post_transform"] = str(random.choice(TRANSFORMS[:3]))
    return "TreeEnsembleClassifier", attributes, ["label", "scores"], examples(random)


def linear(random):
    classes = int(random.integers(1, 5))
    attributes = {
        "coefficients": half(random, classes * FEATURES).tolist(),
        "intercepts": half(random, classes).tolist(),
        "classlabels_ints": (10 * np.arange(1, max(classes, 2) + 1)).tolist(),
        "post_transform": str(random.choice(TRANSFORMS[:3])),
    }
    return "LinearClassifier", attributes, ["label", "scores"], half(random, ROWS, FEATURES)


def vectors(random):
    classes = int(random.integers(2, 5))
    counts = random.integers(1, 4, classes)
    pairs = classes * (classes - 1) // 2
    attributes = {
        "coefficients": random.standard_normal((classes - 1) * counts.sum()).astype(np.float32).tolist(),
        "support_vectors": half(random, counts.sum() * FEATURES).tolist(),
        "vectors_per_class": counts.tolist(),
        "rho": random.standard_normal(pairs).astype(np.float32).tolist(),
        "kernel_type": str(random.choice(["LINEAR", "POLY", "RBF", "SIGMOID"])),
        "kernel_params": [0.5, 0.25, float(random.choice([2, 3]))],
        "classlabels_ints": (10 * np.arange(1, classes + 1)).tolist(),
        "post_transform": str(random.choice(TRANSFORMS[:3])),
    }
    if random.random() < 0.5:
        attributes["prob_a"] = (-random.random(pairs) - 0.5).astype(np.float32).tolist()
        attributes["prob_b"] = half(random, pairs).tolist()
    return "SVMClassifier", attributes, ["label", "scores"], half(random, ROWS, FEATURES)


def scaled(random):
    kind = random.choice(["Scaler", "Normalizer", "Imputer", "Binarizer"])
    attributes = {
        "Scaler": {"offset": half(random, FEATURES).tolist(), "scale": half(random, FEATURES).tolist()},
        "Normalizer": {"norm": str(random.choice(["MAX", "L1", "L2"]))},
        "Imputer": {"imputed_value_floats": half(random, FEATURES).tolist(), "replaced_value_float": np.nan},
        "Binarizer": {"threshold": 0.5},
    }[kind]
    x = examples(random) if kind == "Imputer" else half(random, ROWS, FEATURES)
    return kind, attributes, ["y"], x


def encoded(random):
    keys = random.permutation(5)[: random.integers(1, 6)].astype(np.int64)
    values = half(random, len(keys))
    attributes = {"keys_int64s": keys.tolist(), "values_floats": values.tolist(), "default_float": -7.0}
    return "LabelEncoder", attributes, ["y"], random.integers(-1, 6, (ROWS, FEATURES))


def model(operator, attributes, outputs, x):
    node = helper.make_node(operator, ["x"], outputs, domain="ai.onnx.ml", **attributes)
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    kinds = [TensorProto.INT64 if name == "label" else TensorProto.FLOAT for name in outputs]
    graph = helper.make_graph(
        [node],
        operator,
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(outputs, kinds)],
    )
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=sets, ir_version=8)


def main():
    count, seed = (int(word) for word in [*sys.argv[1:], "200", "1"][:2]) if len(sys.argv) < 3 else map(int, sys.argv[1:3])
    kinds, wrong = [regressor, classifier, classifier, linear, vectors, scaled, encoded], 0
    folder = Path(tempfile.mkdtemp())
    for number in range(count):
        random = np.random.default_rng([seed, number])
        operator, attributes, outputs, x = kinds[number % len(kinds)](random)
        made = model(operator, attributes, outputs, x)
        path = folder / "model.onnx"
        onnx.save(made, path)
        np.save(folder / "x.npy", x)
        try:
            theirs = dict(expected(path.read_bytes(), x))
        except Exception as error:
            print(number, operator, "onnxruntime:", str(error)[:100])
            continue
        try:
            command(OPML, "compile", path, "-o", folder / "model.opml")
            for backend in ("native", "interpreter"):
                words = ["--input", f"x={folder / 'x.npy'}", "--backend", backend, "-o", folder / "out"]
                answer = command(OPML, "run", folder / "model.opml", *words)
                for name in theirs:
                    apart = difference(np.load(answer["outputs"][name]), theirs[name])
                    if apart > 1e-5:
                        raise Refused(f"{backend}: {name} differs by {apart}")
        except Refused as error:
            wrong += 1
            print(number, operator, error, {key: value for key, value in attributes.items() if len(str(value)) < 60})
    print(f"{wrong} of {count} differ")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
