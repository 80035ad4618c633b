"""A model in another engine, timed when it is told to.

    engines.py ENGINE FOLDER THREADS RESULTS

An engine loads the model in the folder and its inputs, writes the bytes of its results to a file, and prints
"ready", or "refused: " and why. From then on it reads a number of runs from a line, runs the model once, then
as often as it was told, and prints the median of these times in seconds. `runtime/native/benches/models.rs`
does the same with ours. Inputs are where the engine wants them before the time starts; results aren't copied.
"""

import statistics
import sys
import time
from pathlib import Path


def is_plain(declared):
    """Whether an output is of floats and has a fixed shape."""
    return declared.type == "tensor(float)" and all(isinstance(size, int) for size in declared.shape)


def onnxruntime(model, inputs, threads):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    values = {
        declared.name: ort.OrtValue.ortvalue_from_numpy(value)
        for declared, value in zip(session.get_inputs(), inputs)
    }
    if not all(is_plain(declared) for declared in session.get_outputs()):
        run = lambda: session.run_with_ort_values(None, values)
        return run, lambda: [value.numpy() for value in run()]
    binding = session.io_binding()
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    for declared in session.get_outputs():
        value = ort.OrtValue.ortvalue_from_shape_and_type(declared.shape, "float32")
        binding.bind_ortvalue_output(declared.name, value)
    return lambda: session.run_with_iobinding(binding), binding.copy_outputs_to_cpu


def tract(model, inputs, threads):
    import tract

    if threads != 1:
        raise ValueError("the package has no threads")
    state = tract.onnx().load(model).into_model().into_runnable().spawn_state()
    inputs = [tract.Tensor.from_numpy(value) for value in inputs]
    return lambda: state.run(inputs), lambda: [value.to_numpy() for value in state.run(inputs)]


def main(engine, folder, threads, results):
    from onnx import load_tensor, numpy_helper

    folder = Path(folder)
    paths = sorted((folder / "test_data_set_0").glob("input_*.pb"))
    inputs = [numpy_helper.to_array(load_tensor(path)) for path in paths]
    try:
        run, outputs = {"onnxruntime": onnxruntime, "tract": tract}[engine](
            str(folder / "model.onnx"), inputs, int(threads)
        )
        run()
    except Exception as error:
        return print("refused:", " ".join(str(error).split()), flush=True)
    Path(results).write_bytes(b"".join(value.tobytes() for value in outputs()))
    print("ready", flush=True)
    for line in sys.stdin:
        run()
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        print(statistics.median(times), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
