"""Ways to break a FIR filter, and what it makes of the border."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import NodeProto

from runtime.spec import StyleGAN2Spec
from runtime.up_forms import UP, TransposedConvolution, UpForm, up_steps
from tests.mutation.arrays import mirrored, turned
from tests.mutation.graph import Patient
from tests.mutation.mutant import Change


def up_filter(layer: str, taps: Callable[[np.ndarray], np.ndarray], kernel: bool = False) -> Change:
    """An up-convolution composed of another filter, or of a kernel turned before it is composed."""

    def change(patient: Patient) -> None:
        name = patient.find(f"{layer.replace('.', '_')}_up.weight0")
        weight = patient.checkpoint.weights[f"synthesis.{layer}.weight"].astype(np.float64)
        assert isinstance(patient.spec.synthesis, StyleGAN2Spec)
        own = np.asarray(patient.spec.synthesis.resample_filter) * UP
        np.testing.assert_allclose(_composed(weight, own), patient.array(name), rtol=1e-5, atol=1e-6)
        patient.change(name, _composed(turned(weight) if kernel else weight, taps(own)))

    return change


def _composed(weight: np.ndarray, taps: np.ndarray) -> np.ndarray:
    (step,) = up_steps(UpForm.FUSED, weight, taps)
    assert isinstance(step, TransposedConvolution)
    return step.weight


def shifted(layer: str, operator: str = "ConvTranspose") -> Change:
    """A filter one pixel off: what is cut off one side is cut off the other."""

    def change(patient: Patient) -> None:
        node = patient.node(layer, operator)
        top, left, bottom, right = patient.get(node, "pads")
        patient.set(node, "pads", [top + 1, left + 1, bottom - 1, right - 1])

    return change


def image_filter(layer: str, edit: Callable[[np.ndarray], np.ndarray]) -> Change:
    """The filter of an up-sampled image, or of a shortcut."""

    def change(patient: Patient) -> None:
        node = patient.node(layer, "ConvTranspose")
        patient.put(node, 1, edit(patient.array(node.input[1])))

    return change


def padded_otherwise(layer: str) -> Change:
    """Zeros of an up-sampling filter's border, one more at the top and one less at the bottom."""

    def change(patient: Patient) -> None:
        for node in patient.nodes(layer, "Conv"):
            top, left, bottom, right = patient.get(node, "pads")
            if top and not left:
                patient.set(node, "pads", [top + 1, left, bottom - 1, right])

    return change


def _down_convolutions(patient: Patient, layer: str) -> list[NodeProto]:
    """A radial filter's four phases: rows and columns 0, 0; 1, 0; 0, 1; 1, 1 or with the middle two changed round."""
    behind = {node.output[0] for node in patient.nodes(layer, "Clip")}
    found = [node for node in patient.nodes(layer, "Conv") if node.input[0] in behind]
    assert len(found) == UP**2
    return found


def down_filter_mirrored(layer: str) -> Change:
    """The whole filter from the other end: each phase mirrored, in the place of the opposite one."""

    def change(patient: Patient) -> None:
        nodes = _down_convolutions(patient, layer)
        phases = [patient.array(node.input[1]) for node in nodes]
        for node, phase in zip(nodes, reversed(phases)):
            patient.put(node, 1, mirrored(phase))

    return change


def down_filter_turned(layer: str) -> Change:
    """The whole filter with rows for columns: each phase turned, the middle two in each other's place."""

    def change(patient: Patient) -> None:
        nodes = _down_convolutions(patient, layer)
        first, second, third, last = (turned(patient.array(node.input[1])) for node in nodes)
        for node, phase in zip(nodes, (first, third, second, last)):
            patient.put(node, 1, phase)

    return change


def bordered(layer: str) -> Change:
    """Ones beyond the border, where zeros belong."""

    def change(patient: Patient) -> None:
        node = patient.node(layer, "Conv")
        pads = patient.get(node, "pads")
        patient.set(node, "pads", [0] * len(pads))
        around = np.array([0, 0, *pads[:2], 0, 0, *pads[2:]])
        patient.before(node, 0, "Pad", around, np.float32(1))

    return change
