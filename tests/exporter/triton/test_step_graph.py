"""The graph between mapping and synthesis, run by ONNX Runtime: truncation to the bit, and noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
import pytest

from exporter.triton.step_graph import build_step
from runtime import Bundle, Generator
from runtime.truncation import towards_mean
from tests.exporter.triton.bundles import KINDS

COUNT = 3
RANDOM = 7


def run(bundle: Bundle, *styles: np.ndarray, psi: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(build_step(bundle), providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    given = {item.name: array for item, array in zip(session.get_inputs(), (*styles, psi))}
    return dict(zip(names, session.run(names, given)))


def random_styles(bundle: Bundle) -> list[np.ndarray]:
    random = np.random.RandomState(RANDOM)
    shape = bundle.manifest.options.latents_per_image, COUNT, bundle.spec.w_dim
    return list(random.randn(*shape).astype(np.float32))


@pytest.mark.parametrize("name", ["stylegan1", "stylegan2", "stylegan3"])
def test_each_row_of_each_image_has_its_own_factor_to_the_bit(name: str, bundles: Mapping[str, Bundle]) -> None:
    bundle = bundles[name]
    (w,) = random_styles(bundle)
    psi = np.random.RandomState(RANDOM + 1).uniform(-2, 2, (COUNT, bundle.spec.num_ws)).astype(np.float32)
    psi[1, ::2], psi[2] = 1, 0
    styles = run(bundle, w, psi=psi)["styles"]
    assert (styles == towards_mean(w[:, None], bundle.w_avg, psi[:, :, None])).all()
    assert (styles[1, ::2] == w[1]).all(), "exactly w where psi is 1"
    assert (styles[2] == bundle.w_avg).all()


def test_one_factor_is_what_the_generator_does(bundles: Mapping[str, Bundle]) -> None:
    for name in ("stylegan1", "stylegan2", "stylegan3", "mixed"):
        bundle, psi = bundles[name], np.float32(0.7)
        w = random_styles(bundle)
        styles = run(bundle, *w, psi=np.full((COUNT, bundle.spec.num_ws), psi, np.float32))["styles"]
        rows = np.stack(w, axis=1).reshape(-1, bundle.spec.w_dim)  # as the generator takes them: sources in turn
        assert (styles == Generator.load(bundle).styles(rows, psi, None)).all()


def test_sources_have_the_factor_of_their_rows(bundles: Mapping[str, Bundle]) -> None:
    """A and B meet in a blended row, so they have one factor; C has its own."""
    w = random_styles(bundles["mixed"])
    psi = np.array([[0.5] * 4 + [1, 1], [0.25] * 6, [1, 1, 1, 1, 0, 0]], np.float32)
    styles = run(bundles["mixed"], *w, psi=psi)["styles"]
    for source, row in enumerate((0, 3, 5)):
        expected = towards_mean(w[source], bundles["mixed"].w_avg, psi[:, row, None])
        assert (styles[:, source] == expected).all()


@pytest.mark.parametrize("row", range(6))
def test_an_image_whose_sources_rows_differ_is_nan_and_no_other(row: int, bundles: Mapping[str, Bundle]) -> None:
    psi = np.full((COUNT, 6), 0.5, np.float32)
    psi[1, row] = 0.75
    styles = run(bundles["mixed"], *random_styles(bundles["mixed"]), psi=psi)["styles"]
    assert np.isnan(styles[1]).all()
    assert np.isfinite(styles[[0, 2]]).all()


@pytest.mark.parametrize("name", KINDS)
def test_noise_and_transform_are_the_checkpoints_own_for_every_image(name: str, bundles: Mapping[str, Bundle]) -> None:
    bundle = bundles[name]
    made = run(bundle, *random_styles(bundle), psi=np.ones((COUNT, bundle.spec.num_ws), np.float32))
    assert list(made) == [item.name for item in bundle.graph("synthesis").inputs]
    del made["styles"]
    own = {f"noise_{index:02d}": array[None] for index, array in enumerate(bundle.stored_noise)}
    if bundle.stored_transform is not None:
        own["transform"] = bundle.stored_transform
    assert bool(made) == (name != "mixed")
    for key, array in made.items():
        assert (array == np.stack([own[key]] * COUNT)).all()


def test_it_is_in_the_opset_of_the_other_graphs(tiny_bundle: Bundle) -> None:
    model, mapping = onnx.load_from_string(build_step(tiny_bundle)), onnx.load(str(tiny_bundle.graph_path("mapping")))
    assert (model.opset_import[0].version, model.ir_version) == (mapping.opset_import[0].version, mapping.ir_version)
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)
    assert len(model.opset_import) == 1
