"""Up-convolutions in all their forms, the choice between them, and rewrites left out, from the checkpoint to images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from exporter import export
from exporter.graphs import build_synthesis
from exporter.networks.deploy import Form, deploy_synthesis
from exporter.networks.deploy.cost_model import MACHINES, Target, choose_form, estimate
from exporter.networks.deploy.passes import DESCRIPTIONS, Pass
from exporter.networks.deploy.up import PartedUpConvolution, UpConvolution, up_convolution
from exporter.networks.fir import transposed_conv_padding
from exporter.tuning import resolve_target
from runtime import Bundle, Generator
from runtime.errors import InputError
from runtime.mixing import identity_mask
from runtime.spec import GeneratorSpec
from runtime.up_forms import UP, UpForm, available_forms, up_steps
from stylegan_edge.cli import run
from tests.made_up_gpu.machine import Machine
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

EXACT = 1e-13
"""Of the largest value: one layer in float64."""
FILTERS = {
    "one tap": (1.0,),
    "two taps": (0.4, 0.6),
    "three taps": (0.2, 0.5, 0.3),
    "four taps": (0.125, 0.375, 0.375, 0.125),
    "four taps that [1, 1] does not divide": (0.1, 0.4, 0.3, 0.2),
    "six taps": (0.05, 0.1, 0.2, 0.3, 0.2, 0.15),
}


def defined(x: torch.Tensor, weight: np.ndarray, taps: np.ndarray) -> torch.Tensor:
    """The up-convolution as it is defined: zeros inserted by the operator, padding, a correlation."""
    before, after = transposed_conv_padding(len(taps))
    spread = functional.conv_transpose2d(x, constant(weight.swapaxes(0, 1)), stride=UP)
    line = constant(taps[::-1])
    kernel = torch.outer(line, line).expand(len(weight), 1, -1, -1)
    return functional.conv2d(functional.pad(spread, (before, after) * 2), kernel, groups=len(weight))


def constant(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.copy())


@pytest.mark.parametrize("side", [1, 4, 7])
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("form", UpForm)
def test_every_form_is_the_same_function(form: UpForm, name: str, side: int) -> None:
    random, taps = np.random.RandomState(0), np.array(FILTERS[name]) * UP
    weight, x = random.randn(5, 3, 3, 3), torch.from_numpy(random.randn(2, 3, side, side))
    if form not in available_forms(taps):
        assert form is UpForm.FACTORED
        return
    expected = defined(x, weight, taps)
    measured = UpConvolution(up_steps(form, weight, taps), constant)(x)
    assert measured.shape == expected.shape == (2, 5, 2 * side, 2 * side)
    assert float((measured - expected).abs().max()) <= EXACT * float(expected.abs().max())


def test_which_filters_have_a_factor() -> None:
    divided = {name for name, taps in FILTERS.items() if UpForm.FACTORED in available_forms(np.array(taps))}
    assert divided == {"three taps", "four taps"}, "their alternating sum is zero"
    with pytest.raises(ValueError, match="can't be divided"):
        up_steps(UpForm.FACTORED, np.zeros((1, 1, 3, 3)), np.array(FILTERS["six taps"]))


def test_large_layers_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.networks.deploy.up.MAX_PRODUCTS", 9 * 16 * 2)
    random, taps = np.random.RandomState(0), np.array(FILTERS["four taps"]) * UP
    weight, x = random.randn(5, 3, 3, 3), torch.from_numpy(random.randn(2, 3, 4, 4))
    parted = up_convolution(UpForm.TRANSPOSED, weight, taps, 4, constant, in_parts=True)
    assert isinstance(parted, PartedUpConvolution)
    assert len(parted.parts) == 3
    whole = up_convolution(UpForm.TRANSPOSED, weight, taps, 4, constant, in_parts=False)
    assert isinstance(whole, UpConvolution)
    assert torch.allclose(parted(x), whole(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", UpForm)
def test_networks_draw_the_same_in_every_form(form: UpForm) -> None:
    checkpoint = tiny_checkpoint().completed()
    spec = checkpoint.spec
    ws = torch.from_numpy(np.random.RandomState(0).randn(2, spec.num_ws, spec.w_dim).astype(np.float32))
    images = [
        deploy_synthesis(spec, checkpoint.weights, Form(identity_mask(spec.num_ws).matrix, "const", up=item)).image(ws)
        for item in (UpForm.TRANSPOSED, form)
    ]
    assert float((images[0] - images[1]).abs().max()) <= 1e-5 * float(images[0].abs().max())


OFFICIAL = [(512, 512, 16), (512, 512, 32), (512, 256, 64), (256, 128, 128), (128, 64, 256), (64, 32, 512)]
"""Inputs, outputs and side of a configuration F's up-convolutions from 16 px on."""


@pytest.mark.parametrize(("inputs", "outputs", "side"), OFFICIAL)
def test_a_cpu_gets_the_form_that_was_measured_fastest(inputs: int, outputs: int, side: int) -> None:
    weight, taps = np.zeros((outputs, inputs, 3, 3), np.float32), np.array(FILTERS["four taps"]) * UP
    assert choose_form(Target.CPU, weight, taps, side) is UpForm.TRANSPOSED


@pytest.mark.parametrize(("inputs", "outputs", "side"), OFFICIAL)
def test_a_gpu_gets_the_form_that_the_model_calls_cheapest(inputs: int, outputs: int, side: int) -> None:
    weight, taps = np.zeros((outputs, inputs, 3, 3), np.float32), np.array(FILTERS["four taps"]) * UP
    form = choose_form(Target.GPU, weight, taps, side)
    costs = {item: estimate(MACHINES[Target.GPU], up_steps(item, weight, taps), side) for item in UpForm}
    assert costs[form] == min(costs.values())
    assert form is not UpForm.PHASES, "many small operators"


def test_targets(machine: Machine) -> None:
    assert resolve_target("cpu") is Target.CPU
    assert resolve_target("auto") is Target.GPU, "the made-up machine has one"
    with pytest.raises(InputError, match="tune is 'tpu', expected one of cpu, gpu, auto"):
        resolve_target("tpu")


def test_every_pass_is_described() -> None:
    assert list(DESCRIPTIONS) == list(Pass)


def test_from_the_command_line(
    tmp_path: Path, tiny_file: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    options = ["--tune", "gpu", "--skip-pass", "rgb", "--skip-pass", "gain"]
    assert run(["export", str(tiny_file), "-o", str(other), *options]) == 0
    capsys.readouterr()
    assert run(["inspect", str(other)]) == 0
    shown = capsys.readouterr().out
    assert "a GPU" in shown
    assert "gain, rgb" in shown
    generators = [Generator.load(path) for path in (tiny_bundle, other)]
    images = [generator.generate([1, 2]).astype(int) for generator in generators]
    assert np.abs(images[0] - images[1]).max() <= 1
    nodes = {generator.bundle.graph("synthesis").nodes for generator in generators}
    assert len(nodes) == 2


@pytest.mark.parametrize("spec", [tiny_spec(), tiny_stylegan1_spec(), tiny_stylegan3_spec()])
def test_a_graph_without_any_pass_has_the_nodes_that_it_needs(spec: GeneratorSpec) -> None:
    form = Form(identity_mask(spec.num_ws).matrix, passes=frozenset())
    assert len(build_synthesis(tiny_checkpoint(spec), form).model.graph) > 0


def test_a_pass_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pass 'fast' is unknown, expected one of gain, styles, rgb"):
        export(tiny_checkpoint(), tmp_path / "bundle", skip_passes=["fast"])
    assert list(tmp_path.iterdir()) == []
