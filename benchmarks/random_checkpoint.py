"""Write a checkpoint of official size with seeded random weights: a stand-in to measure with.

python -m benchmarks.random_checkpoint --network stylegan3-t --resolution 256 -o sg3-t-256.safetensors
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from benchmarks.official_sizes import Network, kaiser_filter, official_spec, radial_filter
from exporter.checkpoints import Checkpoint, SourceFormat, write_safetensors
from exporter.checkpoints.layout import expected_shapes
from runtime.spec import Generation, GeneratorSpec, StyleGAN3Spec

SEED = 2


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
        elif name.endswith("magnitude_ema"):
            value = np.ones(shape)
        elif name.endswith(("bias", "noise_strength", "noise_weight", "w_avg")):
            value *= 0.1
        elif name.endswith("torgb.weight"):
            value *= 0.2  # the toRGB outputs add up to about [-1, 1]
        weights[name] = np.asarray(value, np.float32)
    if isinstance(spec.synthesis, StyleGAN3Spec):
        weights |= _stylegan3_constants(spec.synthesis, random)
    return weights


def _stylegan3_constants(network: StyleGAN3Spec, random: np.random.RandomState) -> dict[str, np.ndarray]:
    """What is not learned: frequencies within the band, phases, filters, no transform; and an image within [-1, 1]."""
    angles, channels = random.rand(network.fourier.channels) * 2 * np.pi, network.fourier.channels
    radii = np.sqrt(random.rand(channels)) * network.fourier.bandwidth
    freqs = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]
    constants = {"input.transform": np.eye(3), "input.freqs": freqs, "input.phases": random.rand(channels) - 0.5}
    constants["input.affine.bias"] = np.array([1.0, 0, 0, 0])
    for layer in network.filtered:
        if layer.up_taps > 1:
            constants[f"{layer.name}.up_filter"] = kaiser_filter(layer.up_taps, layer.up)
        if layer.down_taps > 1:
            design = radial_filter if layer.radial else kaiser_filter
            constants[f"{layer.name}.down_filter"] = design(layer.down_taps, layer.down)
    return {f"synthesis.{name}": np.asarray(array, np.float32) for name, array in constants.items()}


def random_checkpoint(resolution: int, network: Network = Network.STYLEGAN2) -> Checkpoint:
    """An official-size generator that nobody trained."""
    spec = official_spec(network, resolution)
    name = "config-f" if spec.generation is Generation.STYLEGAN2 else network.value
    return Checkpoint(spec, random_weights(spec), SourceFormat.SAFETENSORS, f"{name}-{resolution}", "0" * 64)


@click.command()
@click.option("--network", type=click.Choice([item.value for item in Network]), default="stylegan2")
@click.option("--resolution", type=click.Choice(["64", "128", "256", "512", "1024"]), default="1024")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(network: str, resolution: str, output: Path) -> None:
    """Write the checkpoint."""
    write_safetensors(random_checkpoint(int(resolution), Network(network)), output, overwrite=True)
    click.echo(f"{output} ({output.stat().st_size / 1e6:.0f} MB)")


if __name__ == "__main__":
    main()
