"""The document of a verification, and its schema."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest

from runtime import Bundle
from runtime.backends import BackendName, RunOptions
from runtime.bench.machine import read_machine
from runtime.device import Device
from runtime.distribution.figures import DistributionFigures
from runtime.documents import Derived, schema_of, to_document
from runtime.golden import GoldenInputs
from runtime.graphs import OpenGraphs
from runtime.layers.reference import StoredProbes
from runtime.layers.verify import verify_layers
from runtime.verification import (
    SCHEMA_VERSION,
    Distributions,
    Ran,
    Verification,
    document_of,
    document_schema,
)
from runtime.verify import verify_golden

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas" / f"verify-{SCHEMA_VERSION}.schema.json"
UNEQUAL = DistributionFigures("mean of w", "fp32", 60, 1.0, 2.0, 1.0, 0.1, None, False, "w[3], the worst of 9")


@pytest.fixture(scope="module")
def verification(tiny_bundle: Bundle) -> Verification:
    """Of a sound bundle: all graphs at batch 1, and all layers."""
    with closing(OpenGraphs.open(tiny_bundle, BackendName.ONNXRUNTIME, RunOptions(threads=1))) as graphs:
        golden = GoldenInputs.of(tiny_bundle)
        return Verification(
            schema_version=SCHEMA_VERSION,
            bundle=str(tiny_bundle.path),
            checkpoint=tiny_bundle.manifest.provenance,
            files=len(tiny_bundle.manifest.files),
            command="stylegan-edge verify bundle --per-layer",
            date="2026-01-31T12:00:00+00:00",
            environment=read_machine(0),
            ran=(Ran("fp32", graphs.synthesis.backend.value, graphs.synthesis.device),),
            not_checked={"fp16": "no"},
            reference=None,
            samples=16,
            seed=0,
            perceptual_network=None,
            figures=tuple(verify_golden(tiny_bundle, graphs, (1,))),
            pictures=(),
            layers=tuple(verify_layers(golden, graphs, StoredProbes(golden), 1 << 30)),
            distribution=None,
        )


def _distributions(*figures: DistributionFigures) -> Distributions:
    return Distributions(60, 30, 0, "PyTorch, tiny", "plain pixels", 1e-4, ("smile.onnx",), figures)


def _errors(document: Any) -> list[str]:
    """What is wrong with a document after a journey through JSON, and why what may be null is not what it may be."""
    plain = json.loads(json.dumps(document, allow_nan=False))
    errors = list(jsonschema.Draft202012Validator(document_schema()).iter_errors(plain))
    return [error.message for outer in errors for error in (outer, *(outer.context or ()))]


def test_the_published_schema_is_that_of_the_records() -> None:
    """`stylegan-edge verify --schema > docs/schemas/verify-N.schema.json`, with a new N where fields changed."""
    schema = document_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(PUBLISHED.read_text()) == schema
    assert schema["$id"].endswith(f":{SCHEMA_VERSION}")


def test_documents_are_what_the_schema_says(verification: Verification) -> None:
    gpu = Device("GPU", "8.7", 16, 1 << 30, "12.6", "linux-aarch64")
    others = [
        dataclasses.replace(verification, layers=None),
        dataclasses.replace(verification, reference="network.pkl", perceptual_network="lpips.onnx"),
        dataclasses.replace(verification, environment=dataclasses.replace(verification.environment, gpu=gpu)),
        dataclasses.replace(verification, distribution=_distributions(UNEQUAL)),
    ]
    for item in (verification, *others):
        assert _errors(document_of(item)) == []


def test_what_follows_from_the_fields_is_in_the_document(verification: Verification) -> None:
    document = document_of(verification)
    assert (document["passed"], document["failures"], document["schema_version"]) == (True, [], SCHEMA_VERSION)
    assert [(item["passed"], item["failures"]) for item in document["figures"]] == [(True, [])] * 3
    for report in document["layers"]:
        assert report["passed"] is True
        assert len(report["growth"]) == len(report["layers"]) > 1
        assert report["growth"][0] is None


@pytest.mark.parametrize("place", [[], ["environment"], ["figures", 0], ["layers", 0, "layers", 0, "allowed"]])
def test_unknown_and_missing_keys_are_refused(verification: Verification, place: list[Any]) -> None:
    whole = json.dumps(document_of(verification))
    more, less = json.loads(whole), json.loads(whole)
    _part(more, place)["surprise"] = 1
    assert any("'surprise' was unexpected" in error for error in _errors(more))
    part = _part(less, place)
    del part[next(iter(part))]
    assert any("is a required property" in error for error in _errors(less))


def _part(document: Any, place: list[Any]) -> Any:
    for key in place:
        document = document[key]
    return document


@pytest.mark.parametrize(
    ("field", "value"),
    [("passed", "yes"), ("schema_version", 2), ("figures", {}), ("seed", 0.5), ("reference", 1), ("layers", [None])],
)
def test_wrong_values_are_refused(verification: Verification, field: str, value: Any) -> None:
    assert _errors({**document_of(verification), field: value})


def test_failures_are_told_a_line_each(verification: Verification) -> None:
    figures, layers = verification.figures, verification.layers
    assert layers is not None
    wrong = dataclasses.replace(figures[1], levels_max=7, max_relative=0.5)
    layer = dataclasses.replace(layers[1].layers[2], rms=0.5)
    report = dataclasses.replace(
        layers[1], first=layer.layer, layers=(*layers[1].layers[:2], layer, *layers[1].layers[3:])
    )
    broken = dataclasses.replace(
        verification,
        figures=(figures[0], wrong),
        layers=(layers[0], report),
        distribution=_distributions(UNEQUAL, dataclasses.replace(UNEQUAL, passed=None)),
    )
    assert not broken.passed
    assert not broken.alike
    assert list(broken.failures) == [
        "synthesis fp32 against golden, batch 1: max |d| 5.0e-01 of the range, allowed 1e-04; 7 levels, allowed 1",
        f"synthesis fp32: the first layer out of tolerance is {layer.layer}: "
        "error 5.0e-01 of the root mean square, allowed 5e-06",
        "mean of w fp32: off by 1.00e+00, the sampling error is 1.00e-01 (w[3], the worst of 9)",
    ]
    assert _errors(document_of(broken)) == []
    only_unequal = dataclasses.replace(verification, distribution=_distributions(UNEQUAL))
    assert (only_unequal.alike, only_unequal.passed) == (True, False)


def test_json_has_no_infinity(verification: Verification) -> None:
    wild = dataclasses.replace(verification.figures[0], max_abs=math.inf, cosine=-math.inf, max_relative=math.nan)
    (found,) = document_of(dataclasses.replace(verification, figures=(wild,)))["figures"]
    largest = sys.float_info.max
    assert (found["max_abs"], found["cosine"], found["max_relative"]) == (largest, -largest, largest)
    assert found["passed"] is False


class Colour(Enum):
    """A choice."""

    RED = "red"


@dataclasses.dataclass(frozen=True)
class Everything:
    """A record of every type that there is (None: nothing)."""

    choice: Colour
    pair: tuple[int, float]
    several: tuple[str, ...]
    listed: list[bool]
    either: int | str | None
    named: dict[str, float]
    fixed: Literal["a", "b"]
    within: Everything | None

    def told(self) -> str:
        """Derived of it."""
        return "told"


def test_every_type_has_a_schema() -> None:
    inner = Everything(Colour.RED, (1, 2.0), ("x",), [True], None, {"y": 1.0}, "a", None)
    record = dataclasses.replace(inner, either="z", within=inner)
    derived: Derived = {Everything: ("told",)}
    schema = schema_of(Everything, derived, "urn:test")
    validator = jsonschema.Draft202012Validator(schema)
    document = to_document(record, derived)
    validator.validate(json.loads(json.dumps(document)))
    assert document["told"] == document["within"]["told"] == "told"
    assert schema["$defs"]["Everything"]["description"] == "A record of every type that there is (null: nothing)."
    for field, value in (
        ("choice", "blue"), ("pair", [1]), ("pair", [1, 2, 3]), ("several", [1]), ("listed", [0]), ("either", 0.5),
        ("named", {"y": "1"}), ("fixed", "c"), ("within", {}),
    ):  # fmt: skip
        assert not validator.is_valid({**document, field: value}), field


def test_a_type_that_json_has_not_is_a_mistake_of_ours() -> None:
    @dataclasses.dataclass(frozen=True)
    class Odd:
        value: complex

    with pytest.raises(TypeError, match="complex'> has no JSON type"):
        schema_of(Odd, {}, "urn:test")
