"""Images from a bundle: what each argument means, and that an image never depends on its companions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.official_sizes import Network, official_spec
from exporter import export
from runtime import Bundle, Generator
from runtime.errors import InputError
from runtime.generator import default_batch
from tests.tiny import tiny_checkpoint, tiny_stylegan1_spec


@pytest.fixture(scope="module")
def generator(tiny_bundle: Bundle) -> Generator:
    return Generator.load(tiny_bundle)


def test_a_seed_is_drawn_as_the_official_scripts_draw_it(generator: Generator) -> None:
    z = generator.latents([0, 42])
    assert z.dtype == np.float32
    assert (z[1] == np.random.RandomState(42).randn(1, generator.spec.z_dim).astype(np.float32)[0]).all()


def test_a_seed_gives_one_image_in_any_company(generator: Generator) -> None:
    alone = generator.generate([5], psi=0.7)
    among = generator.generate([1, 5, 9], psi=0.7, batch=2)[1:2]
    assert np.abs(alone.astype(int) - among).max() <= 1
    assert alone.dtype == np.uint8
    assert alone.shape == (1, 16, 16, 3)


def test_psi_zero_is_the_mean_image(generator: Generator) -> None:
    images = generator.generate([1, 2, 3], psi=0)
    assert (images == images[0]).all()
    w = generator.map(generator.latents([1]))
    assert np.allclose(generator.truncate(w, psi=0)[0], generator.bundle.w_avg, atol=1e-6)


def test_psi_one_leaves_w_as_it_is(generator: Generator) -> None:
    w = generator.map(generator.latents([1]))
    assert (generator.truncate(w) == w[:, None]).all()


def test_cutoff_truncates_only_the_first_rows(generator: Generator) -> None:
    w = generator.map(generator.latents([1, 2]))
    ws = generator.truncate(w, psi=0.5, cutoff=2)
    mean = generator.bundle.w_avg
    assert np.allclose(ws[:, :2], (mean + 0.5 * (w - mean))[:, None], atol=1e-6)
    assert (ws[:, 2:] == w[:, None]).all()


def test_a_stylegan_truncates_its_own_rows_unless_told_otherwise(stylegan1_bundle: Bundle) -> None:
    """As its official code does: the first 8 rows of the published networks, the first 2 of this one."""
    generator = Generator.load(stylegan1_bundle)
    w = generator.map(generator.latents([1]))
    own, told = generator.styles(w, psi=0.5), generator.truncate(w, psi=0.5, cutoff=2)
    assert (own == told).all()
    assert (generator.styles(w, psi=0.5, cutoff=None) == generator.truncate(w, psi=0.5)).all()
    pixels = generator.synthesize(told, output="pixels")
    assert (generator.generate([1], psi=0.5) == pixels).all()
    assert (generator.generate([1], psi=0.5, cutoff=None) != pixels).any()


def test_a_cutoff_can_not_reach_into_a_mixing_graph(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tiny_stylegan1_spec())
    generator = Generator.load(export(checkpoint, tmp_path / "bundle", mask="A:0-2,B:3-5"))
    with pytest.raises(InputError, match="the checkpoint's own cutoff of 2 rows can't apply; truncate all 6 rows"):
        generator.generate([1, 2], psi=0.5)
    with pytest.raises(InputError, match="a cutoff of 3 rows can't apply"):
        generator.generate([1, 2], psi=0.5, cutoff=3)
    assert (generator.generate([1, 2], psi=0.5, cutoff=6) == generator.generate([1, 2], psi=0.5, cutoff=None)).all()
    assert generator.generate([1, 2]).shape == (1, 16, 16, 3)  # without truncation a cutoff means nothing


def test_layer_mask_takes_rows_from_the_second_source(generator: Generator) -> None:
    w = generator.map(generator.latents([1, 2]))
    a, b = generator.truncate(w[:1]), generator.truncate(w[1:])
    mixed = generator.mix([a, b], generator.layer_mask(range(2, 4)))
    assert (mixed[:, [0, 1, 4, 5]] == a[:, [0, 1, 4, 5]]).all()
    assert (mixed[:, 2:4] == b[:, 2:4]).all()


def test_noise_seed_is_repeatable_and_shared_by_the_batch(generator: Generator) -> None:
    ws = np.repeat(generator.truncate(generator.map(generator.latents([1]))), 3, axis=0)
    first, again, other = (generator.synthesize(ws, noise=seed) for seed in (7, 7, 8))
    assert (first == again).all()
    assert np.allclose(first[0], first[2], atol=1e-6)
    assert not np.allclose(first, other, atol=1e-3)


def test_const_noise_is_the_checkpoints_own(generator: Generator) -> None:
    ws = generator.truncate(generator.map(generator.latents([1])))
    explicit = [array[None, None] for array in generator.bundle.stored_noise]
    assert (generator.synthesize(ws) == generator.synthesize(ws, noise=explicit)).all()
    assert not np.allclose(generator.synthesize(ws), generator.synthesize(ws, noise="none"), atol=1e-3)


def test_pixels_are_scaled_clipped_and_truncated(generator: Generator) -> None:
    ws = generator.truncate(generator.map(generator.latents(range(4))))
    image, pixels = generator.synthesize(ws), generator.synthesize(ws, output="pixels")
    expected = np.floor((image.transpose(0, 2, 3, 1) * np.float32(127.5) + np.float32(128)).clip(0, 255))
    assert (pixels == expected).all()
    assert pixels.min() == 0 or pixels.max() == 255 or len(np.unique(pixels)) > 50


def test_labels_choose_the_class(conditional_bundle: Bundle) -> None:
    generator = Generator.load(conditional_bundle)
    z = generator.latents([1, 1, 1])
    w = generator.map(z, generator.labels([0, 1, 2]))
    assert not np.allclose(w[0], w[1])
    soft = generator.map(z[:1], np.array([[0.5, 0.5, 0.0]]))
    assert not np.allclose(soft[0], w[0])
    assert (generator.generate([4], classes=1) == generator.generate([4, 5], classes=1, batch=1)[:1]).all()


def test_a_million_images_fit_in_memory(generator: Generator) -> None:
    """Batches arrive one by one, however many seeds there are."""
    batches = generator.generate_batches(range(1_000_000), batch=4)
    assert next(batches).shape == (4, 16, 16, 3)
    assert next(batches).shape == (4, 16, 16, 3)


@pytest.mark.parametrize(
    ("network", "resolution", "batch"),
    [
        (Network.STYLEGAN2, 64, 16),
        (Network.STYLEGAN2, 256, 4),
        (Network.STYLEGAN2, 512, 2),
        (Network.STYLEGAN2, 1024, 1),
        (Network.STYLEGAN1, 1024, 2),
        (Network.STYLEGAN3_T, 64, 2),
        (Network.STYLEGAN3_R, 512, 1),
    ],
)
def test_default_batch_bounds_memory(network: Network, resolution: int, batch: int) -> None:
    assert default_batch(official_spec(network, resolution)) == batch


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: g.map(np.zeros((1, 8))), r"z has shape \[1, 8\], expected \[N, 7\]"),
        (lambda g: g.map(np.full((1, 7), np.nan)), "z holds NaN"),
        (lambda g: g.map("face"), "z is not an array of numbers"),
        (lambda g: g.map(np.zeros((0, 7))), r"z has shape \[0, 7\]"),
        (lambda g: g.map(np.zeros((1, 7)), c=np.zeros((1, 3))), "unconditional"),
        (lambda g: g.labels(1), "unconditional"),
        (lambda g: g.truncate(np.zeros((1, 9)), psi=float("inf")), "psi is inf, expected a finite number"),
        (lambda g: g.truncate(np.zeros((1, 9)), psi="much"), "psi is 'much'"),
        (lambda g: g.truncate(np.zeros((1, 9)), cutoff=7), "cutoff 7 is out of range, expected 0 to 6"),
        (lambda g: g.mix([np.zeros((1, 6, 9))], np.full((6, 1), 0.5)), "row 0 sums to 0.5, expected 1"),
        (lambda g: g.mix([np.zeros((1, 6, 9))] * 2, np.ones((6, 1))), r"shape \[6, 1\], expected \[6, 2\]"),
        (lambda g: g.mix([np.zeros((1, 6, 9)), np.zeros((2, 6, 9))], g.layer_mask([])), "number of images"),
        (lambda g: g.layer_mask([6]), "style row 6 is out of range"),
        (lambda g: g.synthesize(np.zeros((1, 5, 9))), r"ws has shape \[1, 5, 9\], expected \[N, 6, 9\]"),
        (lambda g: g.synthesize(np.zeros((1, 6, 9)), noise="loud"), "noise is 'loud'"),
        (lambda g: g.synthesize(np.zeros((1, 6, 9)), noise=-1), "seed -1 is out of range"),
        (lambda g: g.synthesize(np.zeros((1, 6, 9)), noise=[]), "0 noise arrays given, expected 5"),
        (lambda g: g.synthesize(np.zeros((1, 6, 9)), noise=[np.zeros((1, 1, 4, 4))] * 5), "noise array 1 has shape"),
        (lambda g: g.synthesize(np.zeros((1, 6, 9)), output="jpeg"), "output 'jpeg' is unknown"),
        (lambda g: g.synthesize(np.zeros((1, 6, 9)), batch=0), "batch is 0"),
        (lambda g: g.generate([]), "0 seeds given"),
        (lambda g: g.generate([2**32]), "seed 4294967296 is out of range"),
    ],
)
def test_wrong_arguments_are_named(generator: Generator, call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(generator)  # type: ignore[operator]


def test_noise_for_another_batch_is_refused(generator: Generator) -> None:
    noise = [np.zeros((2, 1, *shape), np.float32) for shape in generator.spec.noise_shapes]
    with pytest.raises(InputError, match="is for 2 images, expected 1 or 3"):
        generator.synthesize(np.zeros((3, 6, 9)), noise=noise)


def test_a_conditional_generator_asks_for_its_class(conditional_bundle: Bundle) -> None:
    generator = Generator.load(conditional_bundle)
    with pytest.raises(InputError, match="conditional: give a class, 0 to 2"):
        generator.generate([1])
    with pytest.raises(InputError, match="class 3 is out of range"):
        generator.generate([1], classes=3)


def test_unknown_backends_and_threads_are_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(InputError, match="backend 'abacus' is unknown, expected one of auto, tensorrt, "):
        Generator.load(tiny_bundle, backend="abacus")
    with pytest.raises(InputError, match="threads is 0"):
        Generator.load(tiny_bundle, threads=0)
