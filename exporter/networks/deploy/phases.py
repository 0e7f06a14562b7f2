"""Filters of up- and down-sampling, taken apart into the phases of the finer grid (polyphase decomposition).

Let u be the factor, x the input, lo the padding before it, k the up-sampling filter as a correlation of T taps. Zero
insertion, padding and filter make v[i] = sum_n x[n] k[u n + lo - i]. Of phase p, that is i = u q + p, each value is
v_p[q] = sum_r x[q + r] k[u r + lo - p]: a correlation of x itself with every u-th tap. Down-sampling by the same factor
with a correlation d is y[o] = sum_m d[m] v[u o + m] = sum_p sum_s d[u s + p] v_p[o + s]: one correlation a phase.

Down-sampling by a factor w that divides u, r = u / w times, comes out in r phases of its own, o = r a + b: y_b[a] is
the sum above with b w zeros before d's first tap.
"""

from __future__ import annotations

import numpy as np

from runtime.spec import FilteredLayer


def has_phases(layer: FilteredLayer) -> bool:
    """Whether a layer's filters come apart so: a tap for every phase, and as many results of each."""
    ratio, rest = divmod(layer.up, layer.down)
    whole = layer.down > 1 and rest == 0 and layer.out_size % max(ratio, 1) == 0
    return whole and min(layer.up_taps, layer.down_taps) >= layer.up


def up_phases(taps: np.ndarray, layer: FilteredLayer, inner: int) -> tuple[list[np.ndarray], int]:
    """Each phase's correlation with the input, and the zeros that all of them need on both of the input's sides.

    `taps` [T] is the filter as stored (a true convolution), `inner` the side of the up-sampled image. Each phase has as
    many values as down-sampling takes of it.
    """
    factor, first = layer.up, layer.padding[0]
    side = (inner + layer.up_taps - 1 - sum(layer.padding)) // factor
    correlation = taps[::-1]
    ratio = layer.up // layer.down
    kept = down_phases(np.zeros(layer.down_taps), layer.up, layer.down, ratio - 1)
    spans = []
    for phase in range(factor):
        low = -((first - phase) // factor)
        high = (layer.up_taps - 1 + phase - first) // factor
        count = layer.out_size // ratio + len(kept[phase]) - 1
        spans.append((low, high, count - 1 + high - (side - 1)))
    pad = max(0, *(max(-low, after) for low, _, after in spans))
    kernels = []
    for phase, (low, high, after) in enumerate(spans):
        kernel = correlation[factor * low + first - phase :: factor][: high - low + 1]
        kernels.append(np.concatenate([np.zeros(pad + low), kernel, np.zeros(pad - after)]))
    return kernels, pad


def down_phases(taps: np.ndarray, up: int, down: int, result: int) -> list[np.ndarray]:
    """The correlation `taps` [T, ...] -> that of each phase of the finer grid, for the phase `result` of the output.

    All results of a phase have kernels of the same length, so that they take the same values.
    """
    latest = (up // down - 1) * down
    spread = [(result * down, latest - result * down), *[(0, 0)] * (taps.ndim - 1)]
    return [np.pad(taps, spread)[phase::up] for phase in range(up)]
