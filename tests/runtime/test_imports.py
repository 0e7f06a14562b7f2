"""Who may import whom: a device needs NumPy and one backend, and `--help` needs click alone."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import Bundle

ROOT = Path(__file__).parents[2]
FORBIDDEN = {"runtime": {"exporter", "engines", "stylegan_edge", "torch", "onnx", "onnxscript", "onnx_ir"}}
FORBIDDEN["exporter"] = {"engines", "stylegan_edge"}
FORBIDDEN["engines"] = {"exporter", "stylegan_edge", "torch", "onnx", "onnxscript", "onnx_ir"}


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_packages_import_only_downwards(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        assert not _imported(path) & FORBIDDEN[package], path


def _run(code: str, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return result.stdout


@pytest.mark.parametrize("backend", ["auto", "onnxruntime", "openvino"])
def test_generating_an_image_loads_no_torch_and_no_onnx(tiny_bundle: Bundle, backend: str) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    code = (
        "import sys, runtime\n"
        "images = runtime.Generator.load(sys.argv[1], sys.argv[2]).generate([1, 2], psi=0.7)\n"
        "print(images.shape, *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    shape, _, modules = _run(code, str(tiny_bundle.path), backend).partition(") ")
    assert shape == "(2, 16, 16, 3"
    assert not {"torch", "onnx", "exporter", "onnxscript"} & set(modules.split())


def test_a_benchmark_loads_no_torch_and_no_onnx(tiny_bundle: Bundle) -> None:
    code = (
        "import sys, runtime\n"
        "from runtime.backends import RunOptions\n"
        "from runtime.bench import BenchOptions, own_entrants, run_bench\n"
        "bundle, options = runtime.Bundle(sys.argv[1]), BenchOptions(runs=1, threads=1, memory=False, limits=False)\n"
        "outcome = run_bench(bundle, own_entrants(bundle, (), (), RunOptions(threads=1)), options)\n"
        "print(len(outcome.measured), *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    measured, *modules = _run(code, str(tiny_bundle.path)).split()
    assert measured == str(1 + (importlib.util.find_spec("openvino") is not None))
    assert not {"torch", "onnx", "exporter", "onnxscript", "matplotlib"} & set(modules)


def test_importing_the_runtime_loads_numpy_at_most() -> None:
    """What draws is imported when a bundle is opened, what writes pictures when one is written."""
    code = "import sys\n{}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    heavy = {"onnxruntime", "openvino", "tensorrt", "cuda", "PIL", "rich", "click", "imageio", "torch", "onnx"}
    face = set(_run(code.format("import runtime")).split())
    assert not (heavy | {"numpy"}) & face
    names = "from runtime import Bundle, Generator, GeneratorSpec\nfrom runtime.parity import assert_same"
    whole = set(_run(code.format(names)).split())
    assert "numpy" in whole
    assert not heavy & whole


def test_help_needs_click_alone() -> None:
    code = (
        "import sys\n"
        "from stylegan_edge.cli import run\n"
        "code = run(['--help'])\n"
        "print(code, *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    last = _run(code).splitlines()[-1].split()
    assert last[0] == "0"
    assert not {"numpy", "rich", "PIL", "torch", "onnx", "onnxruntime"} & set(last)


def test_reading_a_checkpoint_needs_no_torch(demo_checkpoint: Path) -> None:
    code = (
        "import sys\n"
        "from exporter import load_checkpoint\n"
        "print(load_checkpoint(sys.argv[1]).spec.resolution, 'torch' in sys.modules)"
    )
    assert _run(code, str(demo_checkpoint)).split() == ["64", "False"]


@pytest.mark.parametrize(
    ("missing", "arguments", "message"),
    [
        ("torch", ["export", "CHECKPOINT", "-o", "out"], "pip install 'stylegan-edge[export]'"),
        ("onnx", ["deploy", "triton", "BUNDLE", "-o", "out"], "pip install 'stylegan-edge[triton]'"),
        ("onnxruntime openvino", ["generate", "BUNDLE", "--seeds", "1", "-o", "out"], "'stylegan-edge[cpu]'"),
    ],
)
def test_a_missing_dependency_names_its_extra(
    tmp_path: Path, tiny_bundle: Bundle, demo_checkpoint: Path, missing: str, arguments: list[str], message: str
) -> None:
    places = {"BUNDLE": str(tiny_bundle.path), "CHECKPOINT": str(demo_checkpoint)}
    arguments = [places.get(item, item) for item in arguments]
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({missing.split()!r}))\n"
        "from stylegan_edge.cli import run\nsys.exit(run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=False
    )
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
