"""Ways to break what a layer is given: noise, styles, truncation, labels, transforms, images of the batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import NodeProto

from runtime.spec import LayerKind, StyleGAN1Spec
from tests.mutation.graph import Patient
from tests.mutation.mutant import Change


def _noise(patient: Patient, layer: str) -> NodeProto:
    """The product of a layer's noise and its strength."""
    return next(node for node in patient.nodes(layer, "Mul") if any(name.startswith("noise_") for name in node.input))


def _noise_input(patient: Patient, layer: str) -> int:
    node = _noise(patient, layer)
    return next(index for index, name in enumerate(node.input) if name.startswith("noise_"))


def noise_left_out(layer: str) -> Change:
    """Without the addition."""

    def change(patient: Patient) -> None:
        scaled = _noise(patient, layer).output[0]
        adding, index = next(patient.readers(scaled))
        patient.leave_out(adding, keep=1 - index)

    return change


def noises_swapped(one: str, other: str) -> Change:
    """Two layers with each other's noise."""

    def change(patient: Patient) -> None:
        first, second = (_noise(patient, layer) for layer in (one, other))
        i, j = (_noise_input(patient, layer) for layer in (one, other))
        first.input[i], second.input[j] = second.input[j], first.input[i]

    return change


def noise_of_next_image(layer: str) -> Change:
    """Each image with the noise of the next one of the batch."""
    return lambda patient: patient.rolled(_noise(patient, layer), _noise_input(patient, layer))


def noise_transposed(layer: str) -> Change:
    """Rows for columns."""

    def change(patient: Patient) -> None:
        patient.before(_noise(patient, layer), _noise_input(patient, layer), "Transpose", perm=[0, 1, 3, 2])

    return change


def noise_times(layer: str, factor: float) -> Change:
    """Another strength."""

    def change(patient: Patient) -> None:
        node = _noise(patient, layer)
        index = patient.constant_of(node)
        patient.put(node, index, patient.array(node.input[index]) * np.float32(factor))

    return change


def bank_row(patient: Patient, layer: str) -> int:
    """Which row of all layers' stacked styles is a layer's: convolutions come before StyleGAN2's toRGB and inputs."""
    styled = [item for item in patient.spec.layers if item.style is not None]
    if not isinstance(patient.spec.synthesis, StyleGAN1Spec):
        styled.sort(key=lambda item: item.kind is not LayerKind.CONV)
    return [item.name for item in styled].index(layer)


def style_of_row(layer: str, row: int) -> Change:
    """A layer with another row of `ws`."""
    return _rows(lambda patient, rows: rows.__setitem__(bank_row(patient, layer), row))


def styles_swapped(one: str, other: str) -> Change:
    """Two layers with each other's row of `ws`."""

    def swap(patient: Patient, rows: np.ndarray) -> None:
        pair = [bank_row(patient, one), bank_row(patient, other)]
        rows[pair] = rows[pair[::-1]]

    return _rows(swap)


def all_rows_one_later() -> Change:
    """Off by one: every layer but the last takes the row after its own."""
    return _rows(lambda patient, rows: rows.__setitem__(slice(None), np.minimum(rows + 1, patient.spec.num_ws - 1)))


def _rows(edit: Callable[[Patient, np.ndarray], object]) -> Change:
    def change(patient: Patient) -> None:
        node = next(node for node in patient.graph.node if node.op_type == "Gather" and len(node.input) == 2)
        rows = patient.array(node.input[1])
        edit(patient, rows)
        patient.put(node, 1, rows)

    return change


def batch_rolled(layer: str, operator: str, index: int = 0) -> Change:
    """A node takes the next image's."""
    return lambda patient: patient.rolled(patient.node(layer, operator), index)


def first_image_for_all(name: str) -> Change:
    """Whoever reads a value is given the first image's for each."""

    def change(patient: Patient) -> None:
        for node, index in list(patient.readers(name)):
            patient.first_for_all(node, index)

    return change


def label_of_next_image(patient: Patient) -> None:
    """Each latent with the label of the one after it."""
    node, index = next(patient.readers("c"))
    patient.rolled(node, index)


def _psi(patient: Patient) -> tuple[NodeProto, int]:
    return next(patient.readers("psi"))


def psi_of_first_row(patient: Patient) -> None:
    """The cutoff is ignored: what is for the first row is for all."""
    patient.before(*_psi(patient), "Gather", np.zeros(patient.spec.num_ws, np.int64), axis=0)


def psi_reversed(patient: Patient) -> None:
    """The last row's for the first."""
    patient.before(*_psi(patient), "Gather", np.arange(patient.spec.num_ws)[::-1], axis=0)


def psi_of_one_row_left_out(row: int) -> Change:
    """One row as if its psi were 1."""

    def change(patient: Patient) -> None:
        own = np.arange(patient.spec.num_ws) == row
        node, index = _psi(patient)
        patient.before(node, index, "Add", own.astype(np.float32))
        adding = next(item for item in patient.graph.node if item.output[0] == node.input[index])
        patient.before(adding, 0, "Mul", (~own).astype(np.float32))

    return change


def transform_ignored(patient: Patient) -> None:
    """The picture stays where it is."""
    node, index = next(patient.readers("transform"))
    patient.before(node, index, "Add", np.eye(3, dtype=np.float32))
    adding = next(item for item in patient.graph.node if item.output[0] == node.input[index])
    patient.before(adding, 0, "Mul", np.float32(0))


def transform_transposed(patient: Patient) -> None:
    """Rows for columns: a turn the other way, and no shift."""
    patient.before(*next(patient.readers("transform")), "Transpose", perm=[0, 2, 1])
