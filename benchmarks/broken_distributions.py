"""Which breaks of the bundled checkpoint show in the distribution: the table of docs/distribution.md.

python -m benchmarks.broken_distributions
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exporter import export, load_checkpoint
from runtime.backends import RunOptions
from runtime.distribution import DistributionFigures, Drawer, GraphDrawer, Instruments, Sampling, compare, measure
from runtime.noise import Noise
from runtime.parity import PIXEL_SCALE

CHECKPOINT = Path(__file__).parents[1] / "examples" / "avatars-64.pkl"
SAMPLES = 1000
EPSILON = 1e-3
Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Broken:
    """A drawer that does one thing wrong."""

    drawer: Drawer
    name: str
    w: Change = lambda w: w
    styles: Change = lambda styles: styles
    noise: Callable[[Noise], Noise] = lambda noise: noise
    image: Change = lambda image: image

    def map(self, z: np.ndarray, c: np.ndarray | None) -> np.ndarray:
        """See `Drawer`."""
        return self.w(self.drawer.map(z, c)).astype(np.float32)

    def draw(self, styles: np.ndarray, noise: Noise) -> np.ndarray:
        """See `Drawer`."""
        image = self.drawer.draw(self.styles(styles).astype(np.float32), self.noise(noise))
        return self.image(image).astype(np.float32)


def breaks(drawer: Drawer, mean: np.ndarray) -> list[Broken]:
    """What is tried; `mean` is that of `w`, [w_dim]."""

    def psi(value: float) -> Broken:
        return Broken(drawer, f"psi {value:g}", w=lambda w: mean + value * (w - mean))

    def brighter(levels: int) -> Broken:
        return Broken(drawer, f"{levels} level(s) brighter", image=lambda image: image + levels / PIXEL_SCALE)

    def contrast(factor: float) -> Broken:
        return Broken(drawer, f"contrast times {factor:g}", image=lambda image: image * factor)

    return [
        Broken(drawer, "noise left out", noise=lambda _: "none"),
        Broken(drawer, "noise halved", noise=lambda n: n if isinstance(n, str) else [item / 2 for item in n]),
        psi(0.9),
        psi(0.95),
        psi(0.97),
        Broken(drawer, "w moved by 0.05 of its deviation", w=lambda w: w + 0.05 * w.std()),
        Broken(
            drawer, "last style row is the mean", styles=lambda ws: np.concatenate([ws[:, :-1], _rows(ws, mean)], 1)
        ),
        brighter(1),
        brighter(2),
        contrast(1.02),
        contrast(1.05),
        Broken(drawer, "mirrored", image=lambda image: image[..., ::-1]),
        Broken(drawer, "moved by a pixel", image=lambda image: np.roll(image, 1, axis=3)),
        Broken(drawer, "red and blue swapped", image=lambda image: image[:, ::-1]),
    ]


def _rows(ws: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return np.broadcast_to(mean, (len(ws), 1, len(mean)))


def _line(name: str, figures: list[DistributionFigures]) -> str:
    off: Mapping[str, float] = {
        item.figure: item.difference / item.sampling_error
        for item in figures
        if item.passed is False and item.difference is not None and item.sampling_error
    }
    caught = ", ".join(f"{figure} {ratio:.1f}" for figure, ratio in off.items())
    return f"| {name} | {caught or 'nothing'} |"


def main() -> None:
    """Print the figures that fail for each break, in sampling errors."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = export(load_checkpoint(CHECKPOINT), Path(folder) / "bundle")
        drawer = GraphDrawer.reference(bundle, RunOptions())
        sampling = Sampling.of(bundle, SAMPLES, seed=0)
        instruments = Instruments.open(bundle.spec.resolution, epsilon=EPSILON)
        reference = measure(drawer, sampling, instruments)
        print("| break | caught by, in sampling errors |\n|---|---|")
        for broken in breaks(drawer, bundle.w_avg):
            print(_line(broken.name, compare(reference, measure(broken, sampling, instruments), "fp32")), flush=True)


if __name__ == "__main__":
    main()
