"""Golden samples as they are stored and fed: crops, inputs, and batches in which no two rows are alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exporter import export
from runtime import Bundle, Generator
from runtime.golden import COMPANION, GoldenInputs, GoldenSamples, block_means, compare_crops, cut_tiles, tile_origins
from runtime.golden.crops import blocks_of
from runtime.parity import Comparison, to_pixels
from runtime.truncation import towards_mean
from runtime.verify import in_orders
from tests.tiny import tiny_checkpoint


def test_tiles_are_the_corners_and_the_centre() -> None:
    image = np.arange(100, dtype=np.float32).reshape(1, 1, 10, 10)
    tiles = cut_tiles(image, 2)[0, :, 0]
    assert tiles[:, 0, 0].tolist() == [0, 8, 80, 88, 44]
    assert tiles[:, 1, 1].tolist() == [11, 19, 91, 99, 55]
    assert tile_origins(10, 10) == [(0, 0)]
    assert (cut_tiles(image, 10)[:, 0] == image).all()


@pytest.mark.parametrize("side", [4, 16, 36, 257, 300])
def test_blocks_cover_every_pixel(side: int) -> None:
    for y, x in ((0, 0), (side - 1, side - 1), (side // 2, side // 3)):
        image = np.zeros((1, 1, side, side), np.float32)
        image[0, 0, y, x] = 1
        means = block_means(image)
        assert means.shape == (1, 1, blocks_of(side), blocks_of(side))
        assert (means > 0).sum() == 1
    assert block_means(np.ones((2, 3, side, side), np.float32)) == pytest.approx(1)


def test_one_pixel_outside_the_tiles_shows_at_1024() -> None:
    """Eight levels, in none of the tiles: 1e-4 of the range in the mean of its block."""
    reference = np.random.RandomState(0).uniform(-1, 1, (1, 3, 1024, 1024)).astype(np.float32)
    for levels, passed in ((0, True), (8, False)):
        image = reference.copy()
        image[0, 1, 300, 700] += levels / 127.5
        comparison = Comparison("synthesis", "golden", 1)
        compare_crops(comparison, cut_tiles(reference, 64), block_means(reference), (image, to_pixels(image)), 1)
        assert comparison.figures().passed is passed


def test_truncation_is_exact_at_one_and_zero() -> None:
    random = np.random.RandomState(0)
    w, mean = random.randn(3, 6, 9).astype(np.float32), random.randn(9).astype(np.float32)
    assert towards_mean(w, mean, 1.0) is w
    rows = towards_mean(w, mean, np.array([1, 0, 0.7, 1, 0, 0.7], np.float32)[:, None])
    assert rows.dtype == np.float32
    assert (rows[:, [0, 3]] == w[:, [0, 3]]).all()
    assert (rows[:, [1, 4]] == mean).all()
    assert (rows[:, [2, 5]] == towards_mean(w, mean, 0.7)[:, [2, 5]]).all()


def test_styles_are_those_of_the_generator(tiny_bundle: Bundle) -> None:
    """Derived from the stored w, not stored: truncated by row, each row of the mixed image of a latent of its own."""
    golden, generator = GoldenInputs.of(tiny_bundle), Generator.load(tiny_bundle)
    w = golden.samples.w
    assert (golden.z == generator.latents(range(len(w)))).all()
    styles = golden.styles(np.arange(4))
    assert (styles[0] == generator.truncate(w[:1], 0.7, cutoff=3)[0]).all()
    assert (styles[1] == w[1:7]).all()
    assert (styles[2] == generator.truncate(w[7:8], -0.7)[0]).all()
    assert (styles[3] == tiny_bundle.w_avg).all()


def test_styles_of_a_mask_are_its_sources(tmp_path: Path) -> None:
    bundle = export(tiny_checkpoint(), tmp_path / "bundle", mask="A:0-1,B:2-3,C:4-5", pipeline=True)
    golden, generator = GoldenInputs.of(bundle), Generator.load(bundle)
    w = golden.samples.w
    assert golden.styles(golden.synthesis_images).shape == (8, 3, 9)
    assert (golden.styles(np.array([0]))[0] == generator.styles(w[:3], 0.7)[0]).all()
    assert (golden.pipeline_images == range(9)).all()
    assert set(golden.pipeline_images) - set(golden.synthesis_images) == {4}
    assert {"z", "z_1", "z_2", "psi"} < set(golden.pipeline(4))
    assert len(set(golden.pipeline(4)["psi"])) == 6


def test_only_the_pipeline_draws_what_it_alone_can_and_not_what_it_cannot(tiny_bundle: Bundle) -> None:
    golden = GoldenInputs.of(tiny_bundle)
    mixed = [image for image, row in enumerate(golden.samples.sources) if len(set(row)) > 1]
    assert len(mixed) == 2
    assert set(golden.pipeline_images) == set(range(9)) - set(mixed)
    assert set(golden.synthesis_images) == set(range(9)) - {4}


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("which", ["tiny_bundle", "stylegan1_bundle", "stylegan3_bundle"])
def test_no_two_rows_of_a_batch_are_alike(request: pytest.FixtureRequest, which: str, batch: int) -> None:
    bundle: Bundle = request.getfixturevalue(which)
    golden = GoldenInputs(bundle, GoldenSamples.read(bundle).head(4))
    for slots, _ in in_orders(golden.synthesis_images, batch):
        inputs = golden.synthesis(slots)
        assert {len(array) for array in inputs.values()} == {batch}
        assert len({row.tobytes() for row in inputs["styles"]}) == batch
        known = slots != COMPANION
        assert (inputs["styles"][known] == golden.styles(slots[known])).all()
    for place in range(batch):
        inputs = golden.pipeline(2, batch, place)
        assert (inputs["z"][place] == golden.z[golden.samples.sources[2, 0]]).all()
        assert len({row.tobytes() for row in inputs["z"]}) == batch
        assert (inputs["psi"] == np.float32(-0.7)).all()


def test_a_batch_of_two_differs_in_noise_and_transform_too(tiny_bundle: Bundle, stylegan3_bundle: Bundle) -> None:
    for bundle, name in ((tiny_bundle, "noise_03"), (stylegan3_bundle, "transform")):
        golden = GoldenInputs(bundle, GoldenSamples.read(bundle).head(4))
        for images, _ in in_orders(golden.synthesis_images, 2):
            first, second = golden.synthesis(images)[name]
            assert (first != second).any()


def test_orders_take_every_image_to_several_places() -> None:
    for batch, expected in (
        (2, [[0, 1], [2, 3], [3, 0], [1, 2]]),
        (3, [[0, 1, 2], [3, -1, -1], [-1, 0, 1], [2, 3, -1]]),
    ):
        orders = list(in_orders(np.arange(4), batch))
        assert [slots.tolist() for slots, _ in orders] == expected
        assert [repeated for _, repeated in orders] == [False, False, True, True]
    alone = [(images.tolist(), repeated) for images, repeated in in_orders(np.arange(2), 1)]
    assert alone == [([0], False), ([1], False)]


def test_the_same_samples_are_the_same_bytes(tiny_bundle: Bundle) -> None:
    samples = GoldenSamples.read(tiny_bundle)
    assert samples.to_bytes() == (tiny_bundle.path / "golden.npz").read_bytes()
