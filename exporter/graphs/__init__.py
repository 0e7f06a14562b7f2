"""The deployable networks and their ONNX graphs."""

from exporter.graphs.build import Graph, GraphName, build_mapping, build_pipeline, build_split, build_synthesis

__all__ = ["Graph", "GraphName", "build_mapping", "build_pipeline", "build_split", "build_synthesis"]
