#!/usr/bin/env bash
# Makes ONNX's own tests from the pinned `onnx` wheel, once, in .cache/onnx-VERSION: one folder of cases for each
# kind. tests/conformance runs them.
set -euo pipefail
cd "$(dirname "$0")/.."

pins=fixtures/train/requirements.txt
version=$(sed -n 's/^onnx==//p' $pins)
data=.cache/onnx-$version
[ ! -d "$data/node" ] || exit 0

mkdir -p .cache
work=$(mktemp -d .cache/onnx.XXXXXX)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
grep -E '^(ml_dtypes|numpy|onnx|protobuf|typing_extensions)==' $pins >"$work/requirements.txt"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --requirement "$work/requirements.txt"
"$work/venv/bin/python" tests/conformance/cases.py "$work/cases"
rm -rf "$data"
mv "$work/cases" "$data"
