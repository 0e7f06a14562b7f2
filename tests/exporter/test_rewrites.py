"""The deployable form is the reference's function, rewritten exactly: equal in float64 to rounding."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from exporter.bench.zero_insertion import with_zero_insertion
from exporter.checkpoints import Checkpoint
from exporter.networks.deploy import (
    DeployMapping,
    Form,
    common,
    deploy_head,
    deploy_pipeline,
    deploy_synthesis,
    deploy_tail,
)
from exporter.networks.deploy.common import aligned_width
from exporter.networks.deploy.filtered import (
    DirectActivation,
    FilteredActivation,
    Nonlinearity,
    PhasedActivation,
    split_channels,
    symmetric_crop,
)
from exporter.networks.deploy.passes import Pass, without
from exporter.networks.deploy.phases import has_phases
from exporter.networks.deploy.stylegan1 import repeating_kernel
from exporter.networks.fir import filter_and_stride, insert_zeros, upsample_padded
from exporter.networks.marks import collecting
from exporter.networks.stylegan1 import repeat_pixels
from exporter.splitting import check_split
from runtime.mixing import identity_mask, parse_mask
from runtime.spec import Architecture, FilteredLayer, GeneratorSpec, LabelInput
from runtime.transforms import make_transform
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

EXACT = 1e-12
"""Of the reference's largest value: float64 rounding, a few hundred operations deep."""

VARIANTS: dict[str, GeneratorSpec] = {
    "skip": tiny_spec(),
    "orig": tiny_spec(Architecture.ORIG),
    "resnet": tiny_spec(Architecture.RESNET),
    "no clamp": tiny_spec(conv_clamp=None),
    "active clamp": tiny_spec(conv_clamp=0.5),
    "active clamp in a resnet": tiny_spec(Architecture.RESNET, conv_clamp=0.5),
    "no noise": tiny_spec(use_noise=False),
    "scaled demodulation": tiny_spec(scaled_demodulation=True),
    "three taps": tiny_spec(resample_filter=(0.2, 0.5, 0.3)),
    "three taps in a resnet": tiny_spec(Architecture.RESNET, resample_filter=(0.2, 0.5, 0.3)),
    "six taps": tiny_spec(resample_filter=(0.05, 0.1, 0.2, 0.3, 0.2, 0.15)),
    "grey": tiny_spec(img_channels=1),
    "RGBA": tiny_spec(img_channels=4),
    "4 px": tiny_spec(channels=(5,)),
    "all widths alike": tiny_spec(channels=(6, 6)),
    "StyleGAN": tiny_stylegan1_spec(),
    "StyleGAN with rosinality's conventions": tiny_stylegan1_spec(
        bias_before_blur=True, noise_per_block=True, noise_rate=2**0.5
    ),
    "StyleGAN without noise": tiny_stylegan1_spec(use_noise=False),
    "StyleGAN with toRGB at the end only": tiny_stylegan1_spec(rgb_everywhere=False),
    "StyleGAN fading": tiny_stylegan1_spec(lod=0.4),
    "StyleGAN fading below full resolution": tiny_stylegan1_spec(lod=1.7),
    "StyleGAN at half its resolution": tiny_stylegan1_spec(lod=1.0),
    "StyleGAN at 4 px of 16": tiny_stylegan1_spec(lod=2.0),
    "StyleGAN of 4 px": tiny_stylegan1_spec(channels=(5,)),
    "StyleGAN with two taps": tiny_stylegan1_spec(blur_filter=(0.4, 0.6)),
    "StyleGAN with five taps": tiny_stylegan1_spec(blur_filter=(0.1, 0.2, 0.4, 0.2, 0.1)),
    "StyleGAN without a blur": tiny_stylegan1_spec(blur_filter=(0.0, 1.0, 0.0)),
    "grey StyleGAN": tiny_stylegan1_spec(img_channels=1),
    "StyleGAN3-t": tiny_stylegan3_spec(),
    "StyleGAN3-r": tiny_stylegan3_spec(radial=True),
    "StyleGAN3 without a clamp": tiny_stylegan3_spec(conv_clamp=None),
    "StyleGAN3 with an active clamp": tiny_stylegan3_spec(conv_clamp=0.5),
    "StyleGAN3 of 24 px": tiny_stylegan3_spec(resolution=24),
    "grey StyleGAN3": tiny_stylegan3_spec(img_channels=1),
    "StyleGAN3 with widths to align": tiny_stylegan3_spec(channels=(512, 30)),
}


@pytest.fixture(autouse=True)
def float64_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the constants that export rounds to float32 as they were computed.

    The same inputs each time: StyleGAN3 divides by the length of a vector that a style decides, and one that happens to
    be near zero makes rounding as much larger.
    """
    monkeypatch.setattr(common, "CONSTANT_DTYPE", np.float64)
    torch.manual_seed(1)


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def _assert_exact(measured: torch.Tensor, reference: torch.Tensor) -> None:
    assert measured.shape == reference.shape
    assert float((measured - reference).abs().max()) <= EXACT * float(reference.abs().max())


def _transforms(spec: GeneratorSpec, count: int) -> torch.Tensor | None:
    if not spec.takes_transform:
        return None
    motions = [make_transform(30.0 * index, (0.1 * index, -0.2)) for index in range(count)]
    return torch.from_numpy(np.stack(motions)).double()


def _deployed(
    checkpoint: Checkpoint,
    noise: str = "explicit",
    mask: np.ndarray | None = None,
    fixed: Mapping[int, np.ndarray] | None = None,
    **chosen: Any,
) -> Any:
    matrix = identity_mask(checkpoint.spec.num_ws).matrix if mask is None else mask
    return deploy_synthesis(checkpoint.spec, checkpoint.weights, Form(matrix, noise, fixed=fixed or {}, **chosen))


@pytest.mark.parametrize("variant", VARIANTS)
def test_synthesis_and_every_layer_are_exact(variant: str) -> None:
    checkpoint = tiny_checkpoint(VARIANTS[variant])
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    ws = _random(3, spec.num_ws, spec.w_dim)
    noise = [_random(3, 1, *shape) for shape in spec.noise_shapes]
    transform = _transforms(spec, 3)
    with collecting() as ours:
        measured = _deployed(checkpoint).image(ws, noise, transform)
    with collecting() as theirs:
        reference = network.synthesis(ws, noise, transform)
    _assert_exact(measured, reference)
    synthesis = spec.synthesis.outputs(spec.img_channels)
    assert list(ours) == list(theirs) == [output.name for output in synthesis]
    for output in synthesis:
        assert theirs[output.name].shape[1:] == (output.channels, output.size, output.size)
        own = ours[output.name][:, : output.channels]  # wider where channels were added
        _assert_exact(own.expand(3, -1, -1, -1), theirs[output.name])


PASSES = {
    Pass.GAIN: ("skip", "resnet", "active clamp", "StyleGAN3-t", "StyleGAN3 with an active clamp"),
    Pass.STYLES: ("skip", "4 px", "StyleGAN", "StyleGAN3-t"),
    Pass.RGB: ("skip", "orig", "grey", "active clamp"),
    Pass.UP: ("skip", "resnet", "three taps", "six taps"),
    Pass.PARTS: ("skip", "StyleGAN3-t"),
    Pass.WIDTHS: ("StyleGAN3 with widths to align",),
    Pass.PHASES: ("StyleGAN3-t", "StyleGAN3-r"),
}
"""The networks that each pass says something about."""


@pytest.mark.parametrize(("name", "variant"), [(name, variant) for name in Pass for variant in PASSES[name]])
def test_without_a_pass_it_is_exact(name: Pass, variant: str) -> None:
    checkpoint = tiny_checkpoint(VARIANTS[variant])
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    ws = _random(2, spec.num_ws, spec.w_dim)
    noise = [_random(2, 1, *shape) for shape in spec.noise_shapes]
    transform = _transforms(spec, 2)
    deployed = _deployed(checkpoint, passes=without([name.value]))
    _assert_exact(deployed.image(ws, noise, transform), network.synthesis(ws, noise, transform))


@pytest.mark.parametrize("rows", ["first", "last", "odd", "all but one"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_fixed_styles_are_exact(variant: str, rows: str) -> None:
    """Folded into weights: whatever the input says of these rows, the images are those of the fixed styles."""
    checkpoint = tiny_checkpoint(VARIANTS[variant])
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    count = spec.num_ws
    chosen = {"first": [0], "last": [count - 1], "odd": range(1, count, 2), "all but one": range(1, count)}[rows]
    fixed = {row: np.random.RandomState(row).randn(spec.w_dim) for row in chosen}
    if len(fixed) == count:
        pytest.skip("nothing would be left to vary")
    ws = _random(3, count, spec.w_dim)
    noise = [_random(3, 1, *shape) for shape in spec.noise_shapes]
    transform = _transforms(spec, 3)
    deployed = _deployed(checkpoint, fixed=fixed).image(ws, noise, transform)
    for row, w in fixed.items():
        ws[:, row] = torch.from_numpy(w)
    _assert_exact(deployed, network.synthesis(ws, noise, transform))


def _splits(spec: GeneratorSpec) -> range:
    return range(1, max(layer.style for layer in spec.layers if layer.style is not None) + 1)


def _own(noise: Any, side: Any) -> tuple[torch.Tensor, ...]:
    return tuple(noise[index] for index in side.part.noise_inputs) if noise else ()


def _halves(checkpoint: Checkpoint, split: int, form: Form) -> tuple[Any, Any]:
    """What makes the activations at a split by name, and what makes an image of them; each takes its own of `noise`."""
    spec = checkpoint.spec
    cut = check_split(spec, split, form.fixed)
    head = deploy_head(spec, checkpoint.weights, form, cut)

    def before(ws: torch.Tensor, noise: Any, transform: Any) -> dict[str, torch.Tensor]:
        return head.activations(ws, _own(noise, head), transform)

    def after(kept: dict[str, torch.Tensor], ws: torch.Tensor, noise: Any) -> torch.Tensor:
        tail = deploy_tail(spec, checkpoint.weights, form, cut, tuple(kept))
        image: torch.Tensor = tail(tuple(kept.values()), ws, _own(noise, tail))[0]
        return image

    return before, after


@pytest.mark.parametrize("variant", VARIANTS)
def test_head_and_tail_are_the_whole(variant: str) -> None:
    """At every row that it can be cut at; the head has not seen the tail's rows, nor the tail the head's."""
    checkpoint = tiny_checkpoint(VARIANTS[variant])
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    ws = _random(3, spec.num_ws, spec.w_dim)
    noise = [_random(3, 1, *shape) for shape in spec.noise_shapes]
    transform = _transforms(spec, 3)
    expected = network.synthesis(ws, noise, transform)
    for split in _splits(spec):
        before, after = _halves(checkpoint, split, Form(np.eye(spec.num_ws)))
        early, late = ws.clone(), ws.clone()
        early[:, split:], late[:, :split] = 7, 7
        _assert_exact(after(before(early, noise, transform), late, noise), expected)


@pytest.mark.parametrize("variant", ["skip", "resnet", "StyleGAN fading", "StyleGAN3-t"])
def test_one_head_serves_many_tails(variant: str) -> None:
    checkpoint = tiny_checkpoint(VARIANTS[variant])
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    ws, transform = _random(3, spec.num_ws, spec.w_dim), _transforms(spec, 1)
    noise = [_random(1, 1, *shape) for shape in spec.noise_shapes]
    for split in _splits(spec):
        ws[:, :split] = ws[:1, :split]
        before, after = _halves(checkpoint, split, Form(np.eye(spec.num_ws)))
        measured = after(before(ws[:1], noise, transform), ws, noise)
        _assert_exact(measured, network.synthesis(ws, noise, transform))


@pytest.mark.parametrize("variant", ["skip", "resnet", "StyleGAN", "StyleGAN3-r"])
def test_a_split_goes_with_baked_noise_styles_and_masks(variant: str) -> None:
    checkpoint = tiny_checkpoint(VARIANTS[variant])
    spec, network, count = checkpoint.spec, checkpoint.build(torch.float64), checkpoint.spec.num_ws
    mask = parse_mask(f"A*0.25+B*0.75:0-2,A:3-{count - 1}", count)
    styles, transform = _random(2, 2, spec.w_dim), _transforms(spec, 1)
    ws = torch.einsum("lk,nkw->nlw", torch.from_numpy(mask.matrix), styles)
    fixed = {row: np.random.RandomState(row).randn(spec.w_dim) for row in (2, count - 2)}
    for row, w in fixed.items():
        ws[:, row] = torch.from_numpy(w)
    before, after = _halves(checkpoint, 2, Form(mask.matrix, "const", fixed=fixed))
    measured = after(before(styles, (), transform), styles, ())
    _assert_exact(measured, network.synthesis(ws, "const", transform))


@pytest.mark.parametrize("radial", [False, True])
def test_filtering_in_parts_is_exact(radial: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.networks.deploy.filtered.MAX_VALUES", 5000)
    checkpoint = tiny_checkpoint(tiny_stylegan3_spec(radial, channels=(512, 45)))
    deployed, spec = _deployed(checkpoint), checkpoint.spec
    assert max(len(module.parts) for module in deployed.modules() if isinstance(module, FilteredActivation)) > 2
    ws, transform = _random(2, spec.num_ws, spec.w_dim), _transforms(spec, 2)
    reference = checkpoint.build(torch.float64).synthesis(ws, "none", transform)
    _assert_exact(deployed.image(ws, (), transform), reference)


@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize(
    ("factors", "taps", "padding"),
    [
        ((2, 2), (12, 12), (9, 8)),
        ((2, 2), (8, 6), (-3, 4)),
        ((3, 3), (7, 5), (1, 4)),
        ((4, 2), (24, 12), (-6, -9)),
        ((4, 2), (24, 11), (9, 3)),
        ((6, 3), (25, 9), (5, 1)),
        ((6, 2), (25, 9), (1, 0)),
    ],
)
def test_phases_are_the_whole(
    radial: bool, factors: tuple[int, int], taps: tuple[int, int], padding: tuple[int, int]
) -> None:
    """Each form of the filtered activation against its definition, for factors and borders that no network has too."""
    up, down = _random(taps[0]), (_random(taps[1], taps[1]) if radial else _random(taps[1]))
    side, (factor, divisor) = 20, factors
    inner = side * factor + sum(padding) - (taps[0] - 1)
    layer = FilteredLayer("L0_20_5", 5, 5, side, (inner - taps[1]) // divisor + 1, *factors, *taps, radial, padding)
    assert has_phases(layer)
    x = _random(2, 5, side, side)
    spread = functional.pad(insert_zeros(x, factor), padding * 2)
    between = functional.leaky_relu(filter_and_stride(spread, up * factor, 1), 0.2).clamp(-2, 2)
    expected = filter_and_stride(between, down, divisor)
    weights = {"synthesis.L0_20_5.up_filter": up.numpy(), "synthesis.L0_20_5.down_filter": down.numpy()}
    for form, gain in product((PhasedActivation, DirectActivation), (1.0, 1.5)):
        nonlinearity = Nonlinearity(gain, 2.0 * gain)  # both multiplied: so is what comes out
        _assert_exact(form(layer, inner, nonlinearity, weights, channels=5, in_parts=True)(x), expected * gain)


@pytest.mark.parametrize(
    ("channels", "pixels", "parts"),
    [
        (7, 1, [7]),
        (512, 1 << 18, [512]),
        (288, 1074**2, [96, 96, 96]),
        (144, 1074**2, [80, 64]),
        (20, 1 << 40, [16, 4]),
    ],
)
def test_parts_are_aligned_and_few(channels: int, pixels: int, parts: list[int]) -> None:
    assert split_channels(channels, pixels) == parts


@pytest.mark.parametrize(
    ("channels", "width"), [(3, 3), (12, 12), (13, 16), (17, 17), (181, 192), (287, 288), (512, 512)]
)
def test_widths_are_aligned_where_that_adds_little(channels: int, width: int) -> None:
    assert aligned_width(channels) == width


@pytest.mark.parametrize("radial", [False, True])
def test_the_reference_filters_as_over_inserted_zeros(radial: bool) -> None:
    """StyleGAN3's up-sampling as a transposed convolution against its definition."""
    checkpoint = tiny_checkpoint(tiny_stylegan3_spec(radial=radial))
    network, transform = checkpoint.build(torch.float64), _transforms(checkpoint.spec, 2)
    ws = _random(2, checkpoint.spec.num_ws, checkpoint.spec.w_dim)
    image = network.synthesis(ws, "none", transform)
    defined = with_zero_insertion(checkpoint.build(torch.float64)).synthesis(ws, "none", transform)
    assert not torch.equal(image, defined)  # it is another way
    _assert_exact(image, defined)


@pytest.mark.parametrize("taps", [5, 6, 12])
@pytest.mark.parametrize("up", [1, 2, 4])
@pytest.mark.parametrize("padding", [(0, 0), (5, 7), (14, 9), (-3, -4), (2, -1)])
def test_padded_upsampling(taps: int, up: int, padding: tuple[int, int]) -> None:
    x, line = _random(2, 3, 20, 20), _random(taps)
    spread = functional.pad(insert_zeros(x, up), padding * 2)
    _assert_exact(upsample_padded(x, line, up, padding), filter_and_stride(spread, line, 1))


@pytest.mark.parametrize("noise", ["const", "none"])
@pytest.mark.parametrize("variant", ["skip", "StyleGAN", "StyleGAN with rosinality's conventions", "StyleGAN fading"])
def test_baked_noise_is_exact(variant: str, noise: str) -> None:
    checkpoint = tiny_checkpoint(VARIANTS[variant])
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    ws = _random(2, spec.num_ws, spec.w_dim)
    _assert_exact(_deployed(checkpoint, noise).image(ws, ()), network.synthesis(ws, noise))


@pytest.mark.parametrize("variant", ["skip", "StyleGAN", "StyleGAN3-t"])
@pytest.mark.parametrize("text", ["A:0-2,B:3-5", "B:0,A:1-5", "A*0.25+B*0.75:0-3,A:4-5", "A*-0.5+B*1.5:0-5"])
def test_a_baked_mask_builds_ws(variant: str, text: str) -> None:
    checkpoint = tiny_checkpoint(VARIANTS[variant])
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    mask = parse_mask(text, spec.num_ws)
    styles, transform = _random(2, len(mask.sources), spec.w_dim), _transforms(spec, 1)
    ws = torch.einsum("lk,nkw->nlw", torch.from_numpy(mask.matrix), styles)
    deployed = _deployed(checkpoint, "none", mask.matrix)
    _assert_exact(deployed.image(styles, (), transform), network.synthesis(ws, "none", transform))


@pytest.mark.parametrize("label", LabelInput)
@pytest.mark.parametrize("c_dim", [0, 4])
def test_mapping_is_exact(c_dim: int, label: LabelInput) -> None:
    spec = tiny_spec(c_dim=c_dim)
    checkpoint = tiny_checkpoint(dataclasses.replace(spec, mapping=dataclasses.replace(spec.mapping, label=label)))
    network = checkpoint.build(torch.float64)
    z, c = _random(5, spec.z_dim), (_random(5, c_dim) if c_dim else None)
    _assert_exact(DeployMapping(checkpoint.spec.mapping, checkpoint.weights)(z, c), network.mapping(z, c))


def test_the_mapping_of_stylegan_has_its_gain_in_the_weights() -> None:
    checkpoint = tiny_checkpoint(tiny_stylegan1_spec(c_dim=3))
    network = checkpoint.build(torch.float64)
    z, c = _random(5, checkpoint.spec.z_dim), _random(5, 3)
    _assert_exact(DeployMapping(checkpoint.spec.mapping, checkpoint.weights)(z, c), network.mapping(z, c))


@pytest.mark.parametrize("variant", ["skip", "StyleGAN", "StyleGAN3-t"])
def test_pipeline_truncates_each_row_by_its_own_psi(variant: str) -> None:
    checkpoint = tiny_checkpoint(VARIANTS[variant])
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    pipeline = deploy_pipeline(spec, checkpoint.weights, Form(np.ones((spec.num_ws, 1)), "none"))
    z, cutoff, transform = _random(2, spec.z_dim), 3, _transforms(spec, 2)
    psi = torch.ones(spec.num_ws, dtype=torch.float64)
    psi[:cutoff] = 0.4
    image, pixels = pipeline((z,), None, psi, (), transform)
    expected = network.synthesis(network.truncate(network.mapping(z), 0.4, cutoff), "none", transform)
    _assert_exact(image, expected)
    assert pixels.dtype == torch.uint8


def test_pipeline_of_a_mask_mixes_its_sources() -> None:
    checkpoint = tiny_checkpoint()
    spec, network = checkpoint.spec, checkpoint.build(torch.float64)
    mask = parse_mask("A:0-1,B:2-5", spec.num_ws)
    pipeline = deploy_pipeline(spec, checkpoint.weights, Form(mask.matrix, "none"))
    z = [_random(2, spec.z_dim), _random(2, spec.z_dim)]
    psi = torch.full((spec.num_ws,), 0.7, dtype=torch.float64)
    first, second = (network.truncate(network.mapping(latent), 0.7) for latent in z)
    expected = network.synthesis(torch.cat([first[:, :2], second[:, 2:]], dim=1), "none")
    _assert_exact(pipeline(tuple(z), None, psi, ())[0], expected)


def test_repeating_pixels_is_a_transposed_convolution() -> None:
    x, weight = _random(2, 3, 5, 5), _random(4, 3, 3, 3)
    fused = torch.from_numpy(repeating_kernel(weight.numpy()))
    measured = torch.nn.functional.conv_transpose2d(x, fused, stride=2, padding=1)
    _assert_exact(measured, torch.nn.functional.conv2d(repeat_pixels(x, 2), weight, padding=1))


@pytest.mark.parametrize("padding", [(9, 8), (-2, -5), (-11, -12), (3, 9), (14, 2), (15, 15)])
@pytest.mark.parametrize("up", [1, 2, 4])
def test_any_padding_becomes_a_symmetric_crop(padding: tuple[int, int], up: int) -> None:
    """By the definition: zero insertion, padding, convolution. No published layer has these paddings but the first."""
    taps, x = np.random.RandomState(0).randn(12), np.random.RandomState(1).randn(40)
    spread = np.zeros(len(x) * up)
    spread[::up] = x
    first, last = padding
    padded = np.pad(spread, (max(first, 0), max(last, 0)))
    padded = padded[max(-first, 0) : len(padded) - max(-last, 0)]
    expected = np.convolve(padded, taps, mode="valid")
    layer = dataclasses.replace(tiny_stylegan3_spec().synthesis.filtered[0], up=up, padding=padding)  # type: ignore[attr-defined]
    longer, crop = symmetric_crop(taps, layer)
    line, kernel = torch.from_numpy(x)[None, None], torch.from_numpy(longer)[None, None]
    measured = torch.nn.functional.conv_transpose1d(line, kernel, stride=up, padding=crop)
    _assert_exact(measured[0, 0], torch.from_numpy(expected))
