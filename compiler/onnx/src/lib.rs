//! ONNX protobuf into typed messages.
