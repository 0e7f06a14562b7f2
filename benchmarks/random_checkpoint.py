"""Write a StyleGAN2 checkpoint of official size (config-f) with seeded random weights: a stand-in to measure with.

python benchmarks/random_checkpoint.py --resolution 1024 -o config-f-1024.safetensors
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from exporter.checkpoints import Checkpoint, SourceFormat, write_safetensors
from exporter.checkpoints.layout import expected_shapes
from runtime.spec import Architecture, Generation, GeneratorSpec, MappingSpec, StyleGAN2Spec

CHANNEL_BASE = 32768
CHANNEL_MAX = 512
WIDTH = 512
SEED = 2


def config_f(resolution: int) -> GeneratorSpec:
    """The configuration of the StyleGAN2 paper's best model (arXiv 1912.04958, table 1), clamped as ADA trains it."""
    sides = [4 << index for index in range(resolution.bit_length() - 2)]
    return GeneratorSpec(
        generation=Generation.STYLEGAN2,
        img_channels=3,
        mapping=MappingSpec(WIDTH, WIDTH, 0, (WIDTH,) * 8, 0, 0.01),
        synthesis=StyleGAN2Spec(
            architecture=Architecture.SKIP,
            channels=tuple(min(CHANNEL_BASE // side, CHANNEL_MAX) for side in sides),
            resample_filter=(0.125, 0.375, 0.375, 0.125),
            conv_clamp=256.0,
            use_noise=True,
            scaled_demodulation=False,
        ),
    )


def random_weights(spec: GeneratorSpec, seed: int = SEED) -> dict[str, np.ndarray]:
    """Weights that keep activations at the scale a trained network has; mapping as at initialisation (1/0.01)."""
    random = np.random.RandomState(seed)
    weights = {}
    for name, shape in expected_shapes(spec).items():
        value = random.randn(*shape)
        if name.startswith("mapping.fc") and name.endswith("weight"):
            value /= spec.mapping.lr_multiplier
        elif name.endswith("affine.bias"):
            value = 1 + 0.1 * value
        elif name.endswith(("bias", "noise_strength", "w_avg")):
            value *= 0.1
        elif name.endswith("torgb.weight"):
            value *= 0.2  # nine toRGB outputs add up to about [-1, 1]
        weights[name] = np.asarray(value, np.float32)
    return weights


def random_checkpoint(resolution: int) -> Checkpoint:
    """An official-size generator that nobody trained."""
    spec = config_f(resolution)
    return Checkpoint(spec, random_weights(spec), SourceFormat.SAFETENSORS, f"config-f-{resolution}", "0" * 64)


@click.command()
@click.option("--resolution", type=click.Choice(["64", "128", "256", "512", "1024"]), default="1024")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(resolution: str, output: Path) -> None:
    """Write the checkpoint."""
    write_safetensors(random_checkpoint(int(resolution)), output, overwrite=True)
    click.echo(f"{output} ({output.stat().st_size / 1e6:.0f} MB)")


if __name__ == "__main__":
    main()
