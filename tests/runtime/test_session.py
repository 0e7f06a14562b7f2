"""Sessions: the images are those of the whole graph, and the layers of the rows held still run once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter import export
from runtime import Bundle, Generator
from runtime.backends.tensorrt.runner import TensorRtGraph
from runtime.device_array import DeviceSource
from runtime.engine_record import Profile
from runtime.errors import EngineMismatchError, InputError
from runtime.graphs import OpenGraphs, SplitGraphs
from runtime.parity import all_passed
from runtime.spec import Architecture, GeneratorSpec
from runtime.transforms import make_transform
from runtime.verify import verify_golden
from tests.made_up_gpu.machine import Machine, add_engine
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan3_spec

SPLIT = 4
CLOSE = 1e-5
"""Of the image's range: batches of other sizes add up in another order."""


def _export(spec: GeneratorSpec, factory: pytest.TempPathFactory, **options: Any) -> Bundle:
    return export(tiny_checkpoint(spec), factory.mktemp("split") / "bundle", split=SPLIT, **options)


@pytest.fixture(scope="module")
def skip_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Activations and RGB cross its split, in both precisions."""
    return _export(tiny_spec(), tmp_path_factory, precisions=("fp32", "fp16"))


@pytest.fixture(scope="module")
def resnet_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A shortcut crosses its split; it holds its noise."""
    return _export(tiny_spec(Architecture.RESNET), tmp_path_factory, noise="const")


@pytest.fixture(scope="module")
def stylegan3_split(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Only its head takes a transform."""
    return _export(tiny_stylegan3_spec(), tmp_path_factory)


@pytest.fixture
def bundle(skip_bundle: Bundle, tmp_path: Path) -> Bundle:
    """One that may be given engines."""
    return Bundle(shutil.copytree(skip_bundle.path, tmp_path / "bundle"))


def styles(bundle: Bundle, count: int, seed: int = 0) -> np.ndarray:
    random = np.random.RandomState(seed)
    ws: np.ndarray = random.randn(count, bundle.spec.num_ws, bundle.spec.w_dim).astype(np.float32)
    return ws


def joined(fixed: np.ndarray, ws: np.ndarray) -> np.ndarray:
    """What a session draws: the first rows of `fixed`, the rest of `ws`."""
    both: np.ndarray = ws.copy()
    both[:, :SPLIT] = fixed[:, :SPLIT]
    return both


def assert_close(measured: np.ndarray, expected: np.ndarray) -> None:
    assert (measured.shape, measured.dtype) == (expected.shape, expected.dtype)
    if expected.dtype == np.uint8:
        assert np.abs(measured.astype(int) - expected).max() <= 1
    else:
        assert np.abs(measured - expected).max() <= CLOSE * (expected.max() - expected.min())


@pytest.mark.parametrize("output", ["image", "pixels"])
@pytest.mark.parametrize("which", ["skip_bundle", "resnet_bundle", "stylegan3_split"])
@pytest.mark.parametrize("count", [1, 5])
def test_images_are_those_of_synthesize(which: str, output: str, count: int, request: pytest.FixtureRequest) -> None:
    """One fixed style for all images, and one for each, in batches that do not divide them."""
    generator = Generator.load(request.getfixturevalue(which))
    fixed, ws = styles(generator.bundle, count), styles(generator.bundle, 5, seed=1)
    expected = generator.synthesize(joined(fixed, ws), output=output)
    with generator.session(fixed) as session:
        for batch in (None, 2, 1):
            assert_close(session.synthesize(ws, output, batch), expected)


def test_noise_belongs_to_the_session(skip_bundle: Bundle) -> None:
    generator = Generator.load(skip_bundle)
    fixed, ws = styles(skip_bundle, 3), styles(skip_bundle, 3, seed=1)
    random = np.random.RandomState(2)
    arrays = [
        random.randn(rows, 1, *shape).astype(np.float32)
        for rows, shape in zip((1, 3, 3, 1, 3), skip_bundle.spec.noise_shapes)
    ]
    for noise in ("const", "none", 7, arrays):
        expected = generator.synthesize(joined(fixed, ws), noise)
        with generator.session(fixed, noise=noise) as session:
            assert_close(session.synthesize(ws), expected)
    kept = generator.session(fixed, noise=arrays)
    arrays[-1][:] = 9
    assert_close(kept.synthesize(ws), expected)


def test_the_transform_belongs_to_the_session(stylegan3_split: Bundle) -> None:
    generator = Generator.load(stylegan3_split)
    fixed, ws = styles(stylegan3_split, 1), styles(stylegan3_split, 2, seed=1)
    motion = make_transform(30, (0.1, 0))
    session = generator.session(fixed, transform=motion)
    assert_close(session.synthesize(ws), generator.synthesize(joined(fixed, ws), transform=motion))


def test_float16_crosses_as_float16(skip_bundle: Bundle) -> None:
    generator = Generator.load(skip_bundle, precision="fp16")
    fixed, ws = styles(skip_bundle, 1), styles(skip_bundle, 3, seed=1)
    whole = generator.synthesize(joined(fixed, ws), output="pixels")
    measured = generator.session(fixed).synthesize(ws, "pixels")
    assert np.abs(measured.astype(int) - whole).max() <= 1


def test_the_head_runs_once(skip_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    activations = SplitGraphs.activations

    def counted(self: SplitGraphs, inputs: Any) -> Any:
        runs.append(len(inputs["styles"]))
        return activations(self, inputs)

    monkeypatch.setattr(SplitGraphs, "activations", counted)
    generator = Generator.load(skip_bundle)
    session = generator.session(styles(skip_bundle, 1), rows=SPLIT + 1)
    for seed in range(4):
        session.synthesize(styles(skip_bundle, 2, seed))
    assert runs == [1]
    generator.session(styles(skip_bundle, generator.batch_size() + 1))
    assert runs == [1, generator.batch_size(), 1]


def test_what_makes_no_session(skip_bundle: Bundle, tiny_bundle: Bundle) -> None:
    generator, fixed = Generator.load(skip_bundle), styles(skip_bundle, 2)
    with pytest.raises(InputError, match=r"is split at row 4, but only 3 rows stay; hold 4 rows still, .*--split 3"):
        generator.session(fixed, rows=3)
    with pytest.raises(InputError, match="or export it again with another --split"):
        generator.session(fixed, rows=0)
    with pytest.raises(InputError, match="rows is 7, expected 4 to 6"):
        generator.session(fixed, rows=7)
    with pytest.raises(InputError, match=r"rows is 4\.5, expected a whole number"):
        generator.session(fixed, rows=4.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="was not split, so no layer can be left out; export it again with --split"):
        Generator.load(tiny_bundle).session(fixed)
    with pytest.raises(InputError, match=r"fixed has shape \[6, 9\], expected \[N, 6, 9\]"):
        generator.session(fixed[0])
    with pytest.raises(InputError, match="expected 1 or 2"):
        generator.session(fixed, noise=[np.zeros((3, 1, *shape)) for shape in skip_bundle.spec.noise_shapes])
    with pytest.raises(InputError, match="takes none: leave it out"):
        generator.session(fixed, transform=np.eye(3))


def test_what_a_session_refuses(skip_bundle: Bundle) -> None:
    generator, ws = Generator.load(skip_bundle), styles(skip_bundle, 3)
    with generator.session(styles(skip_bundle, 2)) as session:
        with pytest.raises(InputError, match="ws is for 3 images, but 2 were fixed; give 2, or fix one for all"):
            session.synthesize(ws)
        with pytest.raises(InputError, match="output 'film' is unknown"):
            session.synthesize(ws[:2], "film")
        with pytest.raises(InputError, match="ws holds NaN"):
            session.synthesize(ws[:2] * np.nan)
    with pytest.raises(InputError, match="the session was closed"):
        session.synthesize(ws[:2])
    generator.close()
    with pytest.raises(InputError, match="the generator was closed"):
        generator.session(ws)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("profiles", [(Profile(1, 1, 4),), (Profile(2, 2, 3),)])
def test_activations_stay_on_the_gpu(
    bundle: Bundle,
    machine: Machine,
    precision: str,
    profiles: tuple[Profile, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing but styles and noise goes up, and nothing but images comes down."""
    add_engine(bundle, profiles, precision=precision)
    if precision == "fp16":
        add_engine(bundle, profiles, graphs=("mapping",))
    down: list[str] = []
    run = TensorRtGraph.run

    def watched(self: TensorRtGraph, inputs: Any, outputs: Any) -> Any:
        down.extend(outputs)
        return run(self, inputs, outputs)

    monkeypatch.setattr(TensorRtGraph, "run", watched)
    host = Generator.load(bundle, "onnxruntime", precision)
    with Generator.load(bundle, "tensorrt", precision) as generator:
        for count in (1, 5):
            fixed = styles(bundle, count)
            with generator.session(fixed) as session:
                assert session._kept is not None
                assert [type(item) for item in session._kept.values()] == [DeviceSource, DeviceSource]
                assert [len(item) for item in session._kept.values()] == [count, count]
                for seed in (1, 2, 3):  # as it is, recorded, replayed
                    ws = styles(bundle, 5, seed)
                    expected = host.synthesize(joined(fixed, ws), output="pixels")
                    assert_close(session.synthesize(ws, "pixels"), expected)
    assert set(down) == {"pixels"}


def test_two_sessions_at_once_keep_apart(bundle: Bundle, machine: Machine) -> None:
    add_engine(bundle)
    ws = styles(bundle, 2, seed=5)
    with Generator.load(bundle, "tensorrt") as generator:
        pair = [generator.session(styles(bundle, 1, seed), noise=seed) for seed in (1, 2)]
        alone = [session.synthesize(ws) for session in pair]
        live = machine.live
        for _ in range(20):
            for session, expected in zip(pair, alone):
                assert (session.synthesize(ws) == expected).all()
        assert machine.live == live, "nothing is new after the first frames"
        assert np.abs(alone[0] - alone[1]).max() > 1e-3
        for session in pair:
            session.close()


def test_an_engine_without_head_and_tail(bundle: Bundle, machine: Machine) -> None:
    add_engine(bundle, graphs=("mapping", "synthesis"))
    fixed, refused = styles(bundle, 1), r"no engine fits this device; build one: stylegan-edge build"
    with Generator.load(bundle, "tensorrt") as generator, pytest.raises(EngineMismatchError, match=refused):
        generator.session(fixed)
    graphs = OpenGraphs.open(bundle, generator.backend)
    assert graphs.split is None, "verify proves what there is"
    graphs.close()


def test_an_engine_with_both_is_verified(bundle: Bundle, machine: Machine) -> None:
    add_engine(bundle)
    graphs = OpenGraphs.open(bundle)
    figures = verify_golden(bundle, graphs, (1, 2, 3))
    graphs.close()
    assert [item.graph for item in figures].count("tail") == 3
    assert all_passed(figures)
