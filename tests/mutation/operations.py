"""Ways to break what a layer computes, or a constant that it computes with."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from onnx import NodeProto

from tests.mutation.arrays import rounded
from tests.mutation.graph import Patient
from tests.mutation.inputs import bank_row
from tests.mutation.mutant import Change

CONVOLUTIONS = ("Conv", "ConvTranspose")


def constant(name: str, edit: Callable[[np.ndarray], np.ndarray]) -> Change:
    """A constant of the graph, changed for all who read it."""

    def change(patient: Patient) -> None:
        found = patient.find(name)
        patient.change(found, edit(patient.array(found)))

    return change


def bank(name: str, layer: str, edit: Callable[[np.ndarray], np.ndarray]) -> Change:
    """A layer's part of what is stacked for all layers."""

    def change(patient: Patient) -> None:
        found = patient.find(name)
        stack = patient.array(found)
        row = bank_row(patient, layer)
        stack[row] = edit(stack[row])
        patient.change(found, stack)

    return change


def ten_bits(patient: Patient) -> None:
    """All products of numbers with 10 bits of mantissa, as TF32 makes them: both operands are rounded."""
    for node in list(patient.graph.node):
        if node.op_type in (*CONVOLUTIONS, "MatMul", "Gemm"):
            for index in range(2):
                name = node.input[index]
                known = any(tensor.name == name for tensor in patient.graph.initializer)
                if known and patient.array(name).dtype == np.float32:
                    patient.put(node, index, rounded(patient.array(name)))


def demodulation_left_out(layer: str, gain: float = math.sqrt(2)) -> Change:
    """Without what divides by the size of weights; the activation's gain, which is in it, stays."""

    def change(patient: Patient) -> None:
        convolution = next(node for node in patient.nodes(layer) if node.op_type in CONVOLUTIONS)
        name = convolution.output[0]
        node, index = next(patient.readers(name))
        if node.op_type == "Cast":
            node, index = next(patient.readers(node.output[0]))
        assert node.op_type == "Mul"
        patient.put(node, 1 - index, np.float32(gain))

    return change


def slope(layer: str, value: float, every: bool = False) -> Change:
    """Another slope of the activation; 1 leaves it out. `every`: in each node of the layer, where there are several."""

    def change(patient: Patient) -> None:
        for node in patient.nodes(layer, "LeakyRelu")[: None if every else 1]:
            patient.set(node, "alpha", value)

    return change


def gain(layer: str, factor: float, operator: str = "LeakyRelu") -> Change:
    """Behind the activation, or another node, everything times a factor."""

    def change(patient: Patient) -> None:
        for node in patient.nodes(layer, operator):
            patient.after(node, "Mul", np.float32(factor))

    return change


def clamp_left_out(layer: str) -> Change:
    """Without a limit."""

    def change(patient: Patient) -> None:
        for node in patient.nodes(layer, "Clip"):
            patient.leave_out(node)

    return change


def left_out(layer: str, operator: str, keep: int = 0, index: int = 0) -> Change:
    """A node of a layer hands on one of its inputs alone."""
    return lambda patient: patient.leave_out(patient.node(layer, operator, index), keep)


def another_after(layer: str, operator: str, *others: np.ndarray, **settings: object) -> Change:
    """Another node behind what makes a layer's output."""
    return lambda patient: patient.after(patient.nodes(layer)[-1], operator, *others, **settings)


def channels_swapped(layer: str) -> Change:
    """Blue, green, red."""
    return another_after(layer, "Gather", np.array([2, 1, 0]), axis=1)


def pixels_swapped(patient: Patient) -> None:
    """Blue, green, red in `pixels` alone."""
    patient.before(patient.node("pixels", "Cast"), 0, "Gather", np.array([2, 1, 0]), axis=3)


def pixels_offset(value: float) -> Change:
    """Another level for black."""
    return lambda patient: _put_constant(patient, patient.node("pixels", "Add"), np.float32(value))


def pixels_rounded(patient: Patient) -> None:
    """To the nearest level, where the official scripts truncate."""
    patient.before(patient.node("pixels", "Cast"), 0, "Round")


def pixels_transposed(patient: Patient) -> None:
    """Columns before rows."""
    patient.set(patient.node("pixels", "Transpose"), "perm", [0, 3, 2, 1])


def _put_constant(patient: Patient, node: NodeProto, array: np.ndarray) -> None:
    patient.put(node, patient.constant_of(node), array)


def mapping_layer_left_out(layer: str) -> Change:
    """What one layer takes is what it puts out."""

    def change(patient: Patient) -> None:
        for operator in ("Gemm", "LeakyRelu"):
            patient.leave_out(patient.node(layer, operator))

    return change


def normalisation_left_out(name: str) -> Change:
    """A latent, or an embedded label, as long as it is."""

    def change(patient: Patient) -> None:
        products = [node for node, _ in patient.readers(name) if node.op_type == "Mul"]
        scaling = next(node for node in products if set(node.input) != {name})
        patient.leave_out(scaling, keep=list(scaling.input).index(name))

    return change


def mean_of_next_image(layer: str) -> Change:
    """Instance normalisation by the mean of another image: statistics that are not an image's own."""
    return lambda patient: patient.rolled(patient.node(layer, "Sub"), 1)


def deviation_left_out(layer: str) -> Change:
    """Instance normalisation that takes off the mean alone."""
    return lambda patient: patient.put(*_scaled_by(patient, layer), np.float32(1).reshape(1, 1, 1, 1))


def _scaled_by(patient: Patient, layer: str) -> tuple[NodeProto, int]:
    return next(patient.readers(patient.node(layer, "Reciprocal").output[0]))


def epsilon_added(layer: str, value: float) -> Change:
    """A larger epsilon below the root."""
    return lambda patient: patient.before(patient.node(layer, "Sqrt"), 0, "Add", np.float32(value))


def layer_bias_left_out(layer: str) -> Change:
    """Without the bias between a convolution and the filters."""
    return lambda patient: patient.leave_out(patient.node(layer, "Add"))
