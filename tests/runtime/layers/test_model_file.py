"""Graphs read and given further outputs as bytes, as onnx itself reads them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from runtime import Bundle
from runtime.errors import BundleError
from runtime.layers.model_file import AddedOutput, ModelFile, with_outputs


def test_it_reads_what_onnx_reads(tiny_bundle: Bundle) -> None:
    path = tiny_bundle.graph_path("pipeline")
    read, known = ModelFile.read(path.read_bytes(), "pipeline"), onnx.load(path)
    assert list(read.values) == [name for node in known.graph.node for name in node.output]
    assert [read.opset] == [entry.version for entry in known.opset_import]


@pytest.mark.parametrize("data", [b"hello", b"\xff" * 20, b"\x3a\xff\x01", b"\x3b"])
def test_other_bytes_are_no_model(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx: is not an ONNX model; export the bundle again"):
        ModelFile.read(data, "model.onnx")


def test_outputs_are_added(tiny_bundle: Bundle) -> None:
    data = with_outputs(
        tiny_bundle.graph_path("mapping").read_bytes(),
        [AddedOutput("mapping.fc0", rank=2), AddedOutput("mapping.fc0", rank=2, cast=True, channels=3)],
    )
    onnx.checker.check_model(data, full_check=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_outputs()] == ["w", "mapping.fc0", "mapping.fc0.plain"]
    z = np.random.RandomState(0).randn(2, tiny_bundle.spec.z_dim).astype(np.float32)
    _, whole, cut = session.run(None, {"z": z})
    assert whole.shape == (2, 8)
    np.testing.assert_array_equal(cut, whole[:, :3])
