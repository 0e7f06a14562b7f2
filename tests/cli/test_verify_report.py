"""`verify --report` and `verify --json` as a user calls them."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import exporter
from runtime import Bundle
from runtime.verification import document_schema
from stylegan_edge.cli import EXIT_CHECK_FAILED, run
from tests.broken import broken
from tests.cli.conftest import Refused, listing

FAST = ("--batch", "1", "--threads", "1", "--backend", "onnxruntime")


class Page(HTMLParser):
    """Its tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all tags of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]


def turn_a_kernel(model: onnx.ModelProto) -> None:
    """Mirror the last kernel of 3 x 3."""
    kernel = [item for item in model.graph.initializer if list(item.dims[2:]) == [3, 3] and item.dims[1] > 1][-1]
    values = numpy_helper.to_array(kernel)[..., ::-1].copy()
    kernel.CopyFrom(numpy_helper.from_array(values, kernel.name))


@pytest.fixture
def wrong_bundle(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """It draws other images."""
    return broken(tiny_bundle, tmp_path / "wrong", "synthesis", turn_a_kernel)


def _valid(document: Any) -> None:
    jsonschema.validate(document, document_schema(), jsonschema.Draft202012Validator)


def _report(bundle: Bundle, *options: str) -> tuple[int, Page, dict[str, Any]]:
    """The exit code, the page and the document of `verify --report new/report.html`."""
    code = run(["verify", str(bundle.path), *FAST, "--report", "new/report.html", *options])
    document = json.loads(Path("new/report.json").read_text())
    _valid(document)
    return code, Page(Path("new/report.html").read_text()), document


def test_a_report_of_all_there_is(
    folder: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    reading = Mock(wraps=exporter.load_checkpoint)
    monkeypatch.setattr(exporter, "load_checkpoint", reading)
    options = ("--reference", "sound.safetensors", "--samples", "2", "--per-layer", "--distribution", "40")
    code, page, document = _report(tiny_bundle, *options, "--path-epsilon", "1e-2")
    assert code == 0
    assert reading.call_count == 1  # for images, layers and distributions
    assert "Report: new/report.html, and the same figures in new/report.json" in capsys.readouterr().out
    assert sorted(listing(folder / "new")) == ["report.html", "report.json"]
    assert document["passed"] is True
    asked = [*FAST, "--report", "new/report.html", *options, "--path-epsilon", "1e-2"]
    assert document["command"] == f"stylegan-edge verify {tiny_bundle.path} {' '.join(asked)}"
    assert (document["pictures"][0]["samples"], document["distribution"]["samples"]) == (2, 40)
    for told in (
        f"Verification of {tiny_bundle.path.name}",
        "Passed",
        "fp32 with onnxruntime on cpu: the images are the right ones. 6 of 6 comparisons",
        "tiny (sha256 0000000000",
        document["command"],
        "reference: PyTorch with sound.safetensors, 2 samples from seed 0: psi -1 to 1.5",
        document["environment"]["processor"],
        "synthesis fp32, layer by layer, against the reference in PyTorch (one pass)",
        "mapping fp32: every layer that was read is within its tolerance.",
        "Worst sample, fp32",
        document["pictures"][0]["command"],
        "Golden image ",
        "Difference x ",
        "mean of pixels fp32",
    ):
        assert told in page.text, told
    assert "What is off" not in page.text


def test_a_page_that_needs_nothing_else(folder: Path, tiny_bundle: Bundle) -> None:
    pytest.importorskip("matplotlib")
    _, page, _ = _report(tiny_bundle, "--per-layer")
    addresses = [str(value) for _, tag in page.tags for name, value in tag.items() if name in ("src", "href", "srcset")]
    assert all(address.startswith(("data:image/png;base64,", "data:image/svg+xml;base64,")) for address in addresses)
    graphs, pictures, looks = 3, 3, 4
    assert len(addresses) == 2 * graphs + pictures * looks, "plots for light pages and dark ones, and the pictures"
    assert not page.of("link")
    (policy,) = [item["content"] for item in page.of("meta") if "http-equiv" in item]
    assert str(policy).startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert len((folder / "new/report.html").read_bytes()) < 1 << 20


def test_what_a_screen_reader_needs(folder: Path, tiny_bundle: Bundle) -> None:
    pytest.importorskip("matplotlib")
    _, page, document = _report(tiny_bundle, "--per-layer")
    assert all(item["alt"] for item in page.of("img"))
    told = [f"{item['graph']} fp32: {len(item['layers'])} layers, from" for item in document["layers"]]
    assert all(any(line in str(item["alt"]) for item in page.of("img")) for line in told)
    assert all(item.get("scope") in ("col", "row") for item in page.of("th"))
    assert {item["id"] for item in page.of("input")} == {item["for"] for item in page.of("label")}
    assert page.of("html") == [{"lang": "en"}]


def test_a_report_of_images_that_differ(folder: Path, wrong_bundle: Bundle) -> None:
    """Exit code 1, and the report is there: it is needed most then."""
    pytest.importorskip("matplotlib")
    code, page, document = _report(wrong_bundle, "--per-layer")
    assert code == EXIT_CHECK_FAILED
    assert (document["passed"], len(document["failures"])) == (False, 2)
    assert "Failed" in page.text
    assert "What is off" in page.text
    for failure in document["failures"]:
        assert failure in page.text
    (synthesis,) = [item for item in document["layers"] if item["first"] is not None]
    assert f"{synthesis['first']} is the first beyond it" in str([item["alt"] for item in page.of("img")])
    assert "FAILED synthesis fp32: the first layer out of tolerance is" in page.text
    assert document["not_checked"] == {}
    assert page.text.index("synthesis fp32, layer by layer") < page.text.index("mapping fp32, layer by layer")


def test_json_is_the_same_document(
    folder: Path, tiny_bundle: Bundle, wrong_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    for bundle, code in ((tiny_bundle, 0), (wrong_bundle, EXIT_CHECK_FAILED)):
        assert run(["verify", str(bundle.path), *FAST, "--json"]) == code
        document = json.loads(capsys.readouterr().out)
        _valid(document)
        assert document["passed"] is (code == 0)
        assert (document["layers"], document["distribution"], document["pictures"]) == (None, None, [])


def test_with_json_the_report_is_written_and_not_spoken_of(
    folder: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert run(["verify", str(tiny_bundle.path), *FAST, "--report", "r.html", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(Path("r.json").read_text())


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == document_schema()


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ("report.pdf", "report.pdf: expected a name that ends in .html; the figures stand beside it as .json"),
        ("report", "report: expected a name that ends in .html"),
        ("folder.html", "folder.html: is a directory, expected the name of a file to write"),
        ("mine.html", "mine.html: exists already; choose another name, or pass --force to replace it"),
        ("other.html", "other.json: exists already"),
        ("notes.txt/report.html", "can't be written (a part of the path is a file, expected a folder)"),
        ("/proc/new/report.html", "can't be written"),
    ],
)
def test_a_report_that_can_not_be_written_is_refused_before_the_work(
    report: str, message: str, folder: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("runtime.graphs.OpenGraphs.open", lambda *_, **__: pytest.fail("the work began"))
    (folder / "folder.html").mkdir()
    (folder / "mine.html").write_text("mine")
    (folder / "other.json").write_text("mine")
    assert message in refused(["verify", "{bundle}", *FAST, "--report", report])


def test_a_missing_matplotlib_names_its_extra(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install 'stylegan-edge[report]'" in refused(["verify", "{bundle}", *FAST, "--report", "r.html"])


def test_both_files_are_replaced_or_neither(
    folder: Path, tiny_bundle: Bundle, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    for name in ("r.html", "r.json"):
        (folder / name).write_text("mine")
    assert run(["verify", str(tiny_bundle.path), *FAST, "--report", "r.html", "--force"]) == 0
    assert not {"mine"} & {(folder / name).read_text() for name in ("r.html", "r.json")}
    rename = os.rename

    def fail_the_second(source: Path, target: Path) -> None:
        if Path(target).name == "r.json" and Path(source).name == "r.json":
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_the_second)
    assert "no permission" in refused(["verify", "{bundle}", *FAST, "--report", "r.html", "--force"])
    monkeypatch.setattr(os, "rename", rename)


def test_an_image_of_nan_is_shown_too(folder: Path, tiny_bundle: Bundle) -> None:
    pytest.importorskip("matplotlib")

    def spoil(model: onnx.ModelProto) -> None:
        kernel = next(item for item in model.graph.initializer if list(item.dims[2:]) == [3, 3])
        values = np.full_like(numpy_helper.to_array(kernel), np.nan)
        kernel.CopyFrom(numpy_helper.from_array(values, kernel.name))

    code, page, document = _report(broken(tiny_bundle, folder / "nan", "synthesis", spoil), "--per-layer")
    assert code == EXIT_CHECK_FAILED
    assert "NaN or infinity in the output" in document["failures"][0]
    assert "off what the bundle stores: NaN or infinity" in page.text


def test_large_images_are_shown_in_part_and_whole(
    folder: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 px are large where 8 are the most."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("stylegan_edge.report_pictures.MAX_SIDE", 8)
    monkeypatch.setattr("stylegan_edge.report_pictures.WINDOW", 6)
    _, page, _ = _report(tiny_bundle, "--reference", "sound.safetensors", "--samples", "1")
    part = re.search(r"6 x 6 px at x (\d+), y (\d+) of 16, around the largest difference, as they are", page.text)
    assert part is not None
    assert all(0 <= int(place) <= 16 - 6 for place in part.groups())
    assert "the whole image of 16 px, in means of 2 x 2 px" in page.text
    sizes = [item["width"] for item in page.of("img") if "Worst" in str(item["alt"])]
    assert sizes == ["6"] * 4 + ["8"] * 4


def test_what_comes_from_outside_is_escaped(folder: Path, tiny_bundle: Bundle) -> None:
    pytest.importorskip("matplotlib")
    from runtime.bench.machine import read_machine
    from runtime.parity.picture import ImagePair
    from runtime.parity.views import views
    from runtime.verification import SCHEMA_VERSION, Ran, Verification
    from stylegan_edge.report_pictures import Shown
    from stylegan_edge.verify_report import ReportFile, render

    evil = '<script>alert("1")</script>$x^$'
    pair = ImagePair(np.zeros((1, 4, 4)), np.ones((1, 4, 4)), np.zeros((4, 4, 1), np.uint8))
    provenance = dataclasses.replace(tiny_bundle.manifest.provenance, checkpoint=evil, checkpoint_sha256=evil)
    found = Verification(
        schema_version=SCHEMA_VERSION, bundle=evil, checkpoint=provenance, files=1, command=evil, date=evil,
        environment=dataclasses.replace(read_machine(0), processor=evil, versions={evil: evil}),
        ran=(Ran(evil, evil, evil),), not_checked={evil: evil}, reference=evil, samples=1, seed=0,
        perceptual_network=None, figures=(), pictures=(), layers=(), distribution=None,
    )  # fmt: skip
    page = Page(render(ReportFile(found, evil, evil, [Shown(evil, (evil,), evil, views(pair))])))
    assert len(page.of("script")) == 1, "the page's own"
    assert page.text.count(evil) >= 15
    assert sum(evil in str(item["alt"]) for item in page.of("img")) == 4
