"""What every backend offers: a graph opened once, run many times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Protocol

import numpy as np


class BackendName(str, Enum):
    """What may execute a graph. `auto` takes the fastest that is installed."""

    AUTO = "auto"
    ONNXRUNTIME = "onnxruntime"


class GraphRunner(Protocol):
    """One graph, loaded."""

    backend: BackendName
    device: str

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Execute the graph: arrays by input name -> the named outputs, in order."""
        ...
