"""Float16 and bfloat16: close to float32 on every generation, and never infinite, whatever the styles."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from exporter import export
from exporter.checkpoints import Checkpoint
from exporter.networks.deploy import Form, deploy_synthesis
from exporter.networks.deploy.half import ACTIVATION_LIMIT, HALF_MAX, unit_channels, unit_styles
from exporter.networks.deploy.phases import has_phases, up_phases
from exporter.networks.fir import UP
from runtime import Bundle, Generator
from runtime.errors import BundleError, InputError, ParityError
from runtime.mixing import identity_mask
from runtime.parity import FLOAT16, Comparison
from runtime.spec import Architecture, GeneratorSpec
from runtime.transforms import make_transform
from stylegan_edge.cli import run
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

NETWORKS = {
    "StyleGAN2": tiny_spec(),
    "StyleGAN2 without clamp": tiny_spec(conv_clamp=None),
    "StyleGAN2 resnet": tiny_spec(Architecture.RESNET),
    "StyleGAN2 orig": tiny_spec(Architecture.ORIG, c_dim=2),
    "StyleGAN2 scaled": tiny_spec(scaled_demodulation=True),
    "StyleGAN": tiny_stylegan1_spec(),
    "StyleGAN, bias before blur": tiny_stylegan1_spec(bias_before_blur=True, noise_rate=2**0.5),
    "StyleGAN3-t": tiny_stylegan3_spec(radial=False),
    "StyleGAN3-r": tiny_stylegan3_spec(radial=True),
}


def draw(
    checkpoint: Checkpoint, styles: np.ndarray, precision: str, fixed: Mapping[int, np.ndarray] | None = None
) -> np.ndarray:
    """The deployed network in PyTorch, float16 being float16 there: ONNX Runtime's CPU computes in float32."""
    spec = checkpoint.spec
    form = Form(identity_mask(spec.num_ws).matrix, "const", precision, fixed or {})
    module = deploy_synthesis(spec, checkpoint.weights, form).eval()
    transform = torch.from_numpy(make_transform(30.0, (0.1, 0.2)))[None] if spec.takes_transform else None
    with torch.no_grad():
        image: np.ndarray = module(torch.from_numpy(styles), (), transform)[0].numpy()
    return image


def random_styles(spec: GeneratorSpec, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.RandomState(3).randn(3, spec.num_ws, spec.w_dim)).astype(np.float32)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_images_are_within_the_tolerance(name: str, precision: str) -> None:
    checkpoint = tiny_checkpoint(NETWORKS[name]).completed()
    styles = random_styles(checkpoint.spec)
    comparison = Comparison("synthesis", "float32", len(styles), precision)
    comparison.add(draw(checkpoint, styles, "fp32"), draw(checkpoint, styles, precision))
    assert comparison.figures().failures() == []


@pytest.mark.parametrize("name", NETWORKS)
def test_fixed_styles_are_within_the_tolerance(name: str) -> None:
    checkpoint = tiny_checkpoint(NETWORKS[name]).completed()
    styles = random_styles(checkpoint.spec)
    fixed = {row: styles[0, row] for row in range(0, checkpoint.spec.num_ws, 2)}
    comparison = Comparison("synthesis", "float32", len(styles), "fp16")
    comparison.add(draw(checkpoint, styles, "fp32", fixed), draw(checkpoint, styles, "fp16", fixed))
    assert comparison.figures().failures() == []


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1e3, 1e6])
@pytest.mark.parametrize("name", NETWORKS)
def test_no_style_overflows(name: str, scale: float, precision: str) -> None:
    checkpoint = tiny_checkpoint(NETWORKS[name]).completed()
    assert np.isfinite(draw(checkpoint, random_styles(checkpoint.spec, scale), precision)).all()


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_styles_of_any_size_are_as_precise(scale: float) -> None:
    """What a style is divided by cancels in the demodulation; toRGB multiplies it back in float32."""
    checkpoint = tiny_checkpoint().completed()
    styles = random_styles(checkpoint.spec, scale)
    comparison = Comparison("synthesis", "float32", len(styles), "fp16")
    comparison.add(draw(checkpoint, styles, "fp32"), draw(checkpoint, styles, "fp16"))
    assert comparison.figures().psnr > FLOAT16.psnr_min  # type: ignore[operator]


def test_the_bounds_hold_for_the_widest_networks() -> None:
    """Cauchy and Schwarz: a convolution of unit weights and styles is at most max|x| sqrt(taps * channels)."""
    widest = 512  # of every published network
    assert ACTIVATION_LIMIT * (9 * widest) ** 0.5 < HALF_MAX
    # An up-sampled pixel meets at most four of the nine taps, and the filter's taps sum to UP^2.
    assert ACTIVATION_LIMIT * (4 * widest) ** 0.5 * UP**2 < HALF_MAX


def test_unit_channels_and_styles_are_exact_rewrites() -> None:
    random = np.random.RandomState(0)
    weight = random.randn(4, 3, 3, 3)
    weight[1] = 0
    unit, norm = unit_channels(weight)
    assert np.allclose(unit * norm[:, None, None, None], weight)
    assert np.allclose((unit[[0, 2, 3]] ** 2).sum(axis=(1, 2, 3)), 1)
    styles = torch.from_numpy(random.randn(2, 3, 1, 5))
    scaled, size = unit_styles(styles, torch.full((3, 1, 1), 1 / 5))
    assert torch.allclose(scaled * size, styles)
    assert torch.allclose((scaled**2).mean(dim=3), torch.ones(2, 3, 1, dtype=torch.float64))


@pytest.fixture(scope="module")
def bundle(avatars_bundle: Bundle) -> Bundle:
    return avatars_bundle


def test_a_bundle_holds_both_with_the_same_ends(bundle: Bundle) -> None:
    assert sorted(bundle.manifest.graphs) == ["mapping", "pipeline", "pipeline.fp16", "synthesis", "synthesis.fp16"]
    assert bundle.precisions == ["fp32", "fp16"]
    wide, narrow = bundle.graph("synthesis"), bundle.graph("synthesis", "fp16")
    assert (narrow.inputs, narrow.outputs) == (wide.inputs, wide.outputs)
    assert narrow.file == "synthesis.fp16.onnx"
    size = {name: info.size for name, info in bundle.manifest.files.items()}
    assert size["synthesis.fp16.onnx"] < 0.75 * size["synthesis.onnx"]


def test_its_parity_is_measured_and_kept(bundle: Bundle) -> None:
    figures = {(item.graph, item.precision): item for item in bundle.manifest.parity}
    half = figures["synthesis", "fp16"]
    assert half.allowed_psnr == 50
    assert half.psnr is not None
    assert half.psnr > 60
    assert half.levels_max is not None
    assert half.levels_max <= 2
    assert ("pipeline", "fp16") in figures
    assert ("mapping", "fp16") not in figures


def test_it_is_drawn_and_verified_by_name(bundle: Bundle, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wide, narrow = (Generator.load(bundle, precision=name).generate([1, 2]) for name in ("fp32", "fp16"))
    assert 0 < np.abs(wide.astype(int) - narrow).max() <= 2
    assert run(["verify", str(bundle.path), "--batch", "1,3"]) == 0
    shown = capsys.readouterr().out
    assert "synthesis fp16" in shown
    assert "fp32 with onnxruntime on cpu; fp16 with onnxruntime on cpu: the images are the right ones." in shown
    assert run(["generate", str(bundle.path), "--seeds", "1", "--precision", "fp16", "-o", str(tmp_path / "o")]) == 0


def test_what_the_bundle_lacks(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BundleError, match=r"has no graph 'synthesis\.fp16'"):
        Generator.load(tiny_bundle, precision="fp16")
    assert run(["verify", str(tiny_bundle.path), "--precision", "fp16"]) == 2
    assert "has no precision 'fp16', only fp32" in capsys.readouterr().err


@pytest.mark.parametrize("precisions", [(), ("fp16",), ("fp32", "fp64"), ("fp32", "fp32")])
def test_precisions_that_make_no_bundle(precisions: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected fp32"):
        export(tiny_checkpoint(), tmp_path / "bundle", precisions=precisions)
    assert list(tmp_path.iterdir()) == []


def test_a_network_beyond_float16_is_refused(tmp_path: Path) -> None:
    """Without a clamp of its own and with activations far above the limit, float16 draws other images."""
    checkpoint = tiny_checkpoint(tiny_spec(conv_clamp=None))
    weights = dict(checkpoint.weights)
    for name in [name for name in weights if name.endswith("conv0.bias")]:
        weights[name] = weights[name] * np.float32(1e4)
    large = dataclasses.replace(checkpoint, weights=weights)
    with pytest.raises(ParityError, match="synthesis graph in fp16 does not draw the reference's images"):
        export(large, tmp_path / "bundle", precisions=("fp32", "fp16"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("radial", [False, True])
def test_filters_overshoot_less_than_is_allowed_for(radial: bool) -> None:
    from exporter.networks.deploy.half import FILTER_LIMIT

    checkpoint = tiny_checkpoint(tiny_stylegan3_spec(radial=radial)).completed()
    for layer in checkpoint.spec.synthesis.filtered:  # type: ignore[attr-defined]
        if not has_phases(layer):
            continue
        taps = checkpoint.weights[f"synthesis.{layer.name}.up_filter"].astype(np.float64) * layer.up
        kernels, _ = up_phases(taps, layer, layer.inner_size(3))
        worst = max(np.abs(kernel).sum() for kernel in kernels) ** 2
        assert worst * FILTER_LIMIT < HALF_MAX
