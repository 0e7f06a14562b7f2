"""Which nodes of a graph a TensorRT version would refuse, from what NVIDIA documents. Needs onnx; never TensorRT."""

from exporter.tensorrt_lint.check import GraphReport, lint_graph
from exporter.tensorrt_lint.finding import Finding, Severity

__all__ = ["Finding", "GraphReport", "Severity", "lint_graph"]
