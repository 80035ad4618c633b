#!/usr/bin/env bash
# Fetches the models that PyTorch exported for ONNX's own tests from the pinned `onnx` wheel into .cache/onnx-VERSION.
# compiler/tests/operators.rs runs them.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^onnx==//p' fixtures/train/requirements.txt)
data=.cache/onnx-$version
[ ! -d "$data" ] || exit 0

mkdir -p .cache
python=python3
if ! "$python" -m pip --version >/dev/null 2>&1; then
    python3 -m venv .cache/venv
    python=.cache/venv/bin/python
fi
work=$(mktemp -d .cache/wheel.XXXXXX)
trap 'rm -rf "$work"' EXIT
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "onnx==$version"
"$python" - "$work" <<'PYTHON'
import pathlib
import sys
import zipfile

work = pathlib.Path(sys.argv[1])
[wheel] = work.glob("onnx-*.whl")
prefix = "onnx/backend/test/data/pytorch-"
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(work, [name for name in archive.namelist() if name.startswith(prefix)])
PYTHON
mv "$work/onnx/backend/test/data" "$data"
