"""A layer that is not the reference's, with its values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime.layers.compare import LayerFigures
from runtime.spec import LayerOutput


@dataclass(frozen=True)
class Difference:
    """The first layer out of tolerance: its figures, what it should put out and what it does, [N, C, P] each.

    `position` is its number among all layers of the graph.
    `border` says which of the P pixels are on the border. `opset` is what the graph's file says, `expected_opset` what
    the manifest does.
    """

    output: LayerOutput
    own: LayerFigures
    position: int
    precision: str
    reference: np.ndarray
    measured: np.ndarray
    border: np.ndarray
    opset: int
    expected_opset: int
