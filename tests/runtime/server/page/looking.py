"""What a page shows, and waiting until it does."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tests.runtime.server.running import Running

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

DESKTOP: ViewportSize = {"width": 1200, "height": 900}
SECONDS = 15
"""A wish that is not met by then never is; on a machine at rest it takes a few hundredths."""

Open = Callable[..., "Page"]


def shown(page: Page) -> np.ndarray:
    """What is on the canvas, uint8 [H, W, 3]."""
    text = page.evaluate("document.getElementById('picture').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))).convert("RGB"))


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait. The page's policy forbids Playwright's own way to: it evaluates text."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def pixels(server: Running, **asked: Any) -> np.ndarray:
    """The server's own picture, uint8 [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(server.generate(**asked).raise_for_status().content)).convert("RGB"))


def shows(page: Page, server: Running, **asked: Any) -> None:
    """Wait until the page shows the server's picture of these parameters, and fail where it never does."""
    wanted = pixels(server, **asked)
    until(lambda: np.array_equal(shown(page), wanted), f"never showed {asked}")


def alt(page: Page) -> str:
    return page.locator("#picture").get_attribute("aria-label") or ""


def address(page: Page) -> str:
    """Asked of the page: what Playwright remembers is late while nobody asks it anything."""
    return str(page.evaluate("location.href"))


def slide(page: Page, field: str, value: float) -> None:
    page.locator(field).fill(str(value))
