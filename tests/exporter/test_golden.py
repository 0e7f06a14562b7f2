"""Golden images: what they cover, what they cost, and how large the file gets."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmarks.official_sizes import Network, official_spec
from exporter import export
from exporter.golden import MAX_IMAGES
from exporter.golden.budget import MAX_BYTES, MAX_TILE, PROBE_BYTES, tile_side, values_of_class
from exporter.golden.cases import ESSENTIAL, FURTHER, PIPELINE_CASE, plan_images, psi_of_rows
from exporter.golden.draw import draw_reference
from exporter.golden.labels import MAX_CLASSES, OTHERS, blended_label, chosen_classes
from runtime import Bundle
from runtime.golden import GoldenSamples, block_means, cut_tiles
from runtime.manifest import NoiseMode
from runtime.mixing import Mask, identity_mask, parse_mask
from runtime.spec import GeneratorSpec
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

EXPLICIT = NoiseMode.EXPLICIT


def own_rows(spec: GeneratorSpec) -> Mask:
    return identity_mask(spec.num_ws)


@pytest.mark.parametrize(
    ("network", "resolution", "compared", "stored"),
    [
        (Network.STYLEGAN2, 64, 33, 8),
        (Network.STYLEGAN2, 128, 11, 7),
        (Network.STYLEGAN2, 256, 5, 5),
        (Network.STYLEGAN2, 512, 4, 4),
        (Network.STYLEGAN2, 1024, 4, 4),
        (Network.STYLEGAN3_T, 256, 4, 4),
        (Network.STYLEGAN3_R, 512, 4, 4),
    ],
)
def test_costly_networks_draw_the_essential_images_alone(
    network: Network, resolution: int, compared: int, stored: int
) -> None:
    spec = official_spec(network, resolution)
    plan = plan_images(spec, own_rows(spec), EXPLICIT, pipeline=False)
    assert (len(plan.cases), plan.stored) == (compared, stored)
    assert plan.cases[: len(ESSENTIAL)] == ESSENTIAL


def test_small_networks_draw_every_case_many_times() -> None:
    spec = tiny_spec()
    plan = plan_images(spec, own_rows(spec), EXPLICIT, pipeline=True)
    assert (len(plan.cases), plan.stored) == (MAX_IMAGES, len(ESSENTIAL) + 1 + len(FURTHER))
    assert plan.cases[: plan.stored] == (*ESSENTIAL, PIPELINE_CASE, *FURTHER)
    assert sum(case.ramp for case in plan.cases) == 1


def test_four_images_cover_everything() -> None:
    assert {case.psi for case in ESSENTIAL} == {1.0, 0.7, -0.7, 0.0}
    assert {case.noise for case in ESSENTIAL} == {"const", "none", 7}
    assert [case.mixed for case in ESSENTIAL[:2]] == [False, True]  # those that probes are of
    for what in ("cutoff", "mixed", "blended"):
        assert sum(getattr(case, what) for case in ESSENTIAL) == 1
    for case, following in zip(ESSENTIAL, (*ESSENTIAL[1:], ESSENTIAL[0])):
        assert case.noise != following.noise
        assert case.motion != following.motion


@pytest.mark.parametrize(("mode", "noise"), [(NoiseMode.CONST, "const"), (NoiseMode.NONE, "none")])
def test_baked_noise_is_the_only_noise(mode: NoiseMode, noise: str) -> None:
    spec = tiny_spec()
    assert {case.noise for case in plan_images(spec, own_rows(spec), mode, pipeline=True).cases} == {noise}


def test_a_mask_mixes_by_itself_and_knows_no_cutoff() -> None:
    spec = tiny_spec()
    cases = plan_images(spec, parse_mask("A:0-2,B:3-5", spec.num_ws), EXPLICIT, pipeline=True).cases
    assert not any(case.mixed or case.cutoff for case in cases)
    assert sum(case.ramp for case in cases) == 1


CUTOFF = next(case for case in ESSENTIAL if case.cutoff)


@pytest.mark.parametrize(
    ("spec", "fixed", "psi"),
    [
        (tiny_spec(), (), [0.7, 0.7, 0.7, 1, 1, 1]),
        (tiny_spec(), (0, 1), [0.7, 0.7, 0.7, 0.7, 1, 1]),
        (tiny_spec(), (0, 1, 2, 3, 4), [0.7] * 6),
        (tiny_spec(channels=(5,)), (), [0.7, 1]),
        (tiny_stylegan1_spec(lod=1.0), (), [0.7, 0.7, 1, 1, 1, 1]),
    ],
    ids=["half", "half of what varies", "one row varies", "4 px", "half of the layers drawn"],
)
def test_a_cutoff_is_between_rows_that_matter(spec: GeneratorSpec, fixed: tuple[int, ...], psi: list[float]) -> None:
    assert psi_of_rows(CUTOFF, spec, fixed).tolist() == np.array(psi, np.float32).tolist()


def test_every_row_of_the_pipelines_own_image_has_another_psi() -> None:
    psi = psi_of_rows(PIPELINE_CASE, official_spec(Network.STYLEGAN2, 1024), ())
    assert len(set(psi.tolist())) == 18
    assert (psi[0], psi[-1]) == (1, np.float32(-0.7))


def test_all_classes_are_covered_up_to_a_limit_and_then_evenly() -> None:
    assert chosen_classes(0).tolist() == []
    assert chosen_classes(5).tolist() == [0, 1, 2, 3, 4]
    assert len(chosen_classes(MAX_CLASSES)) == MAX_CLASSES
    many = chosen_classes(10_000)
    assert (len(many), many[0], many[-1]) == (MAX_CLASSES, 0, 9999)
    assert set(np.diff(many)) == {9, 10}


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 1000, 16_384])
def test_a_blend_gives_every_class_a_weight_of_its_own(classes: int) -> None:
    label = blended_label(2, classes)
    assert label.argmax() == 2 % classes
    label[2 % classes] -= 1
    assert np.square(label.astype(np.float64)).sum() == pytest.approx(OTHERS**2)
    assert len(set(label.tolist())) == classes
    if classes > 1:
        assert np.abs(np.diff(label)).min() > 0.7 * OTHERS / np.sqrt(classes)


def random_samples(spec: GeneratorSpec, mask: Mask, pipeline: bool) -> GoldenSamples:
    """Of the shapes that export would store, filled with what does not compress."""
    plan, random = plan_images(spec, mask, EXPLICIT, pipeline), np.random.RandomState(0)
    count, side, classes = plan.stored, tile_side(spec, mask, plan.stored), chosen_classes(spec.c_dim)
    rows = sum(mask.matrix.shape[1] if case.mixed or not mask.is_identity else 1 for case in plan.cases[:count])

    def floats(*shape: int) -> np.ndarray:
        return random.randn(*shape).astype(np.float32)

    images = floats(count, spec.img_channels, spec.resolution, spec.resolution)
    c = np.zeros((rows, spec.c_dim), np.float32)
    c[0] = blended_label(2, spec.c_dim)
    return GoldenSamples(
        seeds=np.arange(rows),
        c=c,
        w=floats(rows, spec.w_dim),
        classes=classes,
        class_seeds=np.arange(len(classes)),
        class_w=floats(len(classes), values_of_class(spec.w_dim, len(classes))),
        sources=random.randint(rows, size=(count, mask.matrix.shape[1])),
        psi=floats(count, spec.num_ws),
        noise=np.array([str(case.noise) for case in plan.cases[:count]]),
        transform=floats(count, 3, 3),
        pipeline_only=np.zeros(count, bool),
        tiles=cut_tiles(images, side),
        blocks=block_means(images),
        probes=np.zeros((0, 0), np.float32),
    )


def with_classes(spec: GeneratorSpec, c_dim: int, img_channels: int = 3) -> GeneratorSpec:
    mapping = dataclasses.replace(spec.mapping, c_dim=c_dim, embed_features=512)
    return dataclasses.replace(spec, mapping=mapping, img_channels=img_channels)


SIZES = {
    "config-f, 64 px": official_spec(Network.STYLEGAN2, 64),
    "config-f, 128 px": official_spec(Network.STYLEGAN2, 128),
    "config-f, 256 px, 1000 classes, RGBA": with_classes(official_spec(Network.STYLEGAN2, 256), 1000, 4),
    "config-f, 1024 px": official_spec(Network.STYLEGAN2, 1024),
    "config-f, 1024 px, 5000 classes": with_classes(official_spec(Network.STYLEGAN2, 1024), 5000),
    "StyleGAN3-t, 512 px": official_spec(Network.STYLEGAN3_T, 512),
}


@pytest.mark.parametrize("many_sources", [False, True], ids=["rows", "64 sources"])
@pytest.mark.parametrize("name", SIZES)
def test_the_file_is_below_two_megabytes_with_room_for_probes(name: str, many_sources: bool) -> None:
    spec = SIZES[name]
    names = tuple(f"s{index}" for index in range(64))
    mask = Mask(np.full((spec.num_ws, 64), 1 / 64), names) if many_sources else own_rows(spec)
    samples = random_samples(spec, mask, pipeline=True)
    assert len(samples.to_bytes()) <= MAX_BYTES - PROBE_BYTES
    assert samples.tile in (spec.resolution, *range(24, MAX_TILE + 1, 8))


def test_a_tile_is_never_larger_than_the_image() -> None:
    huge = dataclasses.replace(tiny_spec(channels=(5,)).mapping, w_dim=16_384, features=(8, 16_384))
    spec = dataclasses.replace(tiny_spec(channels=(5,)), mapping=huge)
    assert tile_side(spec, Mask(np.full((2, 64), 1 / 64), tuple("s" * 64)), 9) == 4


@pytest.mark.parametrize(
    "spec", [tiny_stylegan1_spec(c_dim=3), tiny_spec(c_dim=3), tiny_stylegan3_spec(c_dim=3)], ids=lambda s: s.generation
)
def test_every_generation_has_all_of_it(spec: GeneratorSpec) -> None:
    network = tiny_checkpoint(spec).build()
    reference = draw_reference(network, spec, own_rows(spec), EXPLICIT, {}, pipeline=True)
    samples = reference.samples.head(reference.stored)
    uniform = {float(rows[0]) for rows in samples.psi if (rows == rows[0]).all()}
    assert uniform >= {1, 0, np.float32(-0.7)}
    assert len(set(samples.psi[0].tolist())) == 2  # a cutoff
    assert len(set(samples.psi[4].tolist())) == spec.num_ws
    assert len(set(samples.sources[1].tolist())) == spec.num_ws  # a latent a row
    assert set(samples.noise) == {"const", "none", "7", "8"}
    assert (len({item.tobytes() for item in samples.transform}) > 2) is spec.takes_transform
    assert samples.classes.tolist() == [0, 1, 2]
    hot = samples.c[(samples.c == 1).any(axis=1)]
    assert set(hot.argmax(axis=1)) == {0, 1, 2}
    assert ((samples.c != 0).all(axis=1)).sum() == 1  # the blend of all
    assert len({tile.tobytes() for tile in samples.tiles}) == len(samples.tiles)


def test_the_mean_image_is_the_mean_whatever_its_latent() -> None:
    spec = tiny_spec()
    network = tiny_checkpoint(spec).build()
    reference = draw_reference(network, spec, own_rows(spec), NoiseMode.CONST, {}, pipeline=False)
    means = [image for image, psi in zip(reference.images, reference.samples.psi) if (psi == 0).all()]
    assert len(means) > 2
    assert all(np.abs(image - means[0]).max() <= 1e-5 for image in means)


def test_only_what_is_needed_is_stored(tiny_bundle: Bundle) -> None:
    samples = GoldenSamples.read(tiny_bundle)
    assert samples.seeds.tolist() == list(range(len(samples.w)))
    assert set(samples.sources.ravel()) == set(range(len(samples.w)))
    assert (tiny_bundle.path / "golden.npz").stat().st_size < 40_000


def test_latents_of_a_mask_share_their_images_label(tmp_path: Path) -> None:
    bundle = export(tiny_checkpoint(c_dim=4), tmp_path / "bundle", mask="A:0-2,B:3-5", noise="const")
    samples = GoldenSamples.read(bundle)
    assert all((samples.c[row] == samples.c[row[:1]]).all() for row in samples.sources)
