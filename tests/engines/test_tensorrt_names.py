"""Every TensorRT name in the code, looked up in the bindings of every supported version."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runtime.engine_record import version_numbers
from runtime.tensorrt.versions import Feature
from tests.engines.tensorrt_api.bindings import VERSIONS, read_names, unavailable
from tests.engines.tensorrt_api.used_names import used_names

Names = dict[str, frozenset[str]]
ROOT = Path(__file__).parents[2]
PACKAGES = [ROOT / "engines", ROOT / "runtime" / "tensorrt", ROOT / "runtime" / "backends" / "tensorrt"]
DASH = "\N{EN DASH}"
USED = used_names(PACKAGES)
OPTIONAL = {name: feature for feature in Feature for name in feature.value.names}
"""Names that not all versions have, or that TensorRT-RTX does not honour."""


@pytest.fixture(scope="module", params=VERSIONS)
def bindings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Names]:
    """A version, and the names that its bindings have."""
    version: str = request.param
    reason = unavailable(version) or (None if shutil.which("gcc") else "gcc is missing, which builds empty libraries")
    if reason is not None:
        pytest.skip(reason)
    return version, read_names(version, tmp_path_factory.mktemp("libraries"))


def is_there(names: Names, path: str) -> bool:
    name, _, member = path.partition(".")
    return name in names and (not member or member in names[name])


def feature_of(path: str) -> Feature | None:
    """The feature that a name belongs to: its own, or that of the class that it is a member of."""
    return OPTIONAL.get(path) or OPTIONAL.get(path.split(".")[0])


def test_every_name_that_is_used_is_there(bindings: tuple[str, Names]) -> None:
    version, names = bindings
    missing = {path: sorted(places) for path, places in USED.items() if not is_there(names, path)}
    unguarded = {path: places for path, places in missing.items() if feature_of(path) is None}
    assert not unguarded, f"TensorRT {version} lacks names that the code takes for granted"


def test_every_feature_is_where_the_table_says(bindings: tuple[str, Names]) -> None:
    version, names = bindings
    numbers = version_numbers(version)
    for feature in Feature:
        traits = feature.value
        expected = traits.since <= numbers and (traits.until is None or numbers < traits.until)
        there = [path for path in traits.names if is_there(names, path)]
        assert there == (list(traits.names) if expected else []), f"{feature.name} in TensorRT {version}"


def test_the_table_in_the_docs_is_this_one() -> None:
    shown = (ROOT / "docs" / "tensorrt.md").read_text()
    lines = ["| | " + " | ".join(VERSIONS) + " | TensorRT-RTX |", "|" + "---|" * (len(VERSIONS) + 2)]
    for traits in (feature.value for feature in Feature):
        numbers = map(version_numbers, VERSIONS)
        there = [traits.since <= version and (traits.until is None or version < traits.until) for version in numbers]
        label = f"`{traits.label}`" if traits.label.startswith("--") else traits.label
        lines.append(f"| {label} | " + " | ".join("yes" if item else DASH for item in (*there, traits.in_rtx)) + " |")
    assert "\n".join(lines) in shown


def test_the_code_uses_every_name_of_every_feature() -> None:
    assert set(OPTIONAL) <= set(USED)


def test_the_names_are_really_found_in_the_code() -> None:
    expected = {
        "Builder",
        "BuilderFlag.TF32",
        "IBuilderConfig.set_memory_pool_limit",
        "IBuilderConfig.progress_monitor",
    }
    expected |= {"OnnxParser.parse", "IProgressMonitor.step_complete", "ParserError.desc", "ILogger.WARNING"}
    expected |= {"IOptimizationProfile.set_shape", "ITimingCache.serialize", "ILayer.precision", "ITensor.dtype"}
    expected |= {"Runtime.deserialize_cuda_engine", "IExecutionContext.execute_async_v3", "Refitter.refit_cuda_engine"}
    assert expected <= set(USED)
    assert len(USED) > 50


@pytest.mark.parametrize(
    "code", ["builder.create_network(0).num_layers", "trt.Builder(log).create_network", "builder.logger.log"]
)
def test_a_use_that_can_not_be_looked_up_is_an_error(code: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(f"def build(trt, builder: tensorrt.Builder):\n    {code}\n")
    with pytest.raises(AssertionError, match="annotated name"):
        used_names([tmp_path])
