"""Measures models. `run` installs what this needs and says how it is called."""

import argparse
import json
import os
import re
import subprocess
import sys

import models
from page import ROOT, bless
from steps import steps
from times import times

CACHE = ROOT / ".cache/speed"


def built(*arguments):
    """The executable that a cargo command builds."""
    command = ["cargo", *arguments, "--message-format=json-render-diagnostics"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    messages = [json.loads(line) for line in output.splitlines()]
    return [message["executable"] for message in messages if message.get("executable")][-1]


def made(chosen):
    """The folders of the models and their multiply-adds, by group and name."""
    groups = {}
    for group, builders in models.GROUPS.items():
        for name in filter(chosen, builders):
            folder = CACHE / "models" / re.sub(r"\W+", "-", name)
            groups.setdefault(group, {})[name] = folder, models.make(name, builders[name], folder)
    for name in filter(chosen, ["mnist-cnn", "mnist-mlp"]):
        folder = ROOT / "fixtures" / name
        work = json.loads((folder / "metrics.json").read_text())["multiply_adds"]
        groups.setdefault("Bundled networks", {})[name] = folder, work
    return groups


def main():
    parser = argparse.ArgumentParser(prog="tests/speed/run")
    parser.add_argument("--rounds", type=int, default=11, help="how often every engine has its turn")
    parser.add_argument("--steps", action="store_true", help="count steps of the machine instead")
    parser.add_argument("model", nargs="*", help="only these models")
    arguments = parser.parse_args()
    groups = made(lambda name: not arguments.model or name in arguments.model)
    if arguments.steps:
        opml = os.environ.get("OPML") or built("build", "--release", "-p", "opml")
        mark, text, wrong = "steps", steps(groups, opml, CACHE), []
    else:
        executable = built("bench", "--no-run", "-p", "opml-native", "--bench", "models")
        mark, (text, wrong) = "speed", times(groups, executable, CACHE, arguments.rounds)
    print(text)
    if os.environ.get("OPML_BLESS"):
        bless(mark, text)
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
