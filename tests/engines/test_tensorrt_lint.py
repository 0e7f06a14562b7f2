"""The lint's word against the parser's: graphs that it calls refused in 11.4, or taken, given to the parser itself.

The parser is TensorRT-RTX 1.7's, which calls itself 11.4; cases say where TensorRT's own differs (`Case.differs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest

from runtime.engine_record import Profile
from tests.engines.tensorrt_cpu.plans import PlanReport, build_plans
from tests.exporter.tensorrt_lint.models import CASES, PARSER

COMPARED = [name for name, case in CASES.items() if not case.differs]


@pytest.fixture(scope="module")
def reports(tensorrt_libraries: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, PlanReport]:
    folder = tmp_path_factory.mktemp("graphs")
    paths = {name: folder / f"{number:03d}.onnx" for number, name in enumerate(CASES)}
    for name, path in paths.items():
        onnx.save(CASES[name].model(), path)
    built = build_plans(list(paths.values()), Profile(least=1, typical=2, most=4), tensorrt_libraries)
    return {name: built[path.stem] for name, path in paths.items()}


@pytest.mark.parametrize("name", COMPARED)
def test_the_parser_refuses_what_the_lint_calls_refused(name: str, reports: Mapping[str, PlanReport]) -> None:
    refused = CASES[name].refused_by(PARSER)
    assert reports[name].parsed is not refused, reports[name].errors
    if refused:
        assert any("node 'bad'" in error for error in reports[name].errors), reports[name].errors


@pytest.mark.parametrize("name", sorted(CASES.keys() - set(COMPARED)))
def test_the_parser_still_differs_where_a_case_says_so(name: str, reports: Mapping[str, PlanReport]) -> None:
    assert reports[name].parsed is CASES[name].refused_by(PARSER)
