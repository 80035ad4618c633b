#!/usr/bin/env python3
"""Compiles a model, runs it, compares its outputs, and plays a dispute, all through `opml --json`.

Needs Python 3.9 or later and `opml` on the path, nothing else. See README.md beside this file.
"""

import argparse
import json
import struct
import subprocess
import sys
from pathlib import Path


class OpmlError(Exception):
    """What `opml` reports when it fails: a message and, often, what to do."""


def opml(*arguments):
    """Runs `opml` and returns the object that it prints."""
    command = ["opml", "--json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout)
    try:
        failure = json.loads(done.stderr.splitlines()[-1])
    except (IndexError, ValueError):
        raise OpmlError(done.stderr or f"opml ended with {done.returncode}") from None
    hint = f"\n  {failure['hint']}" if failure.get("hint") else ""
    raise OpmlError(failure["error"] + hint)


def read_floats(path):
    """The numbers of an .npy file of float32, without NumPy."""
    data = Path(path).read_bytes()
    if data[:6] != b"\x93NUMPY" or data[6] not in (1, 2):
        raise ValueError(f"{path}: not an .npy file of version 1 or 2")
    size = 2 if data[6] == 1 else 4
    start = 8 + size + int.from_bytes(data[8 : 8 + size], "little")
    header = data[8 + size : start].decode("latin-1")
    if "'<f4'" not in header:
        raise ValueError(f"{path}: not float32: {header.strip()}")
    return list(struct.unpack(f"<{(len(data) - start) // 4}f", data[start:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="an ONNX model with one output")
    parser.add_argument("input", help="its input: FILE.npy, or NAME=FILE.npy if there are several")
    parser.add_argument("expected", type=Path, help="the output to compare with, an .npy file")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="the largest difference allowed")
    parser.add_argument("-o", "--output", type=Path, default=Path("walkthrough"), help="folder for the results")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    image = args.output / "model.opml"
    compiled = opml("compile", args.model, "-o", image)
    print(f"compiled   image root {compiled['image_root']}")

    run = opml("run", image, "--input", args.input, "-o", args.output, "--backend", "jit")
    (name, file), = run["outputs"].items()
    print(f"ran        {run['steps']:,} steps to state root {run['state_root']}")

    ours, expected = read_floats(file), read_floats(args.expected)
    if len(ours) != len(expected):
        raise ValueError(f"{name} has {len(ours)} numbers, {args.expected} has {len(expected)}")
    difference = max(abs(a - b) for a, b in zip(ours, expected))
    print(f"compared   {name}: largest difference {difference:.1e}")
    if not difference <= args.tolerance:
        raise ValueError(f"{name} differs by {difference}, more than {args.tolerance}")

    dispute = opml("dispute", image, "--input", args.input, "--cheat", "weight")
    game = dispute["disputes"][0]
    print(f"disputed   the {game['winner']} wins after {game['transactions']} transactions, {game['gas']:,} gas")


if __name__ == "__main__":
    try:
        main()
    except (OpmlError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
