"""The examples of docs/continuous-integration.md, run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.checkpoints import write_safetensors
from stylegan_edge.cli import run
from tests.tiny import tiny_checkpoint

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "continuous-integration.md").read_text()


def _block(kind: str) -> str:
    """The page's only block of a language."""
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def steps() -> list[dict[str, Any]]:
    """Of the workflow's only job."""
    workflow = yaml.safe_load(_block("yaml"))
    (job,) = workflow["jobs"].values()
    return list(job["steps"])


def test_the_workflow_is_one(steps: list[dict[str, Any]]) -> None:
    workflow = yaml.safe_load(_block("yaml"))
    assert workflow[True] == ["push", "pull_request"], "YAML 1.1 reads `on` as true, as GitHub knows"
    assert all(("uses" in step) != ("run" in step) for step in steps)
    names = [str(step.get("uses", step.get("name"))) for step in steps]
    assert names == [
        "actions/checkout@v4", "actions/setup-python@v5", "Install", "Export", "Verify", "Test",
        "actions/upload-artifact@v4",
    ]  # fmt: skip
    assert [step["if"] for step in steps[-2:]] == ["${{ !cancelled() }}"] * 2, "a report of a failure is kept"


def test_its_extras_are_there(steps: list[dict[str, Any]]) -> None:
    (extras,) = re.findall(r"stylegan-edge\[([a-z,]+)\]", steps[2]["run"])
    known = (ROOT / "pyproject.toml").read_text()
    assert all(re.search(rf"^{extra} = \[", known, flags=re.MULTILINE) for extra in extras.split(","))


def test_its_commands_do_what_the_page_says(
    steps: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a tiny checkpoint: export, verify, the pytest example, and the figures kept over time."""
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    for folder in ("models", "tests"):
        (tmp_path / folder).mkdir()
    write_safetensors(tiny_checkpoint(), tmp_path / "models" / "avatars.safetensors")
    (tmp_path / "tests" / "test_images.py").write_text(_block("python"))
    commands = [step["run"] for step in steps if "run" in step][1:]
    for command in commands[:2]:
        program, *arguments = shlex.split(command)
        assert program == "stylegan-edge"
        assert run(arguments) == 0, command
    kept = steps[-1]["with"]["path"]
    assert sorted(path.name for path in (tmp_path / kept).iterdir()) == ["avatars.html", "avatars.json"]
    program, *arguments = shlex.split(commands[2])
    tested = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert "2 passed" in tested.stdout, tested.stdout
    (tmp_path / "figures.json").write_bytes((tmp_path / "report" / "avatars.json").read_bytes())
    (kept_figure,) = re.findall(r'python -c "(.*)"', PAGE)
    shown = subprocess.run([sys.executable, "-c", kept_figure], capture_output=True, text=True, check=True)
    document = json.loads((tmp_path / "figures.json").read_text())
    assert float(shown.stdout) == max(item["max_relative"] for item in document["figures"])
