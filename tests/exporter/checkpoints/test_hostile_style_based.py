"""State dicts of rosinality's style-based-gan-pytorch that make no sense: each refusal says what was expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exporter.checkpoints import load_checkpoint
from runtime.errors import UnsafeCheckpointError
from tests.exporter.checkpoints.known_networks import exact_checkpoint, rosinality_stylegan1, without_extras
from tests.exporter.checkpoints.pickle_writing import call, plain, storage_identity, tensor, torch_stream
from tests.exporter.checkpoints.pickle_writing import name as global_name
from tests.exporter.checkpoints.refusals import assert_refused
from tests.exporter.checkpoints.spoiling import FORGED
from tests.exporter.checkpoints.state_dicts import style_based_state, to_torch_stream

State = dict[str, Any]
Spoil = Callable[[State], Any]
BLOCK = "generator.progression"
RGB = "generator.to_rgb"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train_step-2.model"


@cache
def honest() -> Mapping[str, np.ndarray]:
    """16 px, of which 16 px are fused; two blocks above are not trained."""
    checkpoint = without_extras(exact_checkpoint(rosinality_stylegan1()))
    return style_based_state(checkpoint, fused_from=16, untrained=2)


def tensors() -> State:
    """The same, as tensors of torch."""
    return {key: torch.from_numpy(array.copy()) for key, array in honest().items()}


def test_the_unspoilt_state_loads(path: Path) -> None:
    path.write_bytes(to_torch_stream(honest()))
    assert load_checkpoint(path).spec.resolution == 16


def without(*names: str) -> Spoil:
    """Remove tensors."""
    return lambda state: [state.pop(name) for name in names]


def reshaped(name: str, *shape: int) -> Spoil:
    """Give a tensor another shape."""
    return lambda state: state.update({name: np.zeros(shape, np.float32)})


def filled(name: str, value: float, dtype: str = "f4") -> Spoil:
    """Fill a tensor with one number."""
    return lambda state: state.update({name: np.full(state[name].shape, value, dtype)})


def blurs(array: np.ndarray) -> Spoil:
    """Replace every blur kernel."""

    def spoil(state: State) -> None:
        for name in state:
            if name.endswith(("conv1.1.weight", "conv1.2.weight")):
                state[name] = array.astype(np.float32)

    return spoil


def one_blur_that_differs(state: State) -> None:
    blur = f"{BLOCK}.1.conv1.2.weight"
    state[blur] = state[blur].copy()
    state[blur][-1] *= 2


def one_blur_of_another_layer(state: State) -> None:
    blur = f"{BLOCK}.1.conv1.2.weight"
    state[blur] = state[blur] * 2


def blocks_without_end(state: State) -> None:
    for block in range(5, 14):
        for key in [key for key in state if key.startswith((f"{BLOCK}.4.", f"{RGB}.4."))]:
            state[key.replace(".4.", f".{block}.", 1)] = state[key]


SIGNALLING_NAN = np.uint32(0x7FA00000).view(np.float32)
STATES: dict[str, tuple[Spoil, str]] = {
    "no mapping": (
        lambda state: [state.pop(key) for key in list(state) if key.startswith("style.")],
        "the checkpoint's tensors style.*.linear.weight_orig are numbered [], expected 1, 3, ...",
    ),
    "a mapping layer left out": (without("style.1.linear.weight_orig"), "are numbered [3], expected 1, 3, ..."),
    "a mapping layer in between": (
        lambda state: state.update({"style.2.linear.weight_orig": np.zeros((9, 9), np.float32)}),
        "are numbered [1, 2, 3], expected 1, 3, ...",
    ),
    "a mapping layer by another name": (
        lambda state: state.update({"style.٣.linear.weight_orig": state.pop("style.3.linear.weight_orig")}),
        "b4.conv0.style.weight has shape [12, 9], expected [12, 8]",
    ),
    "a mapping without biases": (without("style.3.linear.bias"), "lacks the 1-dimensional tensor style.3.linear.bias"),
    "mapping layers that do not fit": (
        reshaped("style.3.linear.weight_orig", 9, 5),
        "mapping.fc1.weight has shape [9, 5], expected [9, 8]",
    ),
    "a mapping to another width": (
        reshaped("style.3.linear.weight_orig", 5, 8),
        "mapping.fc1.bias has shape [9], expected [5]",
    ),
    "a latent of 20,000": (reshaped("style.1.linear.weight_orig", 1, 20_000), "z_dim is 20000, expected 1 to 16384"),
    "a block left out": (
        without(f"{BLOCK}.1.conv2.conv.weight_orig"),
        "are numbered [0, 2, 3, 4], expected 0, 1, ...",
    ),
    "no block": (
        lambda state: [state.pop(key) for key in list(state) if key.endswith("conv2.conv.weight_orig")],
        "are numbered [], expected 0, 1, ...",
    ),
    "blocks without end": (blocks_without_end, "the checkpoint has 14 blocks, expected at most 11"),
    "a toRGB left out": (without(f"{RGB}.2.conv.bias"), f"lacks the 1-dimensional tensor {RGB}.2.conv.bias"),
    "a toRGB of another picture": (reshaped(f"{RGB}.1.conv.weight_orig", 1, 5, 1, 1), "b8.torgb.weight has shape [1,"),
    "two image channels": (reshaped(f"{RGB}.0.conv.weight_orig", 2, 6, 1, 1), "makes 2 image channels, expected 1, 3"),
    "a constant of two images": (
        reshaped(f"{BLOCK}.0.conv1.input", 2, 6, 4, 4),
        f"the tensor {BLOCK}.0.conv1.input has shape [2, 6, 4, 4], expected 1 in front",
    ),
    "a constant of 8 px": (reshaped(f"{BLOCK}.0.conv1.input", 1, 6, 8, 8), "b4.const has shape [6, 8, 8], expected [6"),
    "a constant of three dimensions": (reshaped(f"{BLOCK}.0.conv1.input", 6, 4, 4), "lacks the 4-dimensional tensor"),
    "a convolution left out": (
        without(f"{BLOCK}.1.conv1.1.conv.weight_orig"),
        f"lacks the 4-dimensional tensor {BLOCK}.1.conv1.1.conv.weight_orig",
    ),
    "a fused convolution without a bias": (
        without(f"{BLOCK}.2.conv1.0.bias"),
        f"lacks the 1-dimensional tensor {BLOCK}.2.conv1.0.bias",
    ),
    "a fused convolution of other widths": (
        reshaped(f"{BLOCK}.2.conv1.0.weight", 4, 4, 3, 3),
        "b16.conv0.weight has shape [4, 4, 3, 3], expected [4, 5, 3, 3]",
    ),
    "a convolution of other widths": (
        reshaped(f"{BLOCK}.1.conv2.conv.weight_orig", 7, 5, 3, 3),
        "b8.conv0.weight has shape [5, 6, 3, 3], expected [7, 6, 3, 3]",
    ),
    "a kernel of 5 px": (
        reshaped(f"{BLOCK}.1.conv2.conv.weight_orig", 5, 5, 5, 5),
        "b8.conv1.weight has shape [5, 5, 5, 5], expected [5, 5, 3, 3]",
    ),
    "an empty convolution": (
        reshaped(f"{BLOCK}.1.conv2.conv.weight_orig", 0, 5, 3, 3),
        f"lacks the 4-dimensional tensor {BLOCK}.1.conv2.conv.weight_orig",
    ),
    "noise weights of other widths": (
        lambda state: state.update({f"{BLOCK}.1.noise1.weight_orig": np.ones((1, 4, 1, 1), np.float32)}),
        "b8.conv0.noise_weight has shape [4], expected [5]",
    ),
    "no noise weights": (
        without(f"{BLOCK}.1.noise2.weight_orig"),
        f"lacks the 4-dimensional tensor {BLOCK}.1.noise2.weight_orig",
    ),
    "half a style": (
        reshaped(f"{BLOCK}.1.adain1.style.linear.weight_orig", 5, 9),
        "b8.conv0.style.weight has shape [5, 9], expected [10, 9]",
    ),
    "no style": (
        without(f"{BLOCK}.1.adain2.style.linear.bias"),
        f"lacks the 1-dimensional tensor {BLOCK}.1.adain2.style.linear.bias",
    ),
    "a blur left out": (
        without(f"{BLOCK}.2.conv1.1.weight"),
        f"lacks the 4-dimensional tensor {BLOCK}.2.conv1.1.weight",
    ),
    "a blur that differs from channel to channel": (
        one_blur_that_differs,
        "the blur filters of block 1 differ from channel to channel",
    ),
    "a blur that differs from layer to layer": (one_blur_of_another_layer, "the layers' resampling filters differ"),
    "a blur of one row": (blurs(np.ones((1, 1, 1, 3))), "the resampling filter has shape [1, 3], expected taps or a"),
    "a blur of one tap": (blurs(np.ones((1, 1, 1, 1))), "blur filter taps is 1, expected 2 to 32"),
    "a blur of 100 px": (blurs(np.ones((1, 1, 100, 100))), "the resampling filter has shape [100, 100], expected taps"),
    "a blur that is not separable": (blurs(np.eye(3)[None, None] / 3), "the resampling filter is not separable"),
    "a blur that brightens": (blurs(np.ones((1, 1, 3, 3))), "the resampling filter is not separable"),
    "a blur of NaN": (blurs(np.full((1, 1, 3, 3), np.nan)), "the blur filters of block 1 differ"),
    "a blur of infinity": (blurs(np.full((1, 1, 3, 3), np.inf)), "the resampling filter holds NaN or infinity"),
    "an empty blur": (blurs(np.ones((1, 1, 0, 3))), "lacks the 4-dimensional tensor"),
    "NaN": (filled(f"{BLOCK}.1.conv2.conv.bias", np.nan), "b8.conv1.bias holds NaN or infinity: damaged, or training"),
    "a signalling NaN": (filled(f"{BLOCK}.2.conv1.0.weight", SIGNALLING_NAN), "b16.conv0.weight holds NaN or infinity"),
    "infinity": (filled("style.1.linear.bias", np.inf), "mapping.fc0.bias holds NaN or infinity"),
    "numbers beyond float32": (filled("style.1.linear.bias", 1e300, "f8"), "mapping.fc0.bias holds NaN or infinity"),
    "NaN in a block that is not trained": (
        filled(f"{RGB}.4.conv.bias", np.nan),
        "b64.torgb.bias holds NaN or infinity",
    ),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", STATES)
def test_a_state_that_makes_no_sense_is_refused(case: str, path: Path) -> None:
    spoil, message = STATES[case]
    state = dict(honest())
    spoil(state)
    path.write_bytes(to_torch_stream({"g_running": state}))
    assert_refused(path, message)


FILES: dict[str, tuple[Callable[[State], Any], str]] = {
    "a list": (lambda state: [state], "the file holds a list, expected a dictionary of networks"),
    "a discriminator": (
        lambda state: {"discriminator": {"progression.0.weight": torch.zeros(1)}},
        "no generator: it holds 'discriminator', expected 'g_ema' or 'g_running'",
    ),
    "networks of text": (lambda state: {"g_running": "state", "generator": None}, "no generator: it holds 'g_running'"),
    "numbers for names": (lambda state: dict(enumerate(state.values())), "no generator: it holds 0, 1, 2, 3"),
    "a name that would forge a line": (lambda state: {FORGED: state}, r"no generator: it holds 'a\nError: \x1b[2J'"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_without_a_generator_is_refused(case: str, path: Path) -> None:
    wrap, message = FILES[case]
    torch.save(wrap(tensors()), path)
    assert_refused(path, message)


def test_names_that_are_huge_numbers_are_passed_over(path: Path) -> None:
    path.write_bytes(torch_stream(b"}" + plain(10**6000) + tensor(storage_identity()) + b"s"))
    assert_refused(path, "no generator: it holds a huge number")


@pytest.mark.parametrize("name", [f"{BLOCK}.1000.conv2.conv.weight_orig", "style.01x.linear.weight_orig", FORGED])
def test_tensors_that_no_such_network_has_are_passed_over(name: str, path: Path) -> None:
    path.write_bytes(to_torch_stream({**honest(), name: np.zeros((1, 1), np.float32)}))
    assert load_checkpoint(path).spec.resolution == 16


def test_code_among_the_tensors_is_named_and_not_run(path: Path) -> None:
    code = call(global_name("posix", "system"), plain(f"touch {path}.ran"))
    path.write_bytes(torch_stream(b"}" + plain("style.1.linear.bias") + code + b"s", keys=[], data=b""))
    assert_refused(path, "refers to posix.system", UnsafeCheckpointError)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_tensors_that_share_a_storage_are_not_multiplied(path: Path) -> None:
    """1 MB in the file, 60 MB in memory if each layer had its own copy."""
    width, layers = 512, 60
    state = tensors()
    weight, bias = torch.zeros(width, width), torch.zeros(width)
    for index in range(1, 2 * layers, 2):
        state |= {f"style.{index}.linear.weight_orig": weight, f"style.{index}.linear.bias": bias}
    torch.save(state, path)
    assert_refused(path, "they share them, expected its own for each", memory=8 << 20)
