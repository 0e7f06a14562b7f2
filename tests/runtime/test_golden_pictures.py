"""Golden images to look at: the worst of each that was drawn, shown as far as it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np
import pytest

from runtime import Bundle
from runtime.backends import BackendName, RunOptions
from runtime.golden import GoldenInputs, block_means, cut_tiles
from runtime.golden.crops import compose
from runtime.golden.pictures import GoldenPictures
from runtime.graphs import OpenGraphs
from runtime.parity import to_pixels
from runtime.verify import verify_golden


@pytest.mark.parametrize(("side", "tile"), [(16, 16), (100, 8), (256, 64)])
def test_what_is_kept_of_an_image_is_shown_in_its_place(side: int, tile: int) -> None:
    image = np.random.RandomState(0).uniform(-1, 1, (1, 3, side, side)).astype(np.float32)
    shown = compose(cut_tiles(image, tile)[0], block_means(image)[0], side)
    assert shown.shape == (3, side, side)
    assert (cut_tiles(shown[None], tile) == cut_tiles(image, tile)).all()
    same = shown == image[0]
    assert same.mean() == pytest.approx((5 if tile < side else 1) * tile**2 / side**2, abs=1e-3)
    blank = compose(np.zeros((0, 3, tile, tile), np.float32), block_means(image)[0], side)
    np.testing.assert_allclose(block_means(blank[None]), block_means(image), atol=1e-6)


def _draw(bundle: Bundle, spoil: dict[tuple[str, int, int], float]) -> GoldenPictures:
    """Look at all drawings, those of a graph, batch and image changed by so much."""
    pictures = GoldenPictures(GoldenInputs.of(bundle))

    def look(graph: str, batch: int, images: np.ndarray, outputs: Sequence[np.ndarray]) -> None:
        image = outputs[0].copy()
        for row, number in enumerate(images):
            image[row, 0, 3, 5] += spoil.get((graph, batch, int(number)), 0.0)
        pictures(graph, batch, images, [image, to_pixels(image)])

    with closing(OpenGraphs.open(bundle, BackendName.ONNXRUNTIME, RunOptions(threads=1))) as graphs:
        verify_golden(bundle, graphs, (1, 2), look)
    return pictures


def test_the_worst_drawing_of_the_worst_image_comes_first(tiny_bundle: Bundle) -> None:
    found = _draw(tiny_bundle, {("synthesis", 2, 1): 0.5, ("synthesis", 1, 1): 0.25, ("pipeline", 1, 0): 0.1}).worst(2)
    assert [(item.image, item.graph, item.batch) for item in found] == [(1, "synthesis", 2), (0, "pipeline", 1)]
    assert found[0].levels == pytest.approx(0.5 * 127.5, abs=1)
    pair = found[0].pair
    difference = pair.measured - pair.reference
    assert difference[0, 3, 5] == pytest.approx(0.5, abs=1e-4)
    difference[0, 3, 5] = 0
    assert np.abs(difference).max() < 1e-4
    assert (pair.pixels == to_pixels(pair.measured[None])[0]).all()


def test_nan_is_worse_than_anything(tiny_bundle: Bundle) -> None:
    found = _draw(tiny_bundle, {("synthesis", 2, 1): 2.0, ("synthesis", 1, 2): np.nan}).worst(2)
    assert [(item.image, item.finite) for item in found] == [(2, False), (1, True)]


def test_every_image_is_looked_at_once(tiny_bundle: Bundle) -> None:
    pictures = _draw(tiny_bundle, {})
    assert sorted(item.image for item in pictures.worst(99)) == list(range(len(pictures.golden.samples.sources)))


def test_an_image_is_described(tiny_bundle: Bundle, conditional_bundle: Bundle, stylegan3_bundle: Bundle) -> None:
    """Each kind once: cutoff, a mix, a blend of classes, no noise, psi by row, a transform."""

    def told(bundle: Bundle) -> list[str]:
        samples = GoldenInputs.of(bundle).samples
        return [samples.describe(image) for image in range(len(samples.sources))]

    plain = told(tiny_bundle)
    assert plain[0] == "seed 0, psi 0.7 with cutoff 3, noise of seed 7"
    assert plain[1] == "seeds 1, 2, 3, 4, ..., psi 1, noise const"
    assert any(line.endswith("psi from 1 to -0.7, another in every row, noise const") for line in plain)
    assert any(line.endswith("a blend of classes") for line in told(conditional_bundle))
    assert any(", class " in line for line in told(conditional_bundle))
    assert any(line.endswith("turned or moved") for line in told(stylegan3_bundle))
