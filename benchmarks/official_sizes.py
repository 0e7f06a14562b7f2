"""Specifications of the published configurations, and StyleGAN3's geometry and filters by its paper's formulas."""

from __future__ import annotations

import math
from enum import Enum

import numpy as np

from runtime.spec import (
    Architecture,
    EqualizedRates,
    FilteredLayer,
    Fourier,
    Generation,
    GeneratorSpec,
    MappingSpec,
    StyleGAN1Spec,
    StyleGAN2Spec,
    StyleGAN3Spec,
    Truncation,
)

WIDTH = 512
CHANNEL_MAX = 512


class Network(str, Enum):
    """The configurations to measure with."""

    STYLEGAN1 = "stylegan1"
    STYLEGAN2 = "stylegan2"
    STYLEGAN3_T = "stylegan3-t"
    STYLEGAN3_R = "stylegan3-r"


def official_spec(network: Network, resolution: int) -> GeneratorSpec:
    """A published configuration at a resolution that is a power of two."""
    if network is Network.STYLEGAN1:
        return stylegan1_spec(resolution)
    if network is Network.STYLEGAN2:
        return config_f(resolution)
    return stylegan3_spec(resolution, radial=network is Network.STYLEGAN3_R)


def _widths(resolution: int, base: int) -> tuple[int, ...]:
    return tuple(min(base >> index + 2, CHANNEL_MAX) for index in range(resolution.bit_length() - 2))


def config_f(resolution: int) -> GeneratorSpec:
    """The configuration of the StyleGAN2 paper's best model (arXiv 1912.04958, table 1), clamped as ADA trains it."""
    return GeneratorSpec(
        generation=Generation.STYLEGAN2,
        img_channels=3,
        mapping=MappingSpec(WIDTH, WIDTH, 0, (WIDTH,) * 8, 0, 0.01),
        synthesis=StyleGAN2Spec(
            architecture=Architecture.SKIP,
            channels=_widths(resolution, base=32768),
            resample_filter=(0.125, 0.375, 0.375, 0.125),
            conv_clamp=256.0,
            use_noise=True,
            scaled_demodulation=False,
        ),
    )


def stylegan1_spec(resolution: int) -> GeneratorSpec:
    """The configuration of the StyleGAN paper (arXiv 1812.04948)."""
    return GeneratorSpec(
        generation=Generation.STYLEGAN1,
        img_channels=3,
        mapping=MappingSpec(WIDTH, WIDTH, 0, (WIDTH,) * 8, 0, 0.01, weight_gain=math.sqrt(2), activation_gain=1.0),
        synthesis=StyleGAN1Spec(
            channels=_widths(resolution, base=16384),
            blur_filter=(0.25, 0.5, 0.25),
            norm_epsilon=1e-8,
            rates=EqualizedRates(conv=math.sqrt(2), style=1.0, rgb=1.0, noise=None),
            style_offset=1.0,
            bias_before_blur=False,
            noise_per_block=False,
            rgb_everywhere=True,
            use_noise=True,
        ),
        truncation=Truncation(psi=0.7, cutoff=8),
    )


FIRST_CUTOFF = 2.0
FIRST_STOPBAND = 2**2.1
LAST_STOPBAND_REL = 2**0.3
NUM_CRITICAL = 2
TAPS_PER_FACTOR = 6
WINDOW_SHAPE = 5.0
"""Beta of the filters' Kaiser window: about that of the official filters."""


def stylegan3_spec(
    resolution: int,
    radial: bool = False,
    num_layers: int = 14,
    width: int = WIDTH,
    channels: tuple[int, int] = (32768, CHANNEL_MAX),
    margin: int = 10,
    mapping: MappingSpec | None = None,
    img_channels: int = 3,
) -> GeneratorSpec:
    """Configuration T, or R where `radial` (arXiv 2106.12423, section 3 and appendix C).

    `channels` holds the numerator and the bound of a layer's width, which R doubles.
    """
    last_cutoff = resolution / 2
    exponents = np.minimum(np.arange(num_layers + 1) / (num_layers - NUM_CRITICAL), 1)
    cutoffs = FIRST_CUTOFF * (last_cutoff / FIRST_CUTOFF) ** exponents
    stopbands = FIRST_STOPBAND * (last_cutoff * LAST_STOPBAND_REL / FIRST_STOPBAND) ** exponents
    rates = np.exp2(np.ceil(np.log2(np.minimum(stopbands * 2, resolution))))
    sizes = (rates + 2 * margin).astype(int)
    sizes[-2:] = resolution
    base, most = (size * (2 if radial else 1) for size in channels)
    widths = np.rint(np.minimum(base / 2 / cutoffs, most)).astype(int)
    widths[-1] = img_channels
    layers = []
    kernel = 1 if radial else 3
    for index in range(num_layers + 1):
        before = max(index - 1, 0)
        rgb, critical = index == num_layers, index >= num_layers - NUM_CRITICAL
        inner = max(rates[before], rates[index]) * (1 if rgb else 2)
        up, down = int(inner / rates[before]), int(inner / rates[index])
        up_taps, down_taps = (TAPS_PER_FACTOR * factor if factor > 1 and not rgb else 1 for factor in (up, down))
        in_size, out_size = int(sizes[before]), int(sizes[index])
        total = (out_size - 1) * down + 1 - (in_size + (1 if rgb else kernel) - 1) * up + up_taps + down_taps - 2
        first = (total + up) // 2
        layers.append(
            FilteredLayer(
                name=f"L{index}_{out_size}_{widths[index]}",
                in_channels=int(widths[before]),
                out_channels=int(widths[index]),
                in_size=in_size,
                out_size=out_size,
                up=up,
                down=down,
                up_taps=up_taps,
                down_taps=down_taps,
                radial=radial and not critical,
                padding=(first, total - first),
            )
        )
    return GeneratorSpec(
        generation=Generation.STYLEGAN3,
        img_channels=img_channels,
        mapping=mapping or MappingSpec(width, width, 0, (width,) * 2, 0, 0.01),
        synthesis=StyleGAN3Spec(
            fourier=Fourier(int(widths[0]), int(sizes[0]), float(rates[0]), FIRST_CUTOFF),
            filtered=tuple(layers),
            conv_kernel=kernel,
            conv_clamp=256.0,
            output_scale=0.25,
        ),
    )


def kaiser_filter(taps: int, factor: int) -> np.ndarray:
    """A low-pass filter of sum 1 that keeps what `factor` times fewer samples can hold: a windowed sinc [taps]."""
    offsets = np.arange(taps) - (taps - 1) / 2
    line = np.sinc(offsets / factor) * np.kaiser(taps, WINDOW_SHAPE)
    return np.asarray(line / line.sum())


def radial_filter(taps: int, factor: int) -> np.ndarray:
    """Its rotationally symmetric sibling [taps, taps]: a jinc in a Kaiser window (appendix C.2)."""
    offsets = np.arange(taps) - (taps - 1) / 2
    radius = np.hypot(*np.meshgrid(offsets, offsets))
    angles = np.linspace(0, np.pi, 1001)
    x = np.pi * radius / factor
    bessel = np.cos(angles - x[..., None] * np.sin(angles)).mean(axis=-1)  # J1 by its integral
    window = np.kaiser(taps, WINDOW_SHAPE)
    kernel = bessel / radius * np.outer(window, window)
    return np.asarray(kernel / kernel.sum())
