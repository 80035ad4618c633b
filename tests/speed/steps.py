"""How many steps models take in the machine, and how close the bounds are."""

import json
import math
import subprocess
import sys

import onnx

from models import ELEMENTS
from page import listed, number, reason, table


def profile(opml, folder, cache):
    """The big steps of a run in the machine: each has its node, its steps and its bound."""
    model, image = folder / "model.onnx", cache / "steps.opml"
    inputs = [declared.name for declared in onnx.load(model).graph.input]
    paths = sorted((folder / "test_data_set_0").glob("input_*.pb"))
    named = [word for name, path in zip(inputs, paths) for word in ("--input", f"{name}={path}")]

    def answer(*command):
        command = [opml, *command, "--json"]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    answer("compile", model, "-o", image)
    return answer("profile", image, *named)["big_steps"]


def ratio(part):
    return part["bound"] / part["steps"]


def steps(groups, opml, cache):
    """The text for the page. Steps are for a multiply-add, or for an element where a model has none."""
    head = ["model", "million steps", "steps", "for each", "bound / steps"]
    rows, notes = [[*head, "loosest big step", "its operator", "its share"]], []
    for found in groups.values():
        for name, (folder, work) in found.items():
            try:
                parts = profile(opml, folder, cache)
            except subprocess.CalledProcessError as error:
                notes.append(f"{name}: {reason(json.loads(error.stdout)['error']['message'])}")
                continue
            total, bound = (sum(part[what] for part in parts) for what in ("steps", "bound"))
            each = number(total / (work or math.prod(ELEMENTS)))
            loosest = max(parts, key=ratio)
            rows.append([name, number(total / 1e6), each, "multiply-add" if work else "element"])
            rows[-1] += [number(bound / total), number(ratio(loosest)), loosest["operator"]]
            rows[-1].append(f"{100 * loosest['steps'] / total:.1f} %")
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    return table(rows) + listed("Not counted", notes)
