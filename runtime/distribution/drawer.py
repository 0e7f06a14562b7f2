"""Whatever draws images of latents: the reference, or a bundle's graphs in any precision on any backend."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from runtime.backends import RunOptions
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.bundle import Bundle
from runtime.generator import Generator
from runtime.graphs import OpenGraphs
from runtime.noise import Noise


class Drawer(Protocol):
    """A generator, whoever computes it. Two of them are compared on the very same inputs."""

    @property
    def name(self) -> str:
        """What it is, for people."""
        ...

    def map(self, z: np.ndarray, c: np.ndarray | None) -> np.ndarray:
        """`z` [N, z_dim] and labels `c` [N, c_dim], None where there are none -> `w` [N, w_dim], not truncated."""
        ...

    def draw(self, styles: np.ndarray, noise: Noise) -> np.ndarray:
        """Styles [N, K, w_dim] -> image, float32 [N, C, H, W], nominally [-1, 1]; `noise` as `Generator` takes it."""
        ...


class GraphDrawer:
    """A bundle's opened graphs."""

    def __init__(self, bundle: Bundle, graphs: OpenGraphs) -> None:
        self._generator = Generator(bundle, graphs)
        self.name = f"{graphs.precision} with {graphs.synthesis.backend.value} on {graphs.synthesis.device}"

    @classmethod
    def reference(cls, bundle: Bundle, options: RunOptions) -> GraphDrawer:
        """The bundle's own float32 graphs on ONNX Runtime's CPU: the reference where there is no PyTorch.

        Raises BackendUnavailableError where ONNX Runtime is not installed.
        """
        mapping, synthesis = (OnnxRuntimeGraph(bundle.graph_path(name), options) for name in ("mapping", "synthesis"))
        return cls(bundle, OpenGraphs(mapping, synthesis, None, options=options))

    def map(self, z: np.ndarray, c: np.ndarray | None) -> np.ndarray:
        """See `Drawer`."""
        return self._generator.map(z, c)

    def draw(self, styles: np.ndarray, noise: Noise) -> np.ndarray:
        """See `Drawer`."""
        return self._generator.synthesize(styles, noise, "image")
