"""Writes the test cases that come with the `onnx` package into a folder, a folder for each kind.

The node cases exist only as Python. They are written in the form of the others: model.onnx,
test_data_set_N/input_N.pb and output_N.pb. Their data.json has the operator that a case is about, and the
tolerances.
"""

import json
import pathlib
import shutil
import sys
import warnings

import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case import node

WRITTEN = ["pytorch-converted", "pytorch-operator", "simple"]


def message(value, declared):
    """A value as the protobuf message that its declared type asks for."""
    if isinstance(value, TensorProto):
        return value
    for field, convert in [
        ("map_type", numpy_helper.from_dict),
        ("sequence_type", numpy_helper.from_list),
        ("optional_type", numpy_helper.from_optional),
    ]:
        if declared.type.HasField(field):
            return convert(value, declared.name)
    return numpy_helper.from_array(value, declared.name)


def write(case, folder):
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    # An expanded case has the nodes of the operator's function.
    about = node._existing_names[case.name.split("_expanded")[0]]
    operator = f"{about.domain}.{about.op_type}" if about.domain else about.op_type
    data = {"operator": operator, "rtol": case.rtol, "atol": case.atol}
    (folder / "data.json").write_text(json.dumps(data))
    graph = case.model.graph
    for index, (inputs, outputs) in enumerate(case.data_sets):
        place = folder / f"test_data_set_{index}"
        place.mkdir()
        for kind, values, declared in [("input", inputs, graph.input), ("output", outputs, graph.output)]:
            for number, (value, of) in enumerate(zip(values, declared, strict=True)):
                (place / f"{kind}_{number}.pb").write_bytes(message(value, of).SerializeToString())


def main():
    to = pathlib.Path(sys.argv[1])
    warnings.simplefilter("ignore")
    for case in node.collect_testcases():
        write(case, to / "node" / case.name)
    data = pathlib.Path(onnx.__file__).parent / "backend/test/data"
    for kind in WRITTEN:
        shutil.copytree(data / kind, to / kind, ignore=shutil.ignore_patterns("__init__.py"))


main()
