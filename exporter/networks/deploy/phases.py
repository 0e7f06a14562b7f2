"""Filters of up- and down-sampling, taken apart into the phases of the finer grid (polyphase decomposition).

Let u be the factor, x the input, lo the padding before it, k the up-sampling filter as a correlation of T taps. Zero
insertion, padding and filter make v[i] = sum_n x[n] k[u n + lo - i]. Of phase p, that is i = u q + p, each value is
v_p[q] = sum_r x[q + r] k[u r + lo - p]: a correlation of x itself with every u-th tap. Down-sampling by the same factor
with a correlation d is y[o] = sum_m d[m] v[u o + m] = sum_p sum_s d[u s + p] v_p[o + s]: one correlation a phase.
"""

from __future__ import annotations

import numpy as np

from runtime.spec import FilteredLayer


def has_phases(layer: FilteredLayer) -> bool:
    """Whether a layer's filters come apart so: both factors alike, and a tap for every phase."""
    return layer.up == layer.down > 1 and min(layer.up_taps, layer.down_taps) >= layer.up


def up_phases(taps: np.ndarray, layer: FilteredLayer, inner: int) -> tuple[list[np.ndarray], int]:
    """Each phase's correlation with the input, and the zeros that all of them need on both of the input's sides.

    `taps` [T] is the filter as stored (a true convolution), `inner` the side of the up-sampled image.
    """
    factor, first = layer.up, layer.padding[0]
    side = (inner + layer.up_taps - 1 - sum(layer.padding)) // factor
    correlation = taps[::-1]
    spans = []
    for phase in range(factor):
        low = -((first - phase) // factor)
        high = (layer.up_taps - 1 + phase - first) // factor
        count = -(-(inner - phase) // factor)
        spans.append((low, high, count - 1 + high - (side - 1)))
    pad = max(0, *(max(-low, after) for low, _, after in spans))
    kernels = []
    for phase, (low, high, after) in enumerate(spans):
        kernel = correlation[factor * low + first - phase :: factor][: high - low + 1]
        kernels.append(np.concatenate([np.zeros(pad + low), kernel, np.zeros(pad - after)]))
    return kernels, pad


def down_phases(taps: np.ndarray, factor: int) -> list[np.ndarray]:
    """The correlation `taps` [T, ...] -> that of each phase, every `factor`-th tap."""
    return [taps[phase::factor] for phase in range(factor)]
