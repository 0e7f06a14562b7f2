"""What keeps float16 from overflowing: for every style and every latent, by bounds that hold for any weights.

A convolution's weights have a norm of 1 for each output channel, and its styles a root mean square of 1 for each image;
what they were divided by is multiplied back in float32, where it mostly cancels in the demodulation. By the inequality
of Cauchy and Schwarz, a convolution of k^2 taps and C channels is then at most max|x| * sqrt(k^2 C), styled or not:
17,400 for values clamped at 256 and the largest networks, 46,400 after StyleGAN2's up-sampling filter. Demodulation,
noise, bias, activation and clamp are computed in float32, and so are all styles and the sum of RGB images.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

HALF_MAX = 65504.0
"""The largest float16."""
ACTIVATION_LIMIT = 256.0
"""Largest activation in float16, where the network itself has no clamp: the clamp of NVIDIA's own float16 training.
Trained networks stay far below it; one that does not fails the comparison that every export makes."""
FILTER_LIMIT = 16384.0
"""Largest value that StyleGAN3's up-sampling filters take in float16: they overshoot by less than four times."""
TINY = 1e-30
"""Added to a mean square, so that a style of zeros stays one."""


def unit_channels(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [out, in, k, k] with a norm of 1 for each output channel, and the norms [out]; zeros stay zeros."""
    norm = np.sqrt((weight**2).sum(axis=(1, 2, 3)))
    norm = np.where(norm > 0, norm, 1.0)
    return weight / norm[:, None, None, None], norm


def unit_styles(styles: Tensor, inverse_widths: Tensor) -> tuple[Tensor, Tensor]:
    """Styles [N, L, 1, C], padded with zeros -> those with a root mean square of 1, and what they were divided by.

    `inverse_widths` [L, 1, 1] is 1 / C of each layer. The second result is [N, L, 1, 1].
    """
    square = (styles * styles).sum(dim=3, keepdim=True) * inverse_widths + TINY
    inverse = torch.rsqrt(square)
    return styles * inverse, square * inverse
