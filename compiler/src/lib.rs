//! From ONNX model to image.
