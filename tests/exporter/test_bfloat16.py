"""Graphs in bfloat16: plain convolutions alone, measured in PyTorch, refused in one line where nothing runs them."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from exporter import export
from exporter.graphs import build_synthesis
from exporter.networks.deploy import Form, deploy_synthesis
from exporter.networks.deploy.filtered import DirectActivation
from exporter.networks.deploy.passes import without
from runtime import Bundle, Generator
from runtime.errors import BackendUnavailableError, InputError
from runtime.mixing import identity_mask
from runtime.spec import Architecture
from stylegan_edge.cli import run
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

NETWORKS = {
    "StyleGAN": tiny_stylegan1_spec(),
    "StyleGAN, bias before blur": tiny_stylegan1_spec(bias_before_blur=True),
    "StyleGAN2": tiny_spec(),
    "StyleGAN2 resnet": tiny_spec(Architecture.RESNET),
    "StyleGAN3-t": tiny_stylegan3_spec(),
    "StyleGAN3-r": tiny_stylegan3_spec(radial=True),
}
PRECISIONS = ("fp32", "bf16")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(tiny_checkpoint(), tmp_path_factory.mktemp("bf16") / "bundle", precisions=PRECISIONS, pipeline=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_its_convolutions_are_plain_ones(name: str, tmp_path: Path) -> None:
    """TensorRT's builder has no transposed ones in bfloat16."""
    checkpoint = tiny_checkpoint(NETWORKS[name]).completed()
    form = Form(identity_mask(checkpoint.spec.num_ws).matrix, precision="bf16")
    info = build_synthesis(checkpoint, form).save(tmp_path)
    model = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / info.file))
    kinds = {item.name: item.type.tensor_type.elem_type for item in model.graph.value_info}
    kinds |= {item.name: item.data_type for item in model.graph.initializer}
    found = [(node.op_type, kinds[node.input[1]]) for node in model.graph.node if node.op_type.startswith("Conv")]
    assert ("Conv", onnx.TensorProto.BFLOAT16) in found
    assert ("ConvTranspose", onnx.TensorProto.BFLOAT16) not in found
    assert model.opset_import[0].version == info.opset == 22


def test_filters_without_phases_stay_in_float32() -> None:
    checkpoint = tiny_checkpoint(tiny_stylegan3_spec())
    form = Form(identity_mask(checkpoint.spec.num_ws).matrix, precision="bf16", passes=without(["phases"]))
    module = deploy_synthesis(checkpoint.spec, checkpoint.weights, form)
    filters = [item for item in module.modules() if isinstance(item, DirectActivation)]
    assert filters
    assert {str(buffer.dtype) for item in filters for buffer in item.buffers()} == {"torch.float32"}


def test_the_bundle_says_how_near_it_is(bundle: Bundle) -> None:
    assert bundle.precisions == ["fp32", "bf16"]
    figures = {(item.graph, item.precision): item for item in bundle.manifest.parity}
    assert figures["pipeline", "bf16"].allowed_psnr == 40
    assert not figures["pipeline", "bf16"].failures()


def test_onnx_runtime_has_no_operators_for_it(bundle: Bundle) -> None:
    with pytest.raises(BackendUnavailableError, match=r"no operators on this device for synthesis\.bf16\.onnx"):
        Generator.load(bundle, backend="onnxruntime", precision="bf16")


def test_verify_says_what_it_could_not_check(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(bundle.path), "--batch", "1"]) == 0
    shown = capsys.readouterr().out
    assert "Not checked, since it can't run here: bf16" in shown
    assert "fp32 with onnxruntime on cpu: the images are the right ones." in shown
    assert run(["verify", str(bundle.path), "--batch", "1", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["not_checked"]) == ["bf16"]
    assert run(["verify", str(bundle.path), "--precision", "bf16"]) == 2, "asked for by name, it must be checked"


def test_a_split_has_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a split was asked for, which bf16 can't have"):
        export(tiny_checkpoint(), tmp_path / "bundle", precisions=PRECISIONS, split=2)
