"""The page of `verify --report` in Chromium: it loads nothing, shows the verdict, and its sliders wipe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runtime import Bundle
from stylegan_edge.cli import run
from tests.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

DESKTOP, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}
DARK = "rgb(21, 24, 28)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page that has everything but a distribution."""
    pytest.importorskip("matplotlib")
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert run(["verify", str(tiny_bundle.path), "--batch", "1", "--per-layer", "--report", str(path)]) == 0
    return path.as_uri()


@pytest.fixture
def said() -> list[str]:
    """What the browser asked for beside the page itself, and what it complained of."""
    return []


def _open(browser: Browser, address: str, said: list[str], **options: Any) -> Page:
    page = browser.new_page(**options)
    page.on("request", lambda request: None if request.url.startswith("data:") else said.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    said.remove(address)
    return page


def test_the_verdict_is_what_one_sees_first(browser: Browser, report: str, said: list[str]) -> None:
    page = _open(browser, report, said, viewport=DESKTOP)
    verdict = page.locator(".verdict strong")
    box = verdict.bounding_box()
    assert verdict.inner_text() == "\u2713 Passed"
    assert box is not None
    assert box["y"] + box["height"] < DESKTOP["height"] / 3
    assert said == [], "no request and no complaint"
    page.close()


def test_a_slider_wipes_by_mouse_and_by_keyboard(browser: Browser, report: str, said: list[str]) -> None:
    page = _open(browser, report, said, viewport=DESKTOP)
    frame, slider = page.locator(".compare").first, page.locator(".compare input").first
    clip = "element => getComputedStyle(element.querySelector('.over')).clipPath"
    assert frame.evaluate(clip) == "inset(0px 50% 0px 0px)"
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert frame.evaluate(clip) == "inset(0px 49% 0px 0px)"
    page.keyboard.press("Home")
    assert frame.evaluate(clip) == "inset(0px 100% 0px 0px)"
    assert slider.get_attribute("aria-valuetext") == "0 % reference"
    box = slider.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    assert frame.evaluate(clip) == "inset(0px 0% 0px 0px)"
    other = page.locator(".compare").nth(1)
    assert other.evaluate(clip) == "inset(0px 50% 0px 0px)", "one slider, one frame"
    assert said == []
    page.close()


def test_every_picture_is_drawn(browser: Browser, report: str, said: list[str]) -> None:
    page = _open(browser, report, said, viewport=DESKTOP)
    widths = page.locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert len(widths) == 3 + 3 * 4
    assert all(width > 0 for width in widths)
    page.close()


def test_the_command_is_selected_to_be_copied(browser: Browser, report: str, said: list[str]) -> None:
    page = _open(browser, report, said, viewport=DESKTOP)
    page.get_by_role("button").click()
    command = page.evaluate("getSelection().toString()")
    assert command.startswith("stylegan-edge verify ")
    assert command.endswith("report.html")
    assert said == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser: Browser, report: str, said: list[str], scheme: Any) -> None:
    page = _open(browser, report, said, viewport=PHONE, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], "only tables and plots scroll"
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == DARK) is (scheme == "dark")
    assert said == []
    page.close()


def test_without_a_script_nothing_is_missing(browser: Browser, report: str, said: list[str]) -> None:
    page = _open(browser, report, said, viewport=DESKTOP, java_script_enabled=False)
    assert page.locator(".verdict").is_visible()
    assert page.locator(".compare .over").first.is_visible()
    page.close()


def test_what_gets_into_the_page_can_not_run(browser: Browser, report: str, said: list[str], tmp_path: Path) -> None:
    """Were anything not escaped, the browser would refuse it still."""
    page_file = tmp_path / "report.html"
    text = Path(report.removeprefix("file://")).read_text()
    page_file.write_text(text.replace("<h1>", "<script>document.title = 'run'</script><h1>"))
    page = _open(browser, page_file.as_uri(), said, viewport=DESKTOP)
    assert page.title() != "run"
    assert any("Content Security Policy" in line for line in said)
    page.close()
