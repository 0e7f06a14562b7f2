"""Draw docs/images/report.png: the report of a bundle with one kernel transposed, as Chromium shows it.

stylegan-edge demo && python docs/report_picture.py demo/avatars-64 examples/avatars-64.pkl docs/images/report.png
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper
from PIL import Image

from runtime import Bundle
from stylegan_edge.cli import run
from tests.broken import broken

if TYPE_CHECKING:
    from playwright.sync_api import Page

KERNEL = "b64_conv1_weight"
VIEW = {"width": 1000, "height": 900}
MARGIN = 20
"""White pixels around."""
PARTS = (("h1", "h2:has-text('How to reproduce')"), ("h2:has-text('Error by layer')", "details"))
"""What of the page is shown: from the top of one element to the top of another. All but where it was made."""


def main(bundle: str, checkpoint: str, out: str) -> None:
    """Break, verify, look."""
    browser, target = next(filter(None, map(shutil.which, ("chromium", "google-chrome")))), Path(out).absolute()
    with tempfile.TemporaryDirectory() as folder:
        broken(Bundle(bundle), Path(folder) / "broken", "synthesis", _transpose)
        shutil.copy(checkpoint, Path(folder) / "avatars-64.pkl")
        command = "verify broken --reference avatars-64.pkl --precision fp32 --batch 1 --per-layer --report report.html"
        os.chdir(folder)
        run(command.split())
        _shoot(Path("report.html"), str(browser), target)
        os.chdir(target.parent)


def _transpose(model: onnx.ModelProto) -> None:
    kernel = next(item for item in model.graph.initializer if item.name == KERNEL)
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel).swapaxes(2, 3).copy(), KERNEL))


def _shoot(page_file: Path, browser: str, target: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as api:
        opened = api.chromium.launch(executable_path=browser)
        page = opened.new_page(viewport=VIEW)  # type: ignore[arg-type]
        page.goto(page_file.absolute().as_uri())
        parts = [_between(page, *part) for part in PARTS] + [page.locator(".picture").first.screenshot()]
        opened.close()
    pictures = [np.asarray(Image.open(io.BytesIO(part)).convert("RGB")) for part in parts]
    width = max(picture.shape[1] for picture in pictures)
    edges = [((0, MARGIN), (MARGIN, MARGIN + width - item.shape[1]), (0, 0)) for item in pictures]
    padded = [np.pad(item, edge, constant_values=255) for item, edge in zip(pictures, edges)]
    Image.fromarray(np.pad(np.concatenate(padded), ((MARGIN, 0), (0, 0), (0, 0)), constant_values=255)).save(target)


def _between(page: Page, first: str, last: str) -> bytes:
    top, end = (page.locator(selector).first.bounding_box() for selector in (first, last))
    assert top is not None
    assert end is not None
    clip = {"x": top["x"], "y": top["y"], "width": top["width"], "height": end["y"] - top["y"]}
    return page.screenshot(full_page=True, clip=clip)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(*sys.argv[1:])
