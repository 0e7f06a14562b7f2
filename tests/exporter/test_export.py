"""Bundles as they are written: graphs, shapes, batches, noise, masks, early resolutions, reproducibility."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from exporter import export, load_checkpoint
from exporter.graphs.build import MAX_NODES_PER_LAYER
from exporter.graphs.trace import DEBRIS, TRACE_BATCH, GraphInput, trace
from runtime import Bundle, Generator
from runtime.errors import ExportError, InputError
from runtime.spec import Architecture
from tests.known_answers import HERE, Case
from tests.tiny import tiny_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="module")
def case() -> Case:
    return Case("A5_ada_clamp_active32", HERE / "A5_ada_clamp_active32")


@pytest.fixture(scope="module")
def bundle(folder: Path, case: Case) -> Bundle:
    return export(case.checkpoint, folder / "known", pipeline=True)


@pytest.mark.parametrize("name", ["mapping", "synthesis", "pipeline"])
def test_graphs_are_opset_17_and_hold_everything(bundle: Bundle, name: str) -> None:
    path = bundle.graph_path(name)
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert not DEBRIS & {node.op_type for node in model.graph.node}
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)


def test_graphs_tell_nothing_of_the_machine_that_wrote_them(bundle: Bundle) -> None:
    data = bundle.graph_path("synthesis").read_bytes()
    assert b"site-packages" not in data
    assert b".py" not in data
    assert str(Path(__file__).parents[2]).encode() not in data


def test_synthesis_inputs_and_outputs_are_the_documented_ones(bundle: Bundle) -> None:
    graph = bundle.graph("synthesis")
    assert [(item.name, item.dtype, item.shape) for item in graph.inputs][:3] == [
        ("styles", "float32", ("batch", 8, 32)),
        ("noise_00", "float32", ("noise_00_batch", 1, 4, 4)),
        ("noise_01", "float32", ("noise_01_batch", 1, 8, 8)),
    ]
    assert [(item.name, item.dtype, item.shape) for item in graph.outputs] == [
        ("image", "float32", ("batch", 3, 32, 32)),
        ("pixels", "uint8", ("batch", 32, 32, 3)),
    ]
    assert len(graph.inputs) == 1 + len(bundle.spec.noise_shapes)


def test_the_smallest_network_exports(folder: Path) -> None:
    bundle = export(tiny_checkpoint(channels=(5,)), folder / "smallest", pipeline=True)
    assert Generator.load(bundle).generate([1, 2]).shape == (2, 4, 4, 3)


@pytest.mark.parametrize("architecture", Architecture)
def test_at_most_twelve_nodes_a_layer(folder: Path, architecture: Architecture) -> None:
    bundle = export(tiny_checkpoint(architecture=architecture), folder / f"nodes-{architecture.value}")
    assert bundle.graph("synthesis").nodes <= MAX_NODES_PER_LAYER * len(bundle.spec.layers)


def test_known_images_come_out_of_the_bundle(bundle: Bundle, case: Case) -> None:
    generator, arrays = Generator.load(bundle), case.arrays
    w = generator.map(arrays["z"])
    ws = generator.truncate(w)
    images = {
        "image_psi1": generator.synthesize(ws[:1]),
        "image_psi0.7": generator.synthesize(generator.truncate(w[:1], 0.7)),
        "image_psi0.5_cut3": generator.synthesize(generator.truncate(w[:1], 0.5, 3)),
        "image_noise_none": generator.synthesize(ws[:1], noise="none"),
        "image_noise2": generator.synthesize(ws[:1], noise=[arrays[f"noise2_{i}"][None, None] for i in range(7)]),
        "image_mix4": generator.synthesize(generator.mix([ws[:1], ws[1:2]], generator.layer_mask(range(4, 8)))),
    }
    for name, image in images.items():
        error = np.abs(image - arrays[name]).max() / np.abs(arrays[name]).max()
        assert error <= 4e-6, name


def test_every_batch_size_draws_the_same_images(bundle: Bundle) -> None:
    generator = Generator.load(bundle)
    ws = generator.truncate(generator.map(generator.latents(range(8))), 0.7)
    single = generator.synthesize(ws, noise=3, batch=1)
    for batch in (2, 3, 8):
        assert np.abs(generator.synthesize(ws, noise=3, batch=batch) - single).max() <= 2e-6 * np.abs(single).max()


def test_noise_may_differ_between_the_images_of_a_batch(bundle: Bundle) -> None:
    generator = Generator.load(bundle)
    ws = generator.truncate(generator.map(generator.latents([1, 2])))
    random = np.random.RandomState(0)
    noise = [random.randn(2, 1, *shape).astype(np.float32) for shape in bundle.spec.noise_shapes]
    both = generator.synthesize(ws, noise)
    for index in range(2):
        alone = generator.synthesize(ws[index : index + 1], [item[index : index + 1] for item in noise])
        assert np.allclose(alone[0], both[index], atol=1e-5)
    # A layer may share its noise while another does not.
    shared = [noise[0][:1], *noise[1:]]
    assert generator.synthesize(ws, shared).shape == both.shape


def test_pipeline_graph_alone_makes_the_pixels_of_a_seed(bundle: Bundle) -> None:
    """As a caller without our runtime would use it."""
    generator = Generator.load(bundle)
    session = onnxruntime.InferenceSession(str(bundle.graph_path("pipeline")), providers=["CPUExecutionProvider"])
    inputs = {"z": generator.latents([5]), "psi": np.full(bundle.spec.num_ws, 0.7, np.float32)}
    inputs |= {f"noise_{index:02d}": array[None, None] for index, array in enumerate(bundle.stored_noise)}
    pixels = session.run(["pixels"], inputs)[0]
    assert np.abs(pixels.astype(int) - generator.generate([5], psi=0.7)).max() <= 1


def test_a_mask_is_baked_in(folder: Path, case: Case, bundle: Bundle) -> None:
    mixed = export(case.checkpoint, folder / "mixed", mask="A:0-3,B:4-7")
    masked, plain = Generator.load(mixed), Generator.load(bundle)
    w = plain.map(plain.latents([1, 2]))
    expected = plain.mix([plain.truncate(w[:1], 0.7), plain.truncate(w[1:], 0.7)], plain.layer_mask(range(4, 8)))
    assert masked.sources == 2
    assert np.abs(masked.synthesize(masked.styles(w, 0.7)) - plain.synthesize(expected)).max() <= 1e-5


def test_a_mask_may_be_a_matrix(folder: Path) -> None:
    matrix = np.full((6, 2), 0.5)
    bundle = export(tiny_checkpoint(), folder / "matrix", mask=matrix)
    assert (bundle.mask.matrix == matrix).all()
    with pytest.raises(InputError, match=r"row 0 sums to 0\.75, expected 1"):
        export(tiny_checkpoint(), folder / "wrong", mask=matrix * 0.75)
    assert not (folder / "wrong").exists()


@pytest.mark.parametrize("noise", ["const", "none"])
def test_baked_noise_needs_no_input(folder: Path, case: Case, bundle: Bundle, noise: str) -> None:
    baked = export(case.checkpoint, folder / noise, noise=noise)
    assert [item.name for item in baked.graph("synthesis").inputs] == ["styles"]
    generator = Generator.load(baked)
    expected = Generator.load(bundle).generate([3], noise=noise)
    assert np.abs(generator.generate([3]).astype(int) - expected).max() <= 1
    with pytest.raises(InputError, match=f"exported with --noise {noise}"):
        generator.generate([3], noise=5)


def test_stopping_early_gives_the_image_so_far(folder: Path, case: Case) -> None:
    """In a skip network an early resolution is the sum of the toRGB outputs up to it: what training saw there."""
    early = Generator.load(export(case.checkpoint, folder / "early", resolution=16))
    assert early.spec.num_ws == 6
    image = early.synthesize(early.truncate(early.map(case.arrays["z"][:1])))
    assert np.abs(image - case.arrays["rgb_b16"]).max() <= 4e-6 * np.abs(case.arrays["rgb_b16"]).max()


@pytest.mark.parametrize("architecture", [Architecture.ORIG, Architecture.RESNET])
def test_only_skip_networks_stop_early(folder: Path, architecture: Architecture) -> None:
    checkpoint = tiny_checkpoint(architecture=architecture)
    with pytest.raises(InputError, match="only at its last resolution, 16"):
        export(checkpoint, folder / "never", resolution=8)
    assert not (folder / "never").exists()


def test_same_checkpoint_and_options_give_the_same_bytes(folder: Path, tiny_bundle: Bundle) -> None:
    second = export(tiny_checkpoint(), folder / "second", pipeline=True)
    names = sorted(path.name for path in tiny_bundle.path.iterdir())
    assert names == sorted(path.name for path in second.path.iterdir())
    for name in names:
        assert (tiny_bundle.path / name).read_bytes() == (second.path / name).read_bytes(), name


def test_conditional_and_grey_networks_export(folder: Path) -> None:
    bundle = export(tiny_checkpoint(c_dim=3, img_channels=1), folder / "conditional", pipeline=True)
    generator = Generator.load(bundle)
    images = [generator.generate([1], classes=number) for number in range(3)]
    assert images[0].shape == (1, 16, 16, 1)
    assert (images[0] != images[1]).any()
    assert [item.name for item in bundle.graph("pipeline").inputs][:3] == ["z", "c", "psi"]


def test_a_missing_mean_of_w_is_computed_and_said(folder: Path) -> None:
    full = tiny_checkpoint()
    weights = {name: array for name, array in full.weights.items() if name != "mapping.w_avg"}
    bundle = export(type(full)(full.spec, weights, full.source, full.name, full.sha256), folder / "mean")
    assert bundle.manifest.provenance.mean_w == "computed from 65536 samples, seed 0"
    network = full.build()
    z = torch.from_numpy(np.random.RandomState(5).randn(65_536, full.spec.z_dim).astype(np.float32))
    w = network.mapping(z)
    assert np.abs(bundle.w_avg - w.mean(dim=0).numpy()).max() <= 5 * float(w.std()) / 256


def test_the_demonstration_checkpoint_is_read_as_what_it_is() -> None:
    checkpoint = load_checkpoint(Path(__file__).parents[2] / "examples" / "avatars-64.pkl")
    assert (checkpoint.spec.resolution, checkpoint.spec.z_dim, checkpoint.parameter_count) == (64, 128, 481_728)


class _Reshaping(torch.nn.Module):
    """Writes the batch that it is traced with into a shape."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.reshape(x.shape[0] * 2, 2) * 2).reshape(-1, 4)


class _Repeating(torch.nn.Module):
    """Writes the batch that it is traced with into a constant."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.arange(x.shape[0])[:, None]


class _Rounding(torch.nn.Module):
    """Uses an operator whose definition changed after opset 17."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=1, keepdim=True) + x


@pytest.mark.parametrize(
    ("module", "message"),
    [(_Reshaping(), "fixed the batch"), (_Repeating(), "fixed the batch"), (_Rounding(), "new after opset 17")],
)
def test_a_graph_that_breaks_a_promise_is_refused(module: torch.nn.Module, message: str) -> None:
    inputs = [GraphInput("x", torch.empty(TRACE_BATCH, 4), "batch")]
    with pytest.raises(ExportError, match=message):
        trace(module, "broken", (inputs[0].example,), inputs, ["y"])
