"""The names in TensorRT's Python bindings of every supported version, read without TensorRT. For tests only."""
