"""Values of layers that a bundle keeps of its golden samples, so that layers are compared where PyTorch is not.

Of every channel a few pixels are kept, on the border and inside: a wrong weight shows in its channel wherever one
looks, a wrong border only on it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from runtime.spec import GeneratorSpec, LayerOutput

PROBED_IMAGES = 2
"""Golden images whose layers are kept: the first ones, of which one is mixed and one is not."""
PLACES = (
    (0.50, 0.33), (0.00, 0.00), (0.67, 0.75), (1.00, 0.50), (0.20, 0.50), (0.33, 0.00), (0.80, 0.20), (0.00, 1.00),
)  # fmt: skip
"""Where pixels are kept, (y, x) from 0 to 1: inside and on the border, in turns."""
PHASES = ((0, 1), (0, 0), (1, 1), (1, 0), (1, 1), (1, 0), (0, 0), (0, 1))
"""Of these pixels, what y and x are modulo 2: all four among the first four. A weight of an up-convolution reaches one
pixel in four."""
CHANNEL_VALUES = 2048
"""Values kept of a layer and an image, roughly: wide layers keep fewer pixels. 0.3 MB for the widest networks."""
FEWEST_PLACES = 2


def probe_pixels(output: LayerOutput) -> np.ndarray:
    """Which pixels of a layer are kept: rows (y, x), int64 [P, 2]; [1, 2] zeros for a layer without pixels."""
    if output.size is None:
        return np.zeros((1, 2), np.int64)
    count = max(FEWEST_PLACES, min(len(PLACES), CHANNEL_VALUES // output.channels))
    places = np.round(np.array(PLACES[:count]) * (output.size - 1)).astype(np.int64)
    places -= (places - PHASES[:count]) % 2
    return np.unique(places.clip(0), axis=0)


def cut_probes(output: LayerOutput, values: np.ndarray) -> np.ndarray:
    """[N, C, size, size], or [N, C] where there are no pixels -> [N, C, P]."""
    if output.size is None:
        return values[:, : output.channels, None]
    y, x = probe_pixels(output).T
    return values[:, : output.channels, y, x]


def probe_count(spec: GeneratorSpec) -> int:
    """Values kept of an image, over all layers."""
    return sum(item.channels * len(probe_pixels(item)) for item in spec.outputs)


def join_probes(spec: GeneratorSpec, cut: Mapping[str, np.ndarray]) -> np.ndarray:
    """What `cut_probes` made of each layer, by name -> float32 [N, probe_count], in the order of `spec.outputs`."""
    parts = [cut[item.name] for item in spec.outputs]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1).astype(np.float32)


def split_probes(spec: GeneratorSpec, probes: np.ndarray) -> dict[str, np.ndarray]:
    """What `join_probes` made -> [N, C, P] by layer."""
    found, at = {}, 0
    for item in spec.outputs:
        pixels = len(probe_pixels(item))
        end = at + item.channels * pixels
        found[item.name] = probes[:, at:end].reshape(len(probes), item.channels, pixels)
        at = end
    return found
